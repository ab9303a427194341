#!/usr/bin/env python3
"""Each node counts what its own clients add, in one count that rises and one that falls, and tells the others all counts
that it knows."""
from maelstrom import Node

node = Node()
rises = {}
falls = {}


@node.on("add")
def add(message):
    delta = message["body"]["delta"]
    with node.lock:
        counts = rises if delta > 0 else falls
        counts[node.id] = counts.get(node.id, 0) + abs(delta)
    return {"type": "add_ok"}


@node.on("read")
def read(message):
    with node.lock:
        return {"type": "read_ok", "value": sum(rises.values()) - sum(falls.values())}


@node.on("share")
def share(message):
    with node.lock:
        for own, name in (rises, "rises"), (falls, "falls"):
            for other, count in message["body"][name].items():
                own[other] = max(count, own.get(other, 0))


@node.every(0.2)
def tell():
    with node.lock:
        body = {"type": "share", "rises": dict(rises), "falls": dict(falls)}
    for peer in node.peers():
        node.send(peer, body)


node.run()
