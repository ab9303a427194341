//! How the workbench reads the output of nodes: whatever a node prints, the run ends and is checked without a panic.
//!
//! A line of input is the next line that the node prints. In it `@` stands for the id of the last message to the node,
//! and `#` for its sender, so that a reply can reach a client or a service.

#![no_main]

use std::time::Duration;

use eddy::workbench::check::consistency::Level;
use eddy::workbench::latency::{Distribution, Latency};
use eddy::workbench::workload::{
    Broadcast, Echo, GCounter, GSet, Kafka, KeyLimits, LinKv, PnCounter, Topology, TxnLimits,
    TxnListAppend, TxnRwRegister, UniqueIds, Workload,
};
use eddy::workbench::world::{Settings, World, node_names};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fn settings() -> Settings {
    Settings {
        rate_per_s: 10.0,
        time_limit: Duration::from_secs(1),
        recovery: Duration::from_secs(1),
        latency: Latency {
            mean: Duration::from_millis(5),
            distribution: Distribution::Constant,
        },
        ..Settings::new(node_names(2))
    }
}

fn run<W: Workload>(workload: W, mut printed: std::str::Lines<'_>) {
    let mut world = World::new(workload, settings(), ());
    let mut now = Duration::ZERO;
    while !world.is_over() {
        world.advance(now);
        for node in 0..2 {
            for line in std::mem::take(world.inbox(node)).split(|byte| *byte == b'\n') {
                let Ok(message) = serde_json::from_slice::<Value>(line) else {
                    continue;
                };
                let (id, src) = (&message["body"]["msg_id"], &message["src"]);
                if message["body"]["type"] == "init" {
                    let body = json!({"type": "init_ok", "in_reply_to": id});
                    let answer = json!({"src": message["dest"], "dest": src, "body": body});
                    world.on_line(node, &answer.to_string(), now);
                } else if let Some(line) = printed.next() {
                    let src = src.as_str().expect("senders have names");
                    let line = line.replace('@', &id.to_string()).replace('#', src);
                    world.on_line(node, &line, now);
                }
            }
        }
        now = world.next_deadline().unwrap_or(now);
    }
    if let Ok(record) = world.finish() {
        record.workload.check(&record.history);
    }
}

/// Few keys, so that replies often concern the same one.
const KEYS: KeyLimits = KeyLimits {
    key_count: 2,
    max_writes_per_key: 4,
};

const TRANSACTIONS: TxnLimits = TxnLimits {
    keys: KEYS,
    max_txn_length: 4,
};

fuzz_target!(|input: (u8, &str)| {
    let (workload, printed) = input;
    let lines = printed.lines();
    let Settings {
        nodes,
        client_count,
        ..
    } = settings();
    let model = || vec!["strict-serializable".parse().expect("a model")];
    match workload % 10 {
        0 => run(Echo, lines),
        1 => run(UniqueIds, lines),
        2 => run(GCounter::new(Level::ALL.to_vec()), lines),
        3 => run(PnCounter::new(Level::ALL.to_vec()), lines),
        4 => run(Broadcast::new(Topology::Grid, &nodes), lines),
        5 => run(Kafka::new(KEYS), lines),
        6 => run(LinKv::new(nodes.len(), client_count), lines),
        7 => run(TxnRwRegister::new(TRANSACTIONS, model()), lines),
        8 => run(TxnListAppend::new(TRANSACTIONS, model()), lines),
        _ => run(GSet::default(), lines),
    }
});
