#!/usr/bin/env python3
"""Ids are the node's name and a count."""
import itertools

from maelstrom import Node

node = Node()
count = itertools.count()


@node.on("generate")
def generate(message):
    return {"type": "generate_ok", "id": f"{node.id}-{next(count)}"}


node.run()
