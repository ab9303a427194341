//! One node and a test that plays its clients, its store and its peers, in virtual time.

use std::time::Duration;

use eddy::node::{Node, Workload};
use serde_json::{Value, json};

use crate::world::driver::Driver;
use crate::world::store::Store;

/// A request of client `c1`.
pub struct Request {
    pub body: Value,
    /// The time by which it must be answered.
    pub deadline: Duration,
    /// The body of the reply.
    pub answer: Option<Value>,
}

/// Node `n0` of three. Asserts that the node answers each request exactly once and in time, and never asks to be woken
/// in the past.
pub struct Lone<W> {
    node: Driver<W>,
    op_timeout: Duration,
    pub now: Duration,
    pub store: Store,
    /// All requests of the node to stores, under any address.
    pub questions: Vec<Value>,
    /// All messages of the node to its peers.
    pub to_peers: Vec<Value>,
    pub requests: Vec<Request>,
}

impl<W: Workload> Lone<W> {
    pub fn new(node: Node<W>, op_timeout: Duration) -> Self {
        let now = Duration::from_secs(1000);
        Lone {
            node: Driver::start("n0", node, now),
            op_timeout,
            now,
            store: Store::default(),
            questions: Vec::new(),
            to_peers: Vec::new(),
            requests: Vec::new(),
        }
    }

    /// Passes a message to the node.
    pub fn tell(&mut self, src: &str, body: Value) {
        self.receive(&json!({"src": src, "dest": "n0", "body": body}).to_string());
    }

    /// Passes a line to the node, which need not be a message.
    pub fn receive(&mut self, line: &str) {
        let _ = self.node.0.receive(line, self.now);
        self.listen();
    }

    /// A client sends a request.
    pub fn ask(&mut self, mut body: Value) {
        body["msg_id"] = json!(self.requests.len());
        self.requests.push(Request {
            body: body.clone(),
            deadline: self.now.saturating_add(self.op_timeout),
            answer: None,
        });
        self.tell("c1", body);
    }

    /// The store performs a request of the node and replies.
    pub fn answer(&mut self, question: usize) {
        let answer = self.store.handle(&self.questions[question]["body"]);
        self.answer_with(question, answer);
    }

    /// The store, or whichever service the request went to, replies with `answer`.
    pub fn answer_with(&mut self, question: usize, mut answer: Value) {
        let question = &self.questions[question];
        answer["in_reply_to"] = question["body"]["msg_id"].clone();
        let store = question["dest"].as_str().expect("it is text").to_string();
        self.tell(&store, answer);
    }

    /// The input ends.
    pub fn finish(&mut self) {
        self.node.0.finish();
        self.listen();
        let mut requests = self.requests.iter();
        assert!(
            requests.all(|request| request.answer.is_some()),
            "not answered at the end of input"
        );
    }

    /// The node's next deadline.
    pub fn deadline(&self) -> Option<Duration> {
        self.node.0.deadline()
    }

    fn listen(&mut self) {
        for message in self.node.output() {
            assert_eq!(message["src"], "n0");
            let dest = message["dest"].as_str().expect("it is text");
            let in_reply_to = &message["body"]["in_reply_to"];
            if dest == "c1" {
                let id = in_reply_to.as_u64().expect("it is a reply") as usize;
                let request = &mut self.requests[id];
                assert_eq!(request.answer, None, "answered twice: {message}");
                assert!(self.now <= request.deadline, "late: {message}");
                request.answer = Some(message["body"].clone());
            } else if dest.ends_with("-kv") && in_reply_to.is_null() {
                self.questions.push(message);
            } else if dest.starts_with('n') {
                self.to_peers.push(message);
            }
        }
    }

    /// Lets time pass and wakes the node at each deadline.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self.deadline().filter(|deadline| *deadline <= until) {
            self.wake(self.now.max(deadline));
            let next = self.deadline();
            assert!(next.is_none_or(|next| next > self.now), "it would spin");
        }
        self.now = until;
        for request in &self.requests {
            let is_in_time = request.answer.is_some() || request.deadline > self.now;
            assert!(is_in_time, "not answered in time: {}", request.body);
        }
    }

    /// Wakes the node at this time.
    pub fn wake(&mut self, now: Duration) {
        self.now = now;
        self.node.0.wake(now);
        self.listen();
    }
}
