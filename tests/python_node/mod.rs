//! Nodes that are a few lines of Python each.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// An echo node in Python. `wrong` is done before each answer; it may see and change `message` and its `body`.
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

/// Writes a program where a test can run it.
pub fn program(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("the test's folder can be written to");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    path
}
