#!/usr/bin/env python3
"""Each log is kept by one node, and the others pass on what is asked about it. A commit overwrites the one before. A poll
of a log without messages tells null, and a log without a commit has the committed offset 0, as a Go program writes an
empty slice and what a map does not hold."""
from maelstrom import Node

node = Node()
logs = {}
committed = {}


def owner(key):
    return node.ids[sum(key.encode()) % len(node.ids)]


def of_owner(key, kind, own, **fields):
    """Asks the owner of a log, which may be this node."""
    if owner(key) == node.id:
        return own(key, **fields)
    return node.rpc(owner(key), dict(fields, type=kind, key=key))["answer"]


def asked_by_peer(kind, own):
    def handler(message):
        fields = dict(message["body"])
        del fields["type"], fields["msg_id"]
        return {"type": kind + "_ok", "answer": own(**fields)}
    node.on(kind)(handler)


def own_append(key, msg):
    with node.lock:
        log = logs.setdefault(key, [])
        log.append(msg)
        return len(log) - 1


def own_read(key, offset):
    with node.lock:
        messages = list(enumerate(logs.get(key, [])))
    return messages[offset:] or None


def own_commit(key, offset):
    with node.lock:
        committed[key] = offset


def own_committed(key):
    with node.lock:
        return committed.get(key, 0)


asked_by_peer("append", own_append)
asked_by_peer("read", own_read)
asked_by_peer("commit", own_commit)
asked_by_peer("committed", own_committed)


@node.on("send")
def send(message):
    body = message["body"]
    return {"type": "send_ok", "offset": of_owner(body["key"], "append", own_append, msg=body["msg"])}


@node.on("poll")
def poll(message):
    offsets = message["body"]["offsets"].items()
    msgs = {key: of_owner(key, "read", own_read, offset=offset) for key, offset in offsets}
    return {"type": "poll_ok", "msgs": msgs}


@node.on("commit_offsets")
def commit_offsets(message):
    for key, offset in message["body"]["offsets"].items():
        of_owner(key, "commit", own_commit, offset=offset)
    return {"type": "commit_offsets_ok"}


@node.on("list_committed_offsets")
def list_committed_offsets(message):
    keys = message["body"]["keys"]
    offsets = {key: of_owner(key, "committed", own_committed) for key in keys}
    return {"type": "list_committed_offsets_ok", "offsets": offsets}


node.run()
