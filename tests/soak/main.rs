//! A counter serves millions of messages while its store fails and it is killed repeatedly, and its memory does not
//! grow.
//!
//! In virtual time, on the real core with its framing: each client sends its next request when the last is answered,
//! the store's messages are lost, repeated, delayed and refused, useless lines arrive, and nodes are killed. `cargo
//! test --release --test soak -- --ignored` is the long form.

#[path = "../world/mod.rs"]
mod world;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use eddy::node::{Node, Random};
use eddy::protocol::LineReader;
use eddy::workload::GCounter;
use eddy::workload::g_counter::{Consistency, Options};
use serde_json::{Value, json};
use world::Faults;
use world::driver::Driver;
use world::run::{self, Run};
use world::store::{Store, error, reply_to};

const CLIENTS: usize = 40;
/// The number of messages after which the node is killed.
const MESSAGES_AN_INCARNATION: u64 = 100_000;

/// The number of operations at the eventual level that the test keeps before it checks and drops them, so that the
/// test's own memory does not grow.
const OPERATIONS_KEPT: usize = 900;

/// Longer than a late message takes, and everything that follows from it.
const REST_MS: u64 = 10_000;

/// An operation under way.
struct Operation {
    client: usize,
    delta: Option<i64>,
    /// What was acknowledged when it began: a read must not return less.
    acknowledged: i64,
    deadline_us: u64,
}

struct Soak {
    node: Driver<GCounter>,
    reader: LineReader,
    options: Options,
    random: Random,
    now_us: u64,
    messages: u64,
    sent: u64,
    /// Lines in flight to the node, and requests in flight to the store.
    under_way: BinaryHeap<Reverse<(u64, u64, bool, String)>>,
    store: Store,
    next_msg_id: u64,
    operations: BTreeMap<u64, Operation>,
    acknowledged: i64,
    unsure: i64,
    failed: u64,
    succeeded: u64,
}

impl Soak {
    fn new(consistency: Consistency) -> Self {
        let options = Options {
            consistency,
            ..Options::default()
        };
        let mut soak = Soak {
            node: Driver::start(
                "n0",
                Node::new(GCounter::new(options.clone(), 0)),
                Duration::ZERO,
            ),
            reader: LineReader::new(1 << 16),
            options,
            random: Random::new(7),
            now_us: 0,
            messages: 0,
            sent: 0,
            under_way: BinaryHeap::new(),
            store: Store::default(),
            next_msg_id: 0,
            operations: BTreeMap::new(),
            acknowledged: 0,
            unsure: 0,
            failed: 0,
            succeeded: 0,
        };
        (0..CLIENTS).for_each(|client| soak.ask(client));
        soak
    }

    /// The node is killed and starts again.
    fn kill(&mut self) {
        let workload = GCounter::new(self.options.clone(), self.random.next_u64());
        self.node = Driver::start("n0", Node::new(workload), self.now());
        for operation in std::mem::take(&mut self.operations).into_values() {
            self.unsure += operation.delta.unwrap_or(0);
            self.ask(operation.client);
        }
    }

    fn now(&self) -> Duration {
        Duration::from_micros(self.now_us)
    }

    fn post(&mut self, is_to_store: bool, delay_us: u64, line: String) {
        self.sent += 1;
        self.under_way.push(Reverse((
            self.now_us + delay_us,
            self.sent,
            is_to_store,
            line,
        )));
    }

    /// Loses one message in twenty, repeats one, and delays one by up to two seconds.
    fn post_with_faults(&mut self, is_to_store: bool, line: String) {
        let copies = match self.random.below(20) {
            0 => 0,
            1 => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let late_us = if self.random.below(20) == 0 {
                2_000_000
            } else {
                2_000
            };
            let delay_us = self.random.below(late_us);
            self.post(is_to_store, delay_us, line.clone());
        }
    }

    fn ask(&mut self, client: usize) {
        self.next_msg_id += 1;
        let msg_id = self.next_msg_id;
        let delta = (self.random.below(2) == 0).then(|| self.random.below(5) as i64);
        let body = match delta {
            Some(delta) => json!({"type": "add", "delta": delta, "msg_id": msg_id}),
            None => json!({"type": "read", "msg_id": msg_id}),
        };
        // The deadline counts from the arrival at the node.
        let delay_us = self.random.below(1_000);
        let operation = Operation {
            client,
            delta,
            acknowledged: self.acknowledged,
            deadline_us: self.now_us + delay_us + self.options.limits.op_timeout.as_micros() as u64,
        };
        self.operations.insert(msg_id, operation);
        let line = json!({"src": format!("c{client}"), "dest": "n0", "body": body}).to_string();
        self.post(false, delay_us, line);
    }

