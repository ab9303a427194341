#!/usr/bin/env python3
"""Each message goes to the neighbours, again and again until they have acknowledged it. An empty list is read as null,
as a Go program writes an empty slice."""
import threading

from maelstrom import Error, Node

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
        is_new = value not in seen
        if is_new:
            seen.append(value)
    if is_new:
        for neighbor in neighbors:
            if neighbor != message["src"]:
                threading.Thread(target=tell, args=(neighbor, value), daemon=True).start()
    return {"type": "broadcast_ok"}


def tell(neighbor, value):
    while True:
        try:
            return node.rpc(neighbor, {"type": "broadcast", "message": value})
        except Error:
            pass


@node.on("read")
def read(message):
    with node.lock:
        return {"type": "read_ok", "messages": seen[:] or None}


node.run()
