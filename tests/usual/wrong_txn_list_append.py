#!/usr/bin/env python3
"""Wrong: writes all lists with what was appended, whatever others have appended in between."""
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
    lists = read_lists()
    done = []
    for function, key, value in message["body"]["txn"]:
        # The keys of a JSON object are strings.
        name = str(key)
        if function == "append":
            lists.setdefault(name, []).append(value)
            done.append([function, key, value])
        else:
            done.append([function, key, list(lists[name]) if name in lists else None])
    node.rpc("lin-kv", {"type": "write", "key": "lists", "value": lists})
    return {"type": "txn_ok", "txn": done}


node.run()
