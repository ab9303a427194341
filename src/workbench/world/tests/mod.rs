//! Whole runs in virtual time, with nodes that are a few lines each.

mod clusters;
mod faults;
mod mute;
mod start;
mod unanswered;
mod violations;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::workbench::audit::Demands;
use crate::workbench::latency::Distribution;
use crate::workbench::report::Report;
use crate::workbench::workload::{Broadcast, Echo, GCounter, Kafka, KeyLimits, LinKv, Topology};

fn settings(node_count: usize) -> Settings {
    Settings {
        client_count: 2 * node_count,
        rate_per_s: 100.0,
        time_limit: Duration::from_secs(20),
        latency: Latency::exponential(Duration::from_millis(5)),
        faults: vec![Fault::Partition],
        fault_interval: Duration::from_secs(2),
        ..Settings::new(node_names(node_count))
    }
}

/// Runs a world to its end. `node` gets a node's index and a message, and gives what it prints.
fn run<W: Workload>(
    workload: W,
    settings: Settings,
    mut node: impl FnMut(usize, &Value) -> Vec<String>,
) -> Result<Record<W>, StartError> {
    let node_count = settings.nodes.len();
    let mut world = World::new(workload, settings, ());
    let mut now = Duration::ZERO;
    let mut paused = BTreeSet::new();
    while !world.is_over() {
        let mut is_quiet = false;
        while !is_quiet {
            world.advance(now);
            while let Some(command) = world.next_command() {
                match command {
                    NodeCommand::Pause(index) => assert!(paused.insert(index)),
                    NodeCommand::Continue(index) => assert!(paused.remove(&index)),
                    NodeCommand::Kill(index) | NodeCommand::Start(index) => {
                        paused.remove(&index);
                    }
                }
            }
            is_quiet = true;
            for index in (0..node_count).filter(|index| !paused.contains(index)) {
                let lines = std::mem::take(world.inbox(index));
                for line in lines
                    .split(|&byte| byte == b'\n')
                    .filter(|line| !line.is_empty())
                {
                    is_quiet = false;
                    let message = serde_json::from_slice(line).expect("a line of JSON");
                    for printed in node(index, &message) {
                        world.on_line(index, &printed, now);
                    }
                }
            }
        }
        now = world.next_deadline().unwrap_or(now);
    }
    world.finish()
}

/// What is printed of a run with these settings.
fn printed<W: Workload>(record: &Record<W>, settings: &Settings) -> String {
    Report::new(record, settings, Demands::default(), Default::default()).to_string()
}

fn reply(message: &Value, mut body: Value) -> String {
    body["in_reply_to"] = message["body"]["msg_id"].clone();
    json!({"src": message["dest"], "dest": message["src"], "body": body}).to_string()
}

/// The reply of a node that does as it should.
fn echo(message: &Value) -> String {
    let body = &message["body"];
    match body["type"].as_str() {
        Some("init") => reply(message, json!({"type": "init_ok"})),
        _ => reply(message, json!({"type": "echo_ok", "echo": body["echo"]})),
    }
}

#[test]
fn a_run_asks_at_its_rate_until_its_time_is_up() {
    let record = run(Echo, settings(3), |_, message| vec![echo(message)]).expect("a run");
    assert!(
        (1800..2200).contains(&record.history.len()),
        "{}",
        record.history.len()
    );
    assert!(record.findings.is_empty(), "{:?}", record.findings);
    assert_eq!(record.cut_short_at, None);
    assert!(
        record
            .history
            .iter()
            .all(|operation| operation.outcome.is_ok())
    );
    assert!(
        record
            .history
            .iter()
            .all(|operation| operation.invoked_at < Duration::from_secs(20))
    );
    assert_eq!(record.sent.servers, 0);
    assert_eq!(record.sent.all as usize, 2 * (3 + record.history.len()));
}

#[test]
fn a_history_is_in_whole_microseconds_as_it_is_stored() {
    let record = run(Echo, settings(3), |_, message| vec![echo(message)]).expect("a run");
    for operation in &record.history {
        for at in [operation.invoked_at, operation.completed_at] {
            assert_eq!(at, Duration::from_micros(at.as_micros() as u64));
        }
    }
}

/// How many stale replies arrive where, with each request of a client, one node writes to a store and the other reads.
fn stale_replies(store: &str) -> u64 {
    let request = |node, message: &Value| {
        let msg_id = &message["body"]["msg_id"];
        let body = match node {
            0 => json!({"type": "write", "key": 1, "value": msg_id, "msg_id": msg_id}),
            _ => json!({"type": "read", "key": 1, "msg_id": msg_id}),
        };
        json!({"src": message["dest"], "dest": store, "body": body}).to_string()
    };
    let record = run(Echo, settings(2), |node, message| {
        if message["src"] == store {
            return Vec::new();
        }
        let is_init = message["body"]["type"] == "init";
        let request = (!is_init).then(|| request(node, message));
        request.into_iter().chain([echo(message)]).collect()
    });
    record.expect("a run").stale_received
}

