//! Nodes of a few lines of Python each.

/// An echo node in Python. It runs the statement `wrong` before each reply, which may read and change `message` and
/// its `body`.
pub fn echo_node(wrong: &str) -> String {
    format!(
        r#"#!/usr/bin/env python3
import json, os, sys, time
def say(dest, body):
    print(json.dumps({{"src": me, "dest": dest, "body": body}}), flush=True)
count = 0
for line in sys.stdin:
    message = json.loads(line)
    body = message["body"]
    if body["type"] == "init":
        me = body["node_id"]
        say(message["src"], {{"type": "init_ok", "in_reply_to": body["msg_id"]}})
        continue
    count += 1
    {wrong}
    say(message["src"], {{"type": "echo_ok", "echo": body["echo"], "in_reply_to": body["msg_id"]}})
"#
    )
}
