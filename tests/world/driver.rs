//! One node that a test drives by hand.

use std::time::Duration;

use eddy::node::{Node, Workload};
use serde_json::{Value, json};

/// A node without a network: the test passes messages to it, and takes the messages that it sends.
pub struct Driver<W>(pub Node<W>);

impl<W: Workload> Driver<W> {
    /// The node `id` of `n0`, `n1` and `n2`, which gets its `init` at this time.
    pub fn start(id: &str, mut node: Node<W>, now: Duration) -> Self {
        let init =
            json!({"type": "init", "node_id": id, "node_ids": ["n0", "n1", "n2"], "msg_id": 0});
        let line = json!({"src": "c0", "dest": id, "body": init}).to_string();
        node.receive(&line, now).expect("init is a message");
        let mut driver = Driver(node);
        driver.output();
        driver
    }

    /// Passes a message to the node, and takes what it sends.
    pub fn send(&mut self, now_ms: u64, src: &str, body: Value) -> Vec<Value> {
        let line = json!({"src": src, "dest": "n?", "body": body}).to_string();
        let now = Duration::from_millis(now_ms);
        self.0.receive(&line, now).expect("it is a message");
        self.output()
    }

    /// Wakes the node if its deadline has passed, and takes what it sends.
    pub fn wake(&mut self, now_ms: u64) -> Vec<Value> {
        let now = Duration::from_millis(now_ms);
        if self.0.deadline().is_some_and(|deadline| deadline <= now) {
            self.0.wake(now);
        }
        self.output()
    }

    /// Takes the messages that the node has written.
    pub fn output(&mut self) -> Vec<Value> {
        let output = str::from_utf8(self.0.output()).expect("nodes write UTF-8");
        let messages = output.lines();
        let messages = messages.map(|line| serde_json::from_str(line).expect("nodes write JSON"));
        let messages = messages.collect();
        self.0.written(self.0.output().len());
        messages
    }
}
