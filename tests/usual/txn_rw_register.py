#!/usr/bin/env python3
"""Each node does transactions on its own registers, at once and one after the other, and tells the others what they
wrote. It is totally available, and reads are of what is committed."""
from maelstrom import Node

node = Node()
registers = {}


@node.on("txn")
def txn(message):
    done = []
    written = []
    with node.lock:
        for function, key, value in message["body"]["txn"]:
            if function == "w":
                registers[key] = value
                written.append([key, value])
            done.append([function, key, registers.get(key)])
        for peer in node.peers():
            node.send(peer, {"type": "share", "written": written})
    return {"type": "txn_ok", "txn": done}


@node.on("share")
def share(message):
    with node.lock:
        for key, value in message["body"]["written"]:
            registers[key] = value


node.run()
