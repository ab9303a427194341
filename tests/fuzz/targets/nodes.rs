//! Every other node, fed arbitrary sequences of requests, store answers, gossip and lines with time passing: each
//! operation is answered once and in time, and no node asks to be woken in the past.

#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use arbitrary::Arbitrary;
use eddy::program::{
    Broadcast, GSet, Kafka, LinKv, PnCounter, TxnListAppend, TxnRwRegister, UniqueIds,
};
use eddy::workbench::sim::{Machine, Start, start};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// By when every node answers, unless it is told otherwise.
const OP_TIMEOUT: Duration = Duration::from_millis(4500);

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    program: u8,
    steps: Vec<Step<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// A request of that form, of that key and with that value.
    Ask(u8, u8, i32),
    Time(u16),
    /// The store does what the question with this number asks.
    Answer(u8),
    /// The store says something else about it.
    Error(u8, i64),
    /// The store says that it has read this.
    Value(u8, &'a str),
    /// Another node says this.
    Gossip(&'a str),
    Line(&'a str),
}

struct World {
    node: Box<dyn Machine>,
    now: Duration,
    questions: Vec<Value>,
    values: BTreeMap<String, Value>,
    /// By when each operation is answered, until it is.
    deadlines: Vec<Option<Duration>>,
}

/// What clients ask of any of the nodes. Each has no use for what is another's.
fn request(form: u8, key: u8, value: i32) -> Value {
    let key = key % 4;
    let name = format!("k{key}");
    match form % 14 {
        0 => json!({"type": "broadcast", "message": value}),
        1 => json!({"type": "topology", "topology": {"n0": ["n1", "n2"]}}),
        2 => json!({"type": "read", "key": key}),
        3 => json!({"type": "add", "element": value, "delta": value}),
        4 => json!({"type": "send", "key": name, "msg": value}),
        5 => json!({"type": "poll", "offsets": {name: value}}),
        6 => json!({"type": "commit_offsets", "offsets": {name: value}}),
        7 => json!({"type": "list_committed_offsets", "keys": [name, "k0"]}),
        8 => json!({"type": "write", "key": key, "value": value}),
        9 => json!({"type": "cas", "key": key, "from": value, "to": key}),
        10 => json!({"type": "txn", "txn": [["r", key, null], ["w", key, value]]}),
        11 => json!({"type": "txn", "txn": [["append", key, value], ["r", 0, null]]}),
        12 => json!({"type": "txn", "txn": []}),
        _ => json!({"type": "generate"}),
    }
}

impl World {
    fn say(&mut self, src: &str, body: &Value) {
        let line = json!({"src": src, "dest": "n0", "body": body}).to_string();
        self.node.receive(&line, self.now);
    }

    fn ask(&mut self, mut body: Value) {
        body["msg_id"] = json!(self.deadlines.len());
        self.deadlines.push(Some(self.now + OP_TIMEOUT));
        self.say("c1", &body);
    }

    fn answer(&mut self, number: u8, answer: impl FnOnce(&mut Self, &Value) -> Option<Value>) {
        let count = self.questions.len().max(1);
        if let Some(question) = self.questions.get(usize::from(number) % count).cloned()
            && let Some(mut body) = answer(self, &question["body"])
        {
            body["in_reply_to"] = question["body"]["msg_id"].clone();
            self.say("lin-kv", &body);
        }
    }

    fn handle(&mut self, body: &Value) -> Value {
        let key = body["key"].to_string();
        let error = |code| json!({"type": "error", "code": code, "text": "as the fuzzer says"});
        match (
            body["type"].as_str().expect("it is text"),
            self.values.get(&key),
        ) {
            ("read", Some(value)) => json!({"type": "read_ok", "value": value}),
            ("read", None) => error(20),
            ("write", _) => {
                self.values.insert(key, body["value"].clone());
                json!({"type": "write_ok"})
            }
            (_, Some(value)) if *value != body["from"] => error(22),
            (_, None) if body["create_if_not_exists"] != true => error(20),
            _ => {
                self.values.insert(key, body["to"].clone());
                json!({"type": "cas_ok"})
            }
        }
    }

    fn listen(&mut self) {
        let output = String::from_utf8(self.node.output().to_vec()).expect("nodes write UTF-8");
        self.node.written(output.len());
        for line in output.lines() {
            let message: Value = serde_json::from_str(line).expect("nodes write JSON");
            let dest = message["dest"].as_str().expect("it is text");
            if dest.ends_with("-kv") && message["body"]["in_reply_to"].is_null() {
                self.questions.push(message);
            } else if dest == "c1" {
                let index = message["body"]["in_reply_to"].as_u64();
                let index = index.expect("it is a reply") as usize;
                let deadline = self.deadlines[index].take();
                let deadline = deadline.expect("each is answered once");
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
        let mut waiting = self.deadlines.iter().flatten();
        assert!(
            waiting.all(|deadline| *deadline > self.now),
            "not answered in time"
        );
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Ask(form, key, value) => self.ask(request(form, key, value)),
            Step::Time(passed_ms) => self.pass(self.now + Duration::from_millis(passed_ms.into())),
            Step::Answer(number) => self.answer(number, |world, body| Some(world.handle(body))),
            Step::Error(number, code) => {
                self.answer(number, |_, _| Some(json!({"type": "error", "code": code})));
            }
            Step::Value(number, value) => self.answer(number, |_, _| {
                let value: Value = serde_json::from_str(value).ok()?;
                Some(json!({"type": "read_ok", "value": value}))
            }),
            Step::Gossip(body) => {
                if let Ok(body) = serde_json::from_str(body) {
                    self.say("n1", &body);
                }
            }
            // Not in the name of the one whose answers are counted.
            Step::Line(line) if !line.contains("c1") && !line.contains('\\') => {
                self.node.receive(line, self.now);
            }
            Step::Line(_) => {}
        }
        self.listen();
    }
}

fuzz_target!(|input: Input| {
    let programs: [fn() -> Start; 8] = [
        || start(PnCounter::default()),
        || start(Broadcast::default()),
        || start(GSet::default()),
        || start(Kafka::default()),
        || start(LinKv::default()),
        || start(TxnRwRegister::default()),
        || start(TxnListAppend::default()),
        || start(UniqueIds::default()),
    ];
    let program = programs[usize::from(input.program) % programs.len()]();
    let mut world = World {
        node: program(1),
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
    world.pass(world.now + OP_TIMEOUT);
});