#[test]
fn stale_replies_of_services_are_counted() {
    assert!(stale_replies("seq-kv") > 100);
    assert_eq!(stale_replies("lin-kv"), 0);
}

/// What is printed of a run of two nodes that send each other `message_count` messages with each request of a client.
fn with_messages(message_count: usize, rate_per_s: f64) -> String {
    let settings = Settings {
        rate_per_s,
        ..settings(2)
    };
    let record = run(Echo, settings.clone(), |node, message| {
        let count = match message["body"]["type"].as_str() {
            Some("echo") => message_count,
            Some("noise") => return Vec::new(),
            _ => 0,
        };
        let (src, dest) = (format!("n{node}"), format!("n{}", 1 - node));
        let noise = json!({"src": src, "dest": dest, "body": {"type": "noise"}}).to_string();
        let noise = std::iter::repeat_n(noise, count);
        noise.chain([echo(message)]).collect()
    });
    let record = record.expect("a run");
    printed(&record, &settings)
}

#[test]
fn far_more_messages_than_operations_are_a_warning() {
    let printed = with_messages(1010, 2.0);
    assert!(printed.starts_with("valid with warnings: "), "{printed}");
    let expected = "messages between servers, 1010 for each operation: ";
    assert!(printed.contains(expected), "{printed}");
    // Many for each operation, but few a second; many a second, but few for each operation.
    for (message_count, rate_per_s) in [(1010, 0.5), (900, 3.0)] {
        let printed = with_messages(message_count, rate_per_s);
        assert!(printed.starts_with("valid: "), "{printed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let history = |seed| {
        let settings = Settings {
            seed,
            ..settings(3)
        };
        let record = run(Echo, settings, |_, message| vec![echo(message)]).expect("a run");
        format!("{:?}{:?}", record.history, record.fault_windows)
    };
    assert_eq!(history(1), history(1));
    assert_ne!(history(1), history(2));
}

#[test]
fn every_client_asks_last_after_the_faults_have_ended_and_the_network_has_rested() {
    let record = run(GCounter::default(), settings(3), |_, message| {
        vec![match message["body"]["type"].as_str() {
            Some("init") => reply(message, json!({"type": "init_ok"})),
            Some("add") => reply(message, json!({"type": "add_ok"})),
            _ => reply(message, json!({"type": "read_ok", "value": 0})),
        }]
    })
    .expect("a run");
    let last = record.history.iter().filter(|operation| operation.is_final);
    let faults_ended_at = record.fault_windows.iter().map(|window| window.ended_at);
    let faults_ended_at = faults_ended_at
        .max()
        .flatten()
        .expect("faults, all of them ended");
    assert_eq!(last.clone().count(), 6);
    for operation in last {
        assert!(operation.invoked_at >= faults_ended_at + Duration::from_secs(10));
    }
}

#[test]
fn a_client_without_an_answer_gives_up_after_5_s_and_another_takes_its_place() {
    let record = run(Echo, settings(1), |_, message| {
        let is_init = message["body"]["type"] == "init";
        if is_init { vec![echo(message)] } else { vec![] }
    })
    .expect("a run");
    assert_eq!(
        record.history.len(),
        8,
        "two clients, one operation each 5 s"
    );
    for operation in &record.history {
        let waited = operation.completed_at - operation.invoked_at;
        assert_eq!(waited, Duration::from_secs(5));
    }
    let clients: BTreeSet<_> = record
        .history
        .iter()
        .map(|operation| operation.client)
        .collect();
    assert_eq!(clients.len(), 8);
}

#[test]
fn a_definite_error_fails_an_operation_and_an_indefinite_one_leaves_it_open() {
    for (code, is_failed) in [
        (11, true),
        (22, true),
        (0, false),
        (13, false),
        (1000, false),
        // The protocol lists none of these.
        (2, false),
        (40, false),
        (500, false),
        (-1, false),
    ] {
        let record = run(Echo, settings(1), |_, message| {
            let error = reply(
                message,
                json!({"type": "error", "code": code, "text": "no"}),
            );
            let is_init = message["body"]["type"] == "init";
            vec![if is_init { echo(message) } else { error }]
        })
        .expect("a run");
        for operation in &record.history {
            assert!(!operation.outcome.is_ok());
            assert_eq!(operation.outcome.is_failed(), is_failed, "code {code}");
        }
    }
}

#[test]
fn a_node_reaches_the_services_under_their_addresses_whatever_its_ids_look_like() {
    let mut answered = Vec::new();
    run(Echo, settings(1), |_, message| {
        if message["body"]["type"] == "init" {
            let ask = |dest: &str, body: Value| {
                json!({"src": "n0", "dest": dest, "body": body}).to_string()
            };
            return vec![
                echo(message),
                ask(
                    "seq-kv",
                    json!({"type": "write", "key": 1, "value": 2, "msg_id": 1}),
                ),
                ask("lin-kv", json!({"type": "read", "key": 1, "msg_id": 2})),
                ask("lin-tso", json!({"type": "ts", "msg_id": 3})),
                ask("lww-kv", json!({"type": "write", "key": 1, "value": 2})),
                ask("lww-kv", json!({"type": "write", "msg_id": "four"})),
                ask("lin-kv", json!({"type": "sing", "msg_id": u64::MAX})),
            ];
        }
        if let Some(in_reply_to) = message["body"].get("in_reply_to") {
            let (service, kind) = (&message["src"], &message["body"]["type"]);
            answered.push(format!("{service} {kind} {in_reply_to}"));
            return vec![];
        }
        vec![echo(message)]
    })
    .expect("a run");
    answered.sort();
    assert_eq!(
        answered,
        [
            r#""lin-kv" "error" 18446744073709551615"#,
            r#""lin-kv" "error" 2"#,
            r#""lin-tso" "ts_ok" 3"#,
            r#""lww-kv" "write_ok" "four""#,
            r#""lww-kv" "write_ok" null"#,
            r#""seq-kv" "write_ok" 1"#
        ]
    );
}

#[test]
fn what_nodes_send_each_other_arrives_as_it_was_written() {
    let body = r#"{"type":"x","msg_id":9223372036854775808,"in_reply_to":-1180591620717411303425,"y":[1.0, null]}"#;
    let mut world = World::new(Echo, settings(2), ());
    let (mut now, mut heard) = (Duration::ZERO, Vec::new());
    let mut inits = 0;
    while inits < 2 {
        world.advance(now);
        for node in 0..2 {
            let lines = std::mem::take(world.inbox(node));
            for line in lines.split(|&byte| byte == b'\n') {
                let Ok(init) = serde_json::from_slice(line) else {
                    continue;
                };
                world.on_line(node, &echo(&init), now);
                inits += 1;
            }
        }
        now = world.next_deadline().unwrap_or(now);
    }
    world.on_line(
        0,
        &format!(r#"{{"src":"n0","dest":"n1","body":{body}}}"#),
        now,
    );
    while !heard.ends_with(b"\n") {
        now = world.next_deadline().expect("a message on its way");
        world.advance(now);
        heard.append(world.inbox(1));
    }
    let heard = String::from_utf8(heard).expect("text");
    assert!(heard.contains(body), "{heard}");
}

#[test]
fn a_client_that_always_gets_more_stops_when_its_time_is_over() {
    let limits = KeyLimits {
        key_count: 1,
        max_writes_per_key: 1000,
    };
    let settings = settings(1);
    let ends_at = settings.time_limit + settings.recovery + phase::LAST_PHASE_LIMIT;
    let mut world = World::new(Kafka::new(limits), settings, ());
    let mut offset = 0;
    let mut now = Duration::ZERO;
    while !world.is_over() {
        assert!(now < ends_at + Duration::from_secs(1), "it goes on");
        world.advance(now);
        let lines = std::mem::take(world.inbox(0));
        let lines = lines.split(|&byte| byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            let message: Value = serde_json::from_slice(line).expect("a line of JSON");
            let body = match message["body"]["type"].as_str() {
                Some("send") => {
                    offset += 1;
                    json!({"type": "send_ok", "offset": offset})
                }
                // The first message, again and again.
                Some("poll") => json!({"type": "poll_ok", "msgs": {"0": [[1, 1]]}}),
                Some("list_committed_offsets") => {
                    json!({"type": "list_committed_offsets_ok", "offsets": {}})
                }
                Some(kind) => json!({"type": format!("{kind}_ok")}),
                None => panic!("a message has a type"),
            };
            world.on_line(0, &reply(&message, body), now);
        }
        now += Duration::from_millis(10);
    }
    let record = world.finish().expect("a run");
    assert_eq!(record.cut_short_at, None);
    let asked_last = record.history.iter().map(|operation| operation.invoked_at);
    assert!(asked_last.max() > Some(ends_at - Duration::from_secs(1)));
}
