#!/usr/bin/env python3
"""Wrong: sends back what it was sent before."""
from maelstrom import Node

node = Node()
before = None


@node.on("echo")
def echo(message):
    global before
    with node.lock:
        answer, before = before, message["body"]["echo"]
    return {"type": "echo_ok", "echo": answer}


node.run()
