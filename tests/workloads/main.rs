//! Every workload end to end: a correct node is valid, and each node with a planted fault is caught, with its fault
//! named.
#![cfg(feature = "workbench")]

#[path = "../command/mod.rs"]
mod command;
mod counters;
mod flags;
mod ids;
mod logs;
#[path = "../program/mod.rs"]
mod program;
mod sets;
mod stores;

use command::eddy;
use command::output::{stderr, stdout};
use program::program;

/// A node in Python. It begins with `state`. For each message, with `kind` and `body` of the request, it runs `wrong`,
/// which may `continue`, and then `right`.
fn node(state: &str, wrong: &str, right: &str) -> String {
    let indented = |text: &str| text.replace('\n', "\n    ");
    format!(
        r#"#!/usr/bin/env python3
import json, sys
def say(dest, body):
    print(json.dumps({{"src": me, "dest": dest, "body": body}}), flush=True)
def reply(**fields):
    say(message["src"], dict(fields, in_reply_to=body["msg_id"]))
def refuse(code):
    reply(type="error", code=code, text="no")
def share(**fields):
    for peer in peers: say(peer, dict(fields, type="share"))
count = 0
{state}
for line in sys.stdin:
    message = json.loads(line)
    body = message["body"]
    kind = body["type"]
    if kind == "init":
        me = body["node_id"]
        peers = [other for other in body["node_ids"] if other != me]
        reply(type="init_ok")
        continue
    count += 1
    {}
    {}
"#,
        indented(wrong),
        indented(right)
    )
}

/// A kind of node.
struct Kind {
    workload: &'static str,
    state: &'static str,
    right: &'static str,
    flags: &'static str,
}

impl Kind {
    /// Runs a node with this fault, and returns its exit code and output.
    fn run(&self, name: &str, wrong: &str, more: &str) -> (i32, String) {
        let name = format!("{}-{name}.py", self.workload);
        let path = program(&name, &node(self.state, wrong, self.right));
        let flags = format!("{} --recovery 0 --strict {more}", self.flags);
        let output = eddy(self.workload, &path, &flags).output();
        let output = output.expect("eddy is built");
        assert_eq!(stderr(&output), "");
        (output.status.code().expect("a code"), stdout(&output))
    }

    #[track_caller]
    fn assert_valid(&self, name: &str, more: &str) {
        let (code, printed) = self.run(name, "pass", more);
        assert_eq!(code, 0, "{printed}");
    }

    #[track_caller]
    fn assert_caught(&self, name: &str, wrong: &str, words: &str) {
        let (code, printed) = self.run(name, wrong, "");
        assert_eq!(code, 1, "{printed}");
        assert!(printed.contains(words), "no {words:?} in: {printed}");
    }
}
