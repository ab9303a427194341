#!/usr/bin/env python3
"""Wrong: gives every fifth transaction up after it has written."""
import itertools

from maelstrom import Error, Node

node = Node()
registers = {}
count = itertools.count(1)


@node.on("txn")
def txn(message):
    done = []
    with node.lock:
        for function, key, value in message["body"]["txn"]:
            if function == "w":
                registers[key] = value
            done.append([function, key, registers.get(key)])
    if next(count) % 5 == 0:
        raise Error(30, "given up")
    return {"type": "txn_ok", "txn": done}


node.run()
