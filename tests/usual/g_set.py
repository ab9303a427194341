#!/usr/bin/env python3
"""Each node tells the others all that it has now and then. An empty set is read as null, as a Go program writes an empty
slice."""
from maelstrom import Node

node = Node()
elements = set()


@node.on("add")
def add(message):
    with node.lock:
        elements.add(message["body"]["element"])
    return {"type": "add_ok"}


@node.on("read")
def read(message):
    with node.lock:
        return {"type": "read_ok", "value": list(elements) or None}


@node.on("share")
def share(message):
    with node.lock:
        elements.update(message["body"]["elements"])


@node.every(0.2)
def tell():
    with node.lock:
        body = {"type": "share", "elements": list(elements)}
    for peer in node.peers():
        node.send(peer, body)


node.run()
