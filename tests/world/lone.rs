//! One node in the hands of a test, which is its clients, its store and its peers, and lets time pass.
#![allow(dead_code, reason = "every program uses what it needs of the node")]

use std::time::Duration;

use eddy::node::Workload;
use serde_json::{Value, json};

use super::driver::Driver;
use super::store::Store;

/// A request of client `c1`.
pub struct Request {
    pub body: Value,
    /// By then it has to be answered.
    pub deadline: Duration,
    /// The body of its answer.
    pub answer: Option<Value>,
}

/// Node `n0` of three. It answers each request once and in time, and never asks to be woken in the past.
pub struct Lone<W> {
    node: Driver<W>,
    op_timeout: Duration,
    pub now: Duration,
    pub store: Store,
    /// All messages to the store, under whatever name.
    pub questions: Vec<Value>,
    pub requests: Vec<Request>,
}

impl<W: Workload> Lone<W> {
    pub fn new(workload: W, op_timeout: Duration) -> Self {
        let now = Duration::from_secs(1000);
        Lone {
            node: Driver::start("n0", workload, now),
            op_timeout,
            now,
            store: Store::default(),
            questions: Vec::new(),
            requests: Vec::new(),
        }
    }

    /// The node gets a message.
    pub fn tell(&mut self, src: &str, body: Value) {
        self.receive(&json!({"src": src, "dest": "n0", "body": body}).to_string());
    }

    /// The node gets a line, which may be no message at all.
    pub fn receive(&mut self, line: &str) {
        let _ = self.node.0.receive(line, self.now);
        self.listen();
    }

    /// A client asks something.
    pub fn ask(&mut self, mut body: Value) {
        body["msg_id"] = json!(self.requests.len());
        self.requests.push(Request {
            body: body.clone(),
            deadline: self.now.saturating_add(self.op_timeout),
            answer: None,
        });
        self.tell("c1", body);
    }

    /// The store does what it is asked, and answers it.
    pub fn answer(&mut self, question: usize) {
        let answer = self.store.handle(&self.questions[question]["body"]);
        self.answer_with(question, answer);
    }

    /// The store, or whoever was asked, answers this.
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

    /// When the node wants to be woken.
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
            }
        }
    }

    /// Time passes, and the node is woken whenever it wants.
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

    /// The node is woken at this time.
    pub fn wake(&mut self, now: Duration) {
        self.now = now;
        self.node.0.wake(now);
        self.listen();
    }
}
