#!/usr/bin/env python3
"""Wrong: every node counts from 0."""
import itertools

from maelstrom import Node

node = Node()
count = itertools.count()


@node.on("generate")
def generate(message):
    return {"type": "generate_ok", "id": next(count)}


node.run()