    /// Passes a line to the node through its framing, sometimes with a useless line before it.
    fn receive(&mut self, line: &str) {
        let noise = match self.random.below(100) {
            0 => "hello\n",
            1 => {
                "{\"src\":\"seq-kv\",\"dest\":\"n0\",\"body\":{\"type\":\"cas_ok\",\"in_reply_to\":77}}\n"
            }
            2 => "\n",
            _ => "",
        };
        let now = self.now();
        for part in [noise, line, "\n"] {
            self.reader.space()[..part.len()].copy_from_slice(part.as_bytes());
            self.reader.filled(part.len());
            for line in self.reader.lines() {
                // A useless line is refused.
                let _ = self
                    .node
                    .0
                    .receive(line.expect("lines are short and UTF-8"), now);
            }
        }
        self.messages += 1;
    }

    /// The store sometimes refuses a request, or performs it and replies that the outcome is unknown.
    fn handle(&mut self, request: &str) {
        let request: Value = serde_json::from_str(request).expect("nodes write JSON");
        let body = &request["body"];
        let answer = match self.random.below(50) {
            0 => reply_to(body, error(11)),
            1 if body["type"] == "cas" => {
                self.store.handle(body);
                reply_to(body, error(13))
            }
            _ => self.store.handle(body),
        };
        let line = json!({"src": "seq-kv", "dest": "n0", "body": answer}).to_string();
        self.post_with_faults(false, line);
    }

    fn complete(&mut self, body: &Value) {
        let msg_id = body["in_reply_to"].as_u64().expect("replies say to what");
        let Some(operation) = self.operations.remove(&msg_id) else {
            // The request was sent to an earlier incarnation of the node, and is counted in `unsure`.
            assert!(msg_id <= self.next_msg_id);
            return;
        };
        assert!(
            self.now_us <= operation.deadline_us + 1,
            "answered late: {body}"
        );
        match (body["type"].as_str(), operation.delta) {
            (Some("add_ok"), Some(delta)) => self.acknowledged += delta,
            (Some("read_ok"), None) => {
                let value = body["value"].as_i64().expect("values are numbers");
                assert!(
                    value >= operation.acknowledged,
                    "it misses what was acknowledged: {body}"
                );
            }
            (Some("error"), delta) => {
                self.failed += 1;
                let is_unsure = body["code"] == 0;
                self.unsure += delta.filter(|_| is_unsure).unwrap_or(0);
            }
            _ => panic!("no answer to that: {body}"),
        }
        self.succeeded += u64::from(body["type"] != "error");
        self.ask(operation.client);
    }

    fn listen(&mut self) {
        for message in self.node.output() {
            self.messages += 1;
            match message["dest"] == "seq-kv" {
                true => self.post_with_faults(true, message.to_string()),
                false => self.complete(&message["body"]),
            }
        }
    }

    fn run(&mut self, messages: u64) {
        let until = self.messages + messages;
        while self.messages < until {
            let arrival_us = self
                .under_way
                .peek()
                .map(|Reverse((arrival_us, ..))| *arrival_us);
            let deadline_us = self
                .node
                .0
                .deadline()
                .map(|deadline| deadline.as_micros() as u64 + 1);
            if deadline_us.is_some_and(|deadline_us| {
                arrival_us.is_none_or(|arrival_us| deadline_us <= arrival_us)
            }) {
                self.now_us = self.now_us.max(deadline_us.expect("it is some"));
                self.node.0.wake(self.now());
                self.listen();
                continue;
            }
            let Reverse((arrival_us, _, is_to_store, line)) =
                self.under_way.pop().expect("clients never rest");
            self.now_us = arrival_us;
            match is_to_store {
                true => self.handle(&line),
                false => self.receive(&line),
            }
            self.listen();
        }
    }

    fn check(&self) {
        let key = match self.options.consistency {
            Consistency::Regular => "g-counter/n0",
            _ => "g-counter",
        };
        let register = self.store.get(key).expect("it has been changed");
        let total = register[0].as_i64().expect("totals are numbers");
        let under_way: i64 = self
            .operations
            .values()
            .filter_map(|operation| operation.delta)
            .sum();
        let most = self.acknowledged + self.unsure + under_way;
        assert!(
            (self.acknowledged..=most).contains(&total),
            "{} to {most}: {total}",
            self.acknowledged
        );
        assert!(
            self.succeeded > 10 * self.failed,
            "{} succeeded, {} failed",
            self.succeeded,
            self.failed
        );
    }
}

