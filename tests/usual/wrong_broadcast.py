#!/usr/bin/env python3
"""Wrong: tells its neighbours what clients tell it, and they tell nobody."""
from maelstrom import Node

node = Node()
neighbors = []
seen = []


@node.on("topology")
def topology(message):
    neighbors.extend(message["body"]["topology"][node.id])
    return {"type": "topology_ok"}


@node.on("broadcast")
def broadcast(message):
    value = message["body"]["message"]
    with node.lock:
        seen.append(value)
    for neighbor in neighbors:
        node.send(neighbor, {"type": "tell", "message": value})
    return {"type": "broadcast_ok"}


@node.on("tell")
def tell(message):
    with node.lock:
        seen.append(message["body"]["message"])


@node.on("read")
def read(message):
    with node.lock:
        return {"type": "read_ok", "messages": seen[:]}


node.run()
