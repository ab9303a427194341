//! A node for these tests, which a client can let do anything.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::OnceLock;

/// | request | what the node does |
/// |---|---|
/// | `seen` | answers with all messages that it has got from others than clients, as `messages`, and with its `src` |
/// | `tell` | sends the message `message` to `dest` |
/// | `say` | prints `text` on stdout |
/// | `log` | prints `text` on stderr |
/// | `pid` | answers with its process id |
/// | `big` | answers with a text of `bytes` bytes |
/// | `hold` | answers when it gets SIGUSR1 |
/// | `never` | does not answer |
/// | `end` | exits with 7 |
/// | anything else of a client | answers with it |
const TEXT: &str = r#"#!/usr/bin/env python3
import json, os, signal, sys

def say(dest, body):
    sys.stdout.write(json.dumps({"src": me, "dest": dest, "body": body}) + "\n")
    sys.stdout.flush()

def answer_held(*_):
    while held:
        src, msg_id = held.pop(0)
        say(src, {"type": "hold_ok", "in_reply_to": msg_id})

held, messages = [], []
signal.signal(signal.SIGUSR1, answer_held)
for line in iter(sys.stdin.readline, ""):
    message = json.loads(line)
    src, body = message["src"], message["body"]
    kind, answer = body["type"], {"in_reply_to": body.get("msg_id")}
    if kind == "init":
        me = body["node_id"]
        nodes = body["node_ids"]
    elif not src.startswith("c") or "in_reply_to" in body:
        messages.append([src, body])
        continue
    elif kind == "seen":
        answer.update(messages=messages, src=src, nodes=nodes)
    elif kind == "tell":
        say(body["dest"], body["message"])
    elif kind == "say":
        print(body["text"], flush=True)
    elif kind == "log":
        print(body["text"], file=sys.stderr, flush=True)
    elif kind == "pid":
        answer.update(pid=os.getpid())
    elif kind == "big":
        answer.update(text="x" * body["bytes"])
    elif kind == "hold":
        held.append((src, body["msg_id"]))
        continue
    elif kind == "never":
        continue
    elif kind == "end":
        sys.exit(7)
    else:
        answer = {**body, **answer}
    answer["type"] = kind + "_ok"
    say(src, answer)
"#;

/// The path of the node.
pub fn parrot() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| program("parrot.py", TEXT))
}

/// Writes an executable program.
pub fn program(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("serve-{name}"));
    fs::write(&path, text).expect("the test's folder can be written to");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    path
}
