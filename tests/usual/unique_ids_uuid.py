#!/usr/bin/env python3
"""Ids are whole numbers of 128 bits."""
import uuid

from maelstrom import Node

node = Node()


@node.on("generate")
def generate(message):
    return {"type": "generate_ok", "id": uuid.uuid4().int}


node.run()
