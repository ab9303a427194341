#!/usr/bin/env python3
"""Wrong: every node keeps logs of its own, so that an offset holds another message on each."""
from maelstrom import Node

node = Node()
logs = {}


@node.on("send")
def send(message):
    with node.lock:
        log = logs.setdefault(message["body"]["key"], [])
        log.append(message["body"]["msg"])
        return {"type": "send_ok", "offset": len(log) - 1}


@node.on("poll")
def poll(message):
    with node.lock:
        offsets = message["body"]["offsets"].items()
        msgs = {key: list(enumerate(logs.get(key, [])))[offset:] for key, offset in offsets}
        return {"type": "poll_ok", "msgs": msgs}


@node.on("commit_offsets")
def commit_offsets(message):
    return {"type": "commit_offsets_ok"}


@node.on("list_committed_offsets")
def list_committed_offsets(message):
    return {"type": "list_committed_offsets_ok", "offsets": {}}


node.run()
