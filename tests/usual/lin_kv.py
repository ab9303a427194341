#!/usr/bin/env python3
"""Whatever is asked is asked of the service lin-kv."""
from maelstrom import Node

node = Node()


def ask_service(message):
    request = dict(message["body"])
    del request["msg_id"]
    reply = node.rpc("lin-kv", request)
    return {name: value for name, value in reply.items() if name in ("type", "value")}


for kind in "read", "write", "cas":
    node.on(kind)(ask_service)

node.run()
