#!/usr/bin/env python3
"""Wrong: writes the sum of a total that may be of the past and what is added, where it should swap."""
from maelstrom import Error, Node

node = Node()


def read_total():
    try:
        return node.rpc("seq-kv", {"type": "read", "key": "total"})["value"]
    except Error as error:
        if error.code != 20:
            raise
        return 0


@node.on("add")
def add(message):
    total = read_total() + message["body"]["delta"]
    node.rpc("seq-kv", {"type": "write", "key": "total", "value": total})
    return {"type": "add_ok"}


@node.on("read")
def read(message):
    return {"type": "read_ok", "value": read_total()}


node.run()
