#!/usr/bin/env python3
"""All lists are one value in lin-kv. A transaction reads it and swaps it; if another was faster, it is given up."""
from maelstrom import Error, Node

node = Node()


def read_lists():
    try:
        return node.rpc("lin-kv", {"type": "read", "key": "lists"})["value"]
    except Error as error:
        if error.code != 20:
            raise
        return {}


@node.on("txn")
def txn(message):
    before = read_lists()
    after = dict(before)
    done = []
    for function, key, value in message["body"]["txn"]:
        # The keys of a JSON object are strings.
        name = str(key)
        if function == "append":
            after[name] = after.get(name, []) + [value]
            done.append([function, key, value])
        else:
            done.append([function, key, after.get(name)])
    swap = {"type": "cas", "key": "lists", "from": before, "to": after, "create_if_not_exists": True}
    try:
        node.rpc("lin-kv", swap)
    except Error as error:
        if error.code != 22:
            raise
        raise Error(30, "another transaction was faster")
    return {"type": "txn_ok", "txn": done}


node.run()
