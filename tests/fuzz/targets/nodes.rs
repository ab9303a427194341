//! Every node under arbitrary sequences of requests, store replies, gossip and lines, and of time passing: each
//! operation is answered once and in time, and no node asks to be woken in the past.

#![no_main]

#[path = "../../nodes/lone.rs"]
mod lone;
#[path = "../../world/mod.rs"]
mod world;

use std::time::Duration;

use arbitrary::Arbitrary;
use eddy::node::Workload;
use eddy::program::{
    BROADCAST, G_COUNTER, G_SET, KAFKA, LIN_KV, PN_COUNTER, Program, TXN_LIST_APPEND,
    TXN_RW_REGISTER, UNIQUE_IDS,
};
use libfuzzer_sys::fuzz_target;
use lone::Lone;
use serde_json::{Value, json};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    program: u8,
    level: u8,
    batch_max: u8,
    pending_max: u8,
    rpc_timeout_ms: u16,
    op_timeout_ms: u16,
    steps: Vec<Step<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// A request of that form, on that key and with that value.
    Ask(u8, u8, i64),
    Time(u16),
    /// The store performs the request with this number.
    Answer(u8),
    /// The store gives another reply to it.
    Error(u8, i64),
    /// The store replies that it has read this value.
    Value(u8, &'a str),
    /// Another node sends this.
    Gossip(&'a str),
    Line(&'a str),
}

/// The requests of the clients of all nodes. Each node refuses those of the others.
fn request(form: u8, key: u8, value: i64) -> Value {
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

fn play<O: Clone + Default, W: Workload>(program: &Program<O, W>, flags: &[String], input: Input) {
    let (node, _) = program.read(flags).expect("the flags are right");
    let op_timeout = match flags.is_empty() {
        // Such a node waits for nothing.
        true => Duration::ZERO,
        false => Duration::from_millis(input.op_timeout_ms.max(1).into()),
    };
    let mut lone = Lone::new(node(1), op_timeout);
    for step in input.steps {
        take(&mut lone, step);
    }
    lone.finish();
}

fn take<W: Workload>(lone: &mut Lone<W>, step: Step) {
    let count = lone.questions.len();
    let question = |number: u8| usize::from(number) % count;
    match step {
        Step::Ask(form, key, value) => lone.ask(request(form, key, value)),
        Step::Time(passed_ms) => lone.pass(Duration::from_millis(passed_ms.into())),
        Step::Answer(_) | Step::Error(..) | Step::Value(..) if count == 0 => {}
        Step::Answer(number) => lone.answer(question(number)),
        Step::Error(number, code) => {
            lone.answer_with(question(number), json!({"type": "error", "code": code}));
        }
        Step::Value(number, value) => {
            if let Ok(value) = serde_json::from_str::<Value>(value) {
                let read_ok = json!({"type": "read_ok", "value": value});
                lone.answer_with(question(number), read_ok);
            }
        }
        Step::Gossip(body) => {
            if let Ok(body) = serde_json::from_str(body) {
                lone.tell("n1", body);
            }
        }
        // Not in the name of the client whose replies are counted.
        Step::Line(line) if !line.contains("c1") && !line.contains('\\') => lone.receive(line),
        Step::Line(_) => {}
    }
}

fuzz_target!(|input: Input| {
    let levels = ["regular", "linearizable", "sequential", "eventual"];
    let limits = [
        format!("--max-pending={}", input.pending_max.max(1)),
        format!("--rpc-timeout={}", input.rpc_timeout_ms.max(1)),
        format!("--op-timeout={}", input.op_timeout_ms.max(1)),
    ];
    let level = levels[usize::from(input.level) % levels.len()];
    let mut counter = limits.to_vec();
    counter.push(format!("--consistency={level}"));
    counter.push(format!("--max-batch={}", input.batch_max.max(1)));
    match input.program % 9 {
        0 => play(&G_COUNTER, &counter, input),
        1 => play(&PN_COUNTER, &counter, input),
        2 => play(&KAFKA, &limits, input),
        3 => play(&LIN_KV, &limits, input),
        4 => play(&TXN_LIST_APPEND, &limits, input),
        5 => play(&BROADCAST, &[], input),
        6 => play(&G_SET, &[], input),
        7 => play(&TXN_RW_REGISTER, &[], input),
        _ => play(&UNIQUE_IDS, &[], input),
    }
});
