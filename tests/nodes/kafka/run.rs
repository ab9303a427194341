//! The requests of clients of logs, and the properties of the replies.

use std::collections::{BTreeMap, BTreeSet};

use eddy::workload::Kafka;
use eddy::workload::kafka::Options;
use serde_json::{Value, json};

use crate::world::run::{self, Operation, Outcome};

pub const STALENESS_MS: u64 = 100;

pub type Run = run::Run<Kafka>;

pub fn run(nodes: usize, clients: usize, seed: u64) -> Run {
    Run::new(nodes, clients, seed, |seed| {
        Kafka::new(Options::default(), seed)
    })
}

/// A client sends a random request on one of `keys` keys.
pub fn invoke_any(keys: u64) -> impl Fn(&mut Run, usize) + Copy {
    move |run, client| {
        let mut any_key = || format!("k{}", run.world.random.below(keys));
        let (key, other) = (any_key(), any_key());
        let next = next_offset(run, client, &key);
        let body = match run.world.random.below(20) {
            0..10 => json!({"type": "send", "key": key, "msg": run.operations.len()}),
            10..16 => {
                let mut offsets = BTreeMap::from([(other, run.world.random.below(150))]);
                offsets.insert(key, next);
                json!({"type": "poll", "offsets": offsets})
            }
            16..19 => json!({"type": "commit_offsets", "offsets": {key: next}}),
            _ => json!({"type": "list_committed_offsets", "keys": [key]}),
        };
        run.invoke(client, body);
    }
}

/// The offset after the last message of a key that the client polled.
fn next_offset(run: &Run, client: usize, key: &str) -> u64 {
    let own = run.operations.iter().rev();
    let mut own = own.filter(|operation| operation.client == client);
    let last = own.find_map(|operation| {
        let entries = operation.ok("poll")?["msgs"].get(key)?.as_array();
        let last = entries.and_then(|entries| entries.last());
        last.expect("no empty lists")[0].as_u64()
    });
    last.map_or(0, |last| last + 1)
}

/// The whole log of each key, as a client reads it at a node that has just started.
fn read_logs(run: &mut Run, keys: u64) -> BTreeMap<String, Vec<u64>> {
    run.kill(0);
    let mut logs = BTreeMap::new();
    for key in (0..keys).map(|key| format!("k{key}")) {
        let mut log = Vec::new();
        loop {
            let poll = json!({"type": "poll", "offsets": {key.clone(): log.len()}});
            let answer = run.ask(0, poll, 500).ok("poll").expect("the store answers");
            let Some(entries) = answer["msgs"].get(&key) else {
                break;
            };
            let entries = entries.as_array().expect("entries").iter();
            log.extend(entries.map(|entry| entry[1].as_u64().expect("what was sent")));
        }
        logs.insert(key, log);
    }
    logs
}

/// Each message is the number of the operation that sent it.
pub fn check(run: &mut Run, keys: u64) {
    let logs = read_logs(run, keys);
    let key_of = |operation: &Operation| operation.body["key"].as_str().map(String::from);
    let sent: BTreeSet<u64> = logs.values().flatten().copied().collect();
    let total: usize = logs.values().map(Vec::len).sum();
    assert_eq!(sent.len(), total, "something is there twice");
    assert!(total > 20, "hardly anything was sent: {total}");
    for (id, operation) in run.operations.iter().enumerate() {
        assert_ne!(operation.outcome, Outcome::UnderWay, "{operation:?}");
        let id = id as u64;
        if let Some(answer) = operation.ok("send") {
            let offset = answer["offset"].as_u64().expect("an offset") as usize;
            let key = key_of(operation).expect("a send has a key");
            assert_eq!(logs[&key].get(offset), Some(&id), "lost: {operation:?}");
        }
        if let Outcome::Failed(_) = operation.outcome {
            assert!(!sent.contains(&id), "failed and there: {operation:?}");
        }
        if let Some(answer) = operation.ok("poll") {
            check_poll(run, operation, answer, &logs);
        }
        if let Some(answer) = operation.ok("list_committed_offsets") {
            check_list(run, operation, answer);
        }
    }
    for (key, log) in &logs {
        let mut latest_invoked_ms = 0;
        for id in log {
            let send = &run.operations[*id as usize];
            assert_eq!(key_of(send).as_ref(), Some(key));
            assert!(
                !send.is_ok() || send.completed_ms >= latest_invoked_ms,
                "offsets against time: {send:?}"
            );
            latest_invoked_ms = latest_invoked_ms.max(send.invoked_ms);
        }
    }
}

/// Whether an operation was acknowledged early enough that `later` must show it.
fn is_old(operation: &Operation, later: &Operation) -> bool {
    operation.is_ok() && operation.completed_ms + STALENESS_MS < later.invoked_ms
}

fn check_poll(run: &Run, poll: &Operation, answer: &Value, logs: &BTreeMap<String, Vec<u64>>) {
    for (key, offset) in poll.body["offsets"].as_object().expect("offsets") {
        let start = offset.as_u64().expect("an offset") as usize;
        let entries = answer["msgs"].get(key).and_then(Value::as_array);
        let entries = entries.map_or(&[] as &[Value], Vec::as_slice);
        for (offset, entry) in (start..).zip(entries) {
            assert_eq!(
                *entry,
                json!([offset, logs[key][offset]]),
                "{poll:?} {answer}"
            );
        }
        if entries.is_empty()
            && let Some(id) = logs[key].get(start)
        {
            let send = &run.operations[*id as usize];
            assert!(!is_old(send, poll), "{poll:?} misses {send:?}");
        }
    }
}

fn check_list(run: &Run, list: &Operation, answer: &Value) {
    let key = list.body["keys"][0].as_str().expect("a key");
    let offset = |offsets: &Value| offsets.get(key).and_then(Value::as_i64).unwrap_or(-1);
    let listed = offset(&answer["offsets"]);
    for commit in run.operations.iter() {
        if commit.kind() == "commit_offsets" && is_old(commit, list) {
            let committed = offset(&commit.body["offsets"]);
            assert!(listed >= committed, "{list:?} misses {commit:?}");
        }
    }
}
