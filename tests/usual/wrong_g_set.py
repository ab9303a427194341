#!/usr/bin/env python3
"""Wrong: drops every tenth element that clients add."""
from maelstrom import Node

node = Node()
elements = set()


@node.on("add")
def add(message):
    element = message["body"]["element"]
    if element % 10 == 0:
        return {"type": "add_ok"}
    with node.lock:
        elements.add(element)
        for peer in node.peers():
            node.send(peer, {"type": "share", "element": element})
    return {"type": "add_ok"}


@node.on("share")
def share(message):
    with node.lock:
        elements.add(message["body"]["element"])


@node.on("read")
def read(message):
    with node.lock:
        return {"type": "read_ok", "value": list(elements)}


node.run()
