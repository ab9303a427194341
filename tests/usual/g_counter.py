#!/usr/bin/env python3
"""The total is one value in seq-kv. An add reads it and swaps it until that works. A read of the store may be of the past:
the node reads again and again, and answers with the highest total that it has seen."""
from maelstrom import Error, Node

node = Node()
highest = 0


def read_total():
    global highest
    try:
        total = node.rpc("seq-kv", {"type": "read", "key": "total"})["value"]
    except Error as error:
        if error.code != 20:
            raise
        total = 0
    with node.lock:
        highest = max(highest, total)
    return total


@node.on("add")
def add(message):
    delta = message["body"]["delta"]
    while delta > 0:
        total = read_total()
        swap = {"type": "cas", "key": "total", "from": total, "to": total + delta, "create_if_not_exists": True}
        try:
            node.rpc("seq-kv", swap)
            break
        except Error as error:
            if error.code != 22:
                raise
    return {"type": "add_ok"}


@node.on("read")
def read(message):
    with node.lock:
        return {"type": "read_ok", "value": highest}


@node.every(0.05)
def read_again():
    try:
        read_total()
    except Error:
        pass


node.run()
