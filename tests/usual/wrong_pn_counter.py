#!/usr/bin/env python3
"""Wrong: adds what others tell it each time that they tell it."""
from maelstrom import Node

node = Node()
total = 0
own = 0


@node.on("add")
def add(message):
    global total, own
    with node.lock:
        total += message["body"]["delta"]
        own += message["body"]["delta"]
    return {"type": "add_ok"}


@node.on("read")
def read(message):
    with node.lock:
        return {"type": "read_ok", "value": total}


@node.on("share")
def share(message):
    global total
    with node.lock:
        total += message["body"]["own"]


@node.every(0.2)
def tell():
    for peer in node.peers():
        node.send(peer, {"type": "share", "own": own})


node.run()