fn resident_kib() -> u64 {
    let status =
        std::fs::read_to_string("/proc/self/status").expect("Linux shows this for every process");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.expect("it is shown for every process").trim();
    let (kib, _) = resident.split_once(" kB").expect("it is shown in kB");
    kib.parse().expect("it is a number")
}

/// The first half of the messages and kills warms up. After the rest, resident memory must be at most 5% higher.
fn soak(messages_a_level: u64) {
    for consistency in [
        Consistency::Regular,
        Consistency::Linearizable,
        Consistency::Sequential,
    ] {
        let mut soak = Soak::new(consistency);
        let kills = (messages_a_level / MESSAGES_AN_INCARNATION).max(20);
        let mut run = |kills_here| {
            for _ in 0..kills_here {
                soak.run(messages_a_level / kills);
                soak.kill();
            }
            resident_kib()
        };
        let warm_kib = run(kills / 2);
        let resident_kib = run(kills);
        println!(
            "{consistency:?}: {} messages, {} operations succeeded, {} failed; {warm_kib} KiB, then {resident_kib} KiB",
            soak.messages, soak.succeeded, soak.failed
        );
        assert!(
            resident_kib <= warm_kib + warm_kib / 20,
            "{warm_kib} KiB grew to {resident_kib} KiB"
        );
        soak.check();
        // At the end of input the node answers all pending operations, and resolves those in doubt by the store.
        // Nothing stays pending.
        soak.node.0.finish();
        soak.node.output();
        let mut turns = 0;
        while let Some(deadline) = soak.node.0.deadline() {
            soak.now_us = soak.now_us.max(deadline.as_micros() as u64 + 1);
            soak.node.0.wake(soak.now());
            for message in soak.node.output() {
                soak.handle(&message.to_string());
            }
            while let Some(Reverse((_, _, is_to_store, line))) = soak.under_way.pop() {
                match is_to_store {
                    true => soak.handle(&line),
                    false if line.contains("seq-kv") => soak.receive(&line),
                    false => {}
                }
            }
            turns += 1;
            assert!(turns < 100, "something stays pending");
        }
    }
}

/// The same for three counters at the eventual level, while messages between them are lost, repeated and delayed.
fn soak_eventual(messages: u64) {
    let options = Options {
        consistency: Consistency::Eventual,
        ..Options::default()
    };
    let mut run = Run::counters(options, 3, CLIENTS, 7);
    run.world.jitter_ms = 2;
    run.world.faults = Faults {
        lost: 5,
        doubled: 5,
        late: 5,
    };
    let mut acknowledged = 0;
    let warm_kib = serve(&mut run, messages / 2, &mut acknowledged);
    let resident_kib = serve(&mut run, messages, &mut acknowledged);
    println!("Eventual: {acknowledged} added, {warm_kib} KiB, then {resident_kib} KiB");
    assert!(
        resident_kib <= warm_kib + warm_kib / 20,
        "{warm_kib} KiB grew to {resident_kib} KiB"
    );
    run.world.faults = Faults::default();
    run.rest(REST_MS);
    let before = run.world.messages;
    run.rest(REST_MS);
    // At most, both nodes of each of three links send one every three seconds.
    let heartbeats_max = 2 * 3 * (REST_MS / 3000 + 1);
    assert!(
        run.world.messages - before <= heartbeats_max,
        "a timer leaks"
    );
    assert_eq!(run.read_everywhere(), acknowledged);
}

/// All clients add and read until this many messages were sent between the nodes. Returns the resident memory.
fn serve(run: &mut Run<GCounter>, messages: u64, acknowledged: &mut i64) -> u64 {
    let until = run.world.messages + messages;
    while run.world.messages < until {
        while run.operations.len() < OPERATIONS_KEPT {
            (0..CLIENTS).for_each(|client| run.count_any(client));
            run.step();
        }
        run.rest(REST_MS);
        assert!(run.operations.iter().all(run::Operation::is_ok));
        let before = *acknowledged;
        let totals = run.adds().map(|(add, delta)| {
            *acknowledged += delta;
            (add.invoked_ms, *acknowledged)
        });
        let totals: BTreeMap<u64, i64> = totals.collect();
        for (read, value) in run.reads() {
            let added = totals.range(..=read.completed_ms).next_back();
            let value_max = added.map_or(before, |(_, total)| *total);
            assert!(value <= value_max, "more than was added: {read:?}");
        }
        run.operations.clear();
        run.world.heard.clear();
    }
    resident_kib()
}

#[test]
fn memory_stays_flat_and_nothing_stays_pending() {
    soak(200_000);
    soak_eventual(100_000);
}

#[test]
#[ignore = "takes minutes: ten million messages"]
fn memory_stays_flat_for_ten_million_messages() {
    soak(3_500_000);
    soak_eventual(1_750_000);
}
