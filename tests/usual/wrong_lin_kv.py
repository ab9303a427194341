#!/usr/bin/env python3
"""Wrong: asks seq-kv, whose reads may be of the past."""
from maelstrom import Node

node = Node()


def ask_service(message):
    request = dict(message["body"])
    del request["msg_id"]
    reply = node.rpc("seq-kv", request)
    return {name: value for name, value in reply.items() if name in ("type", "value")}


for kind in "read", "write", "cas":
    node.on(kind)(ask_service)

node.run()
