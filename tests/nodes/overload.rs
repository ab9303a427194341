//! A counter with ten times the load that it can serve goes on serving as much as it can, in time, and refuses the
//! rest at once. In virtual time, with a store that takes a while for each reply.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::world::driver::Driver;
use crate::world::store::Store;
use allocation_counter::measure;
use eddy::node::{Limits, Node};
use eddy::workload::GCounter;
use eddy::workload::g_counter::{Consistency, Options};
use serde_json::{Value, json};

const PENDING_MAX: usize = 200;
const BATCH_MAX: usize = 16;
const STORE_US: u64 = 10_000;
const SECONDS: u64 = 2;

struct Overload {
    node: Driver<GCounter>,
    now_us: u64,
    store: Store,
    /// Replies of the store and the times of their arrival, in order, because each takes the same time.
    answers: VecDeque<(u64, Value)>,
    /// When each accepted operation was requested.
    waiting: BTreeMap<u64, u64>,
    asked: u64,
    answered: u64,
    refused: u64,
    longest_wait_us: u64,
    most_waiting: usize,
    /// The growth of the node's memory.
    grown_bytes: i64,
}

impl Overload {
    fn new(consistency: Consistency) -> Self {
        let options = Options {
            consistency,
            limits: Limits {
                pending_max: PENDING_MAX,
                ..Limits::default()
            },
            batch_max: BATCH_MAX,
            ..Options::default()
        };
        Overload {
            node: Driver::start("n0", Node::new(GCounter::new(options, 1)), Duration::ZERO),
            now_us: 0,
            store: Store::default(),
            answers: VecDeque::new(),
            waiting: BTreeMap::new(),
            asked: 0,
            answered: 0,
            refused: 0,
            longest_wait_us: 0,
            most_waiting: 0,
            grown_bytes: 0,
        }
    }

    fn receive(&mut self, src: &str, body: Value) {
        let line = json!({"src": src, "dest": "n0", "body": body}).to_string();
        let now = Duration::from_micros(self.now_us);
        let memory = measure(|| self.node.0.receive(&line, now).expect("it is a message"));
        self.grown_bytes += memory.bytes_current;
    }

    /// Sends a request; every other one is an add.
    fn ask(&mut self) {
        self.asked += 1;
        let msg_id = self.asked;
        self.waiting.insert(msg_id, self.now_us);
        self.receive(
            "c1",
            match msg_id % 2 {
                0 => json!({"type": "add", "delta": 1, "msg_id": msg_id}),
                _ => json!({"type": "read", "msg_id": msg_id}),
            },
        );
        let refused = self.refused;
        self.listen();
        assert!(
            self.refused == refused || !self.waiting.contains_key(&msg_id),
            "refused, but not at once"
        );
        self.most_waiting = self.most_waiting.max(self.waiting.len());
    }

    fn listen(&mut self) {
        for message in self.node.output() {
            let body = &message["body"];
            if message["dest"] == "seq-kv" {
                let answer = self.store.handle(body);
                self.answers.push_back((self.now_us + STORE_US, answer));
                continue;
            }
            let msg_id = body["in_reply_to"].as_u64().expect("replies say to what");
            let asked_us = self.waiting.remove(&msg_id).expect("it is answered once");
            let waited_us = self.now_us - asked_us;
            if body["type"] == "error" {
                assert_eq!((&body["code"], waited_us), (&json!(11), 0), "{message}");
                self.refused += 1;
            } else {
                self.answered += 1;
                self.longest_wait_us = self.longest_wait_us.max(waited_us);
            }
        }
    }

    /// Sends `asked_a_second` requests per second for some time.
    fn run(&mut self, asked_a_second: u64, seconds: u64) {
        let until_us = self.now_us + seconds * 1_000_000;
        let mut ask_us = self.now_us;
        while ask_us < until_us {
            let answer_us = self.answers.front().map(|(answer_us, _)| *answer_us);
            let next =
                Duration::from_micros(answer_us.map_or(ask_us, |answer_us| answer_us.min(ask_us)));
            if let Some(deadline) = self.node.0.deadline().filter(|deadline| *deadline <= next) {
                let deadline_us = deadline.as_nanos().div_ceil(1000) as u64;
                self.now_us = self.now_us.max(deadline_us);
                self.node.0.wake(Duration::from_micros(self.now_us));
                self.listen();
                continue;
            }
            match self.answers.front() {
                Some((answer_us, _)) if *answer_us <= ask_us => {
                    let (answer_us, answer) = self.answers.pop_front().expect("there is one");
                    self.now_us = answer_us;
                    self.receive("seq-kv", answer);
                    self.listen();
                }
                _ => {
                    self.now_us = ask_us;
                    self.ask();
                    ask_us += 1_000_000 / asked_a_second;
                }
            }
        }
    }
}

/// How many requests a level answers in [`SECONDS`] seconds under this load.
fn answered(consistency: Consistency, asked_a_second: u64) -> u64 {
    let mut overload = Overload::new(consistency);
    overload.run(asked_a_second, SECONDS);
    overload.answered
}

#[test]
fn at_ten_times_the_load_accepted_operations_are_on_time_and_the_rest_is_refused_at_once() {
    for consistency in [
        Consistency::Regular,
        Consistency::Linearizable,
        Consistency::Sequential,
    ] {
        let loads = [200, 400, 800, 1_600, 3_200];
        let peak = loads
            .map(|load| answered(consistency, load))
            .into_iter()
            .max();
        let peak = peak.expect("there are loads");
        let mut overload = Overload::new(consistency);
        let flood = 10 * peak / SECONDS;
        overload.run(flood, 1);
        let (warm, warm_bytes) = (overload.answered, overload.grown_bytes);
        overload.run(flood, SECONDS);
        let answered = overload.answered - warm;
        println!(
            "{consistency:?}: {peak} answered at the peak, {answered} at {flood} a second, {} refused, longest wait {} us",
            overload.refused, overload.longest_wait_us
        );
        assert!(
            answered * 10 >= peak * 8,
            "{consistency:?}: {answered} of {peak}"
        );
        assert!(
            overload.refused > 8 * answered,
            "{consistency:?}: it was no flood"
        );
        assert!(overload.longest_wait_us < 4_500_000, "{consistency:?}");
        assert_eq!(overload.most_waiting, PENDING_MAX, "{consistency:?}");
        assert_eq!(
            overload.grown_bytes, warm_bytes,
            "{consistency:?}: it takes more and more memory"
        );
    }
}

#[test]
fn reads_that_wait_for_peers_are_refused_at_once_above_the_limit() {
    let mut overload = Overload::new(Consistency::Eventual);
    for read in 0..3 * PENDING_MAX as u64 {
        let body = json!({"type": "read", "msg_id": read});
        overload.receive("c1", body);
    }
    let output = overload.node.output().into_iter();
    let refused: Vec<Value> = output.filter(|message| message["dest"] == "c1").collect();
    assert_eq!(refused.len(), 2 * PENDING_MAX);
    for (read, message) in (PENDING_MAX..).zip(&refused) {
        let body = &message["body"];
        assert_eq!(
            (&body["in_reply_to"], &body["code"]),
            (&json!(read), &json!(11))
        );
    }
}
