//! The counter, fed arbitrary sequences of messages with time passing: each operation is answered once and in time, and
//! the node never asks to be woken in the past.

#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use arbitrary::Arbitrary;
use eddy::node::Node;
use eddy::workload::GCounter;
use eddy::workload::g_counter::{Consistency, Options};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    level: u8,
    batch_max: u8,
    pending_max: u8,
    rpc_timeout_ms: u16,
    op_timeout_ms: u16,
    steps: Vec<Step<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Add(i64),
    Read,
    Time(u16),
    /// The store does what the question with this number asks.
    Answer(u8),
    /// The store says something else about it.
    Error(u8, i64),
    /// The store says that it has read this.
    Value(u8, &'a str),
    Line(&'a str),
}

struct World {
    node: Node<GCounter>,
    op_timeout: Duration,
    now: Duration,
    questions: Vec<Value>,
    values: BTreeMap<String, Value>,
    /// By when each operation is answered, until it is.
    deadlines: Vec<Option<Duration>>,
}

impl World {
    fn say(&mut self, src: &str, body: &Value) {
        let line = json!({"src": src, "dest": "n0", "body": body}).to_string();
        // What the fuzzer makes up may be of the wrong type.
        let _ = self.node.receive(&line, self.now);
    }

    fn ask(&mut self, mut body: Value) {
        body["msg_id"] = json!(self.deadlines.len());
        self.deadlines.push(Some(self.now + self.op_timeout));
        self.say("c1", &body);
    }

    fn question(&self, number: u8) -> Option<Value> {
        let count = self.questions.len().max(1);
        self.questions.get(usize::from(number) % count).cloned()
    }

    fn answer(&mut self, number: u8, answer: impl FnOnce(&mut Self, &Value) -> Option<Value>) {
        if let Some(question) = self.question(number)
            && let Some(mut body) = answer(self, &question["body"])
        {
            body["in_reply_to"] = question["body"]["msg_id"].clone();
            self.say("seq-kv", &body);
        }
    }

    fn handle(&mut self, body: &Value) -> Value {
        let key = body["key"].as_str().expect("keys are strings");
        let error = |code| json!({"type": "error", "code": code, "text": "as the fuzzer says"});
        match (
            body["type"].as_str().expect("it is text"),
            self.values.get(key),
        ) {
            ("read", Some(value)) => json!({"type": "read_ok", "value": value}),
            ("read", None) => error(20),
            (_, Some(value)) if *value != body["from"] => error(22),
            (_, None) if body["create_if_not_exists"] != true => error(20),
            _ => {
                self.values.insert(key.into(), body["to"].clone());
                json!({"type": "cas_ok"})
            }
        }
    }

    fn listen(&mut self) {
        let output = String::from_utf8(self.node.output().to_vec()).expect("nodes write UTF-8");
        self.node.written(output.len());
        for line in output.lines() {
            let message: Value = serde_json::from_str(line).expect("nodes write JSON");
            if message["dest"] == "seq-kv" && message["body"]["in_reply_to"].is_null() {
                self.questions.push(message);
            } else if message["dest"] == "c1" {
                let index = message["body"]["in_reply_to"]
                    .as_u64()
                    .expect("it is a reply") as usize;
                let deadline = self.deadlines[index].take().expect("each is answered once");
                assert!(self.now <= deadline, "late: {line}");
            }
        }
    }

    fn pass(&mut self, until: Duration) {
        while let Some(deadline) = self.node.deadline().filter(|deadline| *deadline <= until) {
            self.now = self.now.max(deadline);
            self.node.wake(self.now);
            assert!(
                self.node.deadline().is_none_or(|next| next > self.now),
                "it would spin"
            );
            self.listen();
        }
        self.now = until;
        assert!(
            self.deadlines
                .iter()
                .flatten()
                .all(|deadline| *deadline > self.now),
            "not answered in time"
        );
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Add(delta) => self.ask(json!({"type": "add", "delta": delta})),
            Step::Read => self.ask(json!({"type": "read"})),
            Step::Time(passed_ms) => self.pass(self.now + Duration::from_millis(passed_ms.into())),
            Step::Answer(number) => self.answer(number, |world, body| Some(world.handle(body))),
            Step::Error(number, code) => {
                self.answer(number, |_, _| Some(json!({"type": "error", "code": code})));
            }
            Step::Value(number, value) => self.answer(number, |_, _| {
                let value: Value = serde_json::from_str(value).ok()?;
                Some(json!({"type": "read_ok", "value": value}))
            }),
            // Not in the name of the one whose answers are counted.
            Step::Line(line) if !line.contains("c1") && !line.contains('\\') => {
                let _ = self.node.receive(line, self.now);
            }
            Step::Line(_) => {}
        }
        self.listen();
    }
}

fuzz_target!(|input: Input| {
    let levels = [
        Consistency::Regular,
        Consistency::Linearizable,
        Consistency::Sequential,
    ];
    let op_timeout = Duration::from_millis(input.op_timeout_ms.into());
    let options = Options {
        consistency: levels[usize::from(input.level) % levels.len()],
        batch_max: usize::from(input.batch_max).max(1),
        pending_max: usize::from(input.pending_max).max(1),
        rpc_timeout: Duration::from_millis(input.rpc_timeout_ms.into()),
        op_timeout,
        ..Options::default()
    };
    let mut world = World {
        node: Node::new(GCounter::new(options, 1)),
        op_timeout,
        now: Duration::ZERO,
        questions: Vec::new(),
        values: BTreeMap::new(),
        deadlines: Vec::new(),
    };
    world.say(
        "c0",
        &json!({"type": "init", "node_id": "n0", "node_ids": ["n0", "n1", "n2"], "msg_id": 1}),
    );
    world.listen();
    for step in input.steps {
        world.take(step);
    }
    world.node.finish();
    world.listen();
    assert!(
        world.deadlines.iter().all(Option::is_none),
        "not answered at the end of input"
    );
});
