//! Whole runs in virtual time, with nodes that are a few lines each.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::workbench::latency::Distribution;
use crate::workbench::workload::{Broadcast, Echo, GCounter, Kafka, KeyLimits, Topology};

fn settings(node_count: usize) -> Settings {
    Settings {
        nodes: (0..node_count).map(|node| format!("n{node}")).collect(),
        client_count: 2 * node_count,
        rate_per_s: 100.0,
        time_limit: Duration::from_secs(20),
        recovery: Duration::from_secs(10),
        latency: Latency {
            mean: Duration::from_millis(5),
            distribution: Distribution::Exponential,
        },
        faults: vec![Fault::Partition],
        services_suffer: false,
        sequential_store: SequentialStore::Maelstrom,
        fault_interval: Duration::from_secs(2),
        seed: 1,
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
            while let Some(order) = world.next_order() {
                match order {
                    Order::Pause(index) => assert!(paused.insert(index)),
                    Order::Continue(index) => assert!(paused.remove(&index)),
                    Order::Kill(index) | Order::Start(index) => {
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
                        world.heard(index, &printed, now);
                    }
                }
            }
        }
        now = world.next_deadline().unwrap_or(now);
    }
    world.finish()
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
    assert!(!record.is_cut_short);
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

/// What is found when a node prints `wrong` beside its good answers.
fn finding(wrong: impl Fn(&Value) -> String) -> String {
    let record = run(Echo, settings(1), |_, message| {
        let is_init = message["body"]["type"] == "init";
        let more = (!is_init).then(|| wrong(message));
        std::iter::once(echo(message)).chain(more).collect()
    })
    .expect("a run");
    assert_eq!(record.findings.len(), 1, "{:?}", record.findings);
    record.findings[0].what.clone()
}

#[test]
fn what_no_node_may_do_is_found_and_named() {
    let to_client = |body: Value| {
        move |message: &Value| {
            json!({"src": "n0", "dest": message["src"], "body": body}).to_string()
        }
    };
    let said = finding(|_| String::from("hello"));
    assert!(
        said.starts_with("n0 printed on stdout what is no message"),
        "{said}"
    );
    let said = finding(|_| String::from(" "));
    assert!(said.contains("printed an empty line"), "{said}");
    for (line, expected) in [
        (r#"{"src": "n0", "dest": "n0", "body": 3}"#, "its body is 3"),
        (
            r#"{"src": null, "dest": "n0", "body": {}}"#,
            "its src is null",
        ),
        (r#"{"src": "n0", "body": {}}"#, "it has no dest"),
    ] {
        let said = finding(|_| String::from(line));
        assert!(said.contains("a malformed message"), "{said}");
        assert!(
            said.contains(expected) && !said.contains("stderr"),
            "{said}"
        );
    }
    let said = finding(|_| String::from(r#"{"src": "n1", "dest": "n0", "body": {}}"#));
    assert!(said.contains(r#"not its own id but "n1""#), "{said}");
    let said = finding(|_| String::from(r#"{"src": "n0", "dest": "n7", "body": {}}"#));
    assert!(said.contains(r#"to "n7", which is no node"#), "{said}");
    let said = finding(echo);
    assert!(said.contains("had its answer already"), "{said}");
    assert!(said.contains("Maelstrom lets that pass"), "{said}");
    for (body, expected) in [
        (
            json!({"type": "echo_ok", "in_reply_to": "1"}),
            "its in_reply_to is \"1\"",
        ),
        (json!({"type": 5, "in_reply_to": 1}), "its type is 5"),
    ] {
        let said = finding(to_client(body));
        assert!(
            said.contains(expected) && !said.contains("stderr"),
            "{said}"
        );
    }
    let said = finding(|_| {
        json!({"src": "n0", "dest": "lin-kv", "body": {"type": "read", "key": 1, "msg_id": "1"}})
            .to_string()
    });
    assert!(said.contains("its msg_id is \"1\""), "{said}");
    let said = finding(to_client(json!({"type": "echo_ok", "echo": 1})));
    assert!(said.contains("it has no in_reply_to"), "{said}");
    let said = finding(to_client(
        json!({"type": "echo_ok", "echo": 1, "in_reply_to": 99_999}),
    ));
    assert!(said.contains("nobody sent that msg_id"), "{said}");
}

#[test]
fn an_answer_of_the_wrong_form_is_found_with_its_operation() {
    let record = run(Echo, settings(1), |_, message| {
        let is_init = message["body"]["type"] == "init";
        vec![if is_init {
            echo(message)
        } else {
            reply(message, json!({"type": "echo_ok"}))
        }]
    })
    .expect("a run");
    assert!(
        record.findings[0].what.contains("missing field `echo`"),
        "{:?}",
        record.findings
    );
    assert_eq!(record.findings[0].operations, [0, 1]);
}

#[test]
fn a_run_does_not_begin_without_every_init_ok() {
    let silent = run(Echo, settings(3), |node, message| {
        if node == 1 {
            vec![]
        } else {
            vec![echo(message)]
        }
    });
    let nodes = String::from("n1");
    let (asked, answer) = ("init", "init_ok");
    let expected = StartError::NoAnswer {
        nodes,
        asked,
        answer,
        instead: String::new(),
    };
    assert_eq!(silent.err(), Some(expected));
    let refused = run(Echo, settings(1), |_, message| {
        vec![reply(message, json!({"type": "error", "code": 10}))]
    });
    assert!(matches!(refused.err(), Some(StartError::Refused { .. })));
}

#[test]
fn a_run_does_not_begin_where_upstream_refuses_the_answer_to_the_introduction() {
    let broadcast = Broadcast::new(Topology::Grid, &settings(1).nodes);
    let refused = run(broadcast, settings(1), |_, message| {
        let mut body = message["body"].clone();
        let kind = body["type"].as_str().expect("a type");
        body["type"] = Value::from(format!("{kind}_ok"));
        vec![reply(message, body)]
    });
    let said = refused.err().expect("an error").to_string();
    assert!(
        said.contains(
            r#"answered topology with what is no answer to it (it has a field "topology""#
        ),
        "{said}"
    );
}

/// What is told of the second of two nodes whose `init_ok`, or what answers another `asked`, is changed that way.
fn told_instead<W: Workload>(workload: W, asked: &str, wrong: impl Fn(String) -> String) -> String {
    let mistaken = run(workload, settings(2), |node, message| {
        let kind = message["body"]["type"].as_str().expect("a type");
        let answer = reply(message, json!({"type": format!("{kind}_ok")}));
        vec![if node == 1 && kind == asked {
            wrong(answer)
        } else {
            answer
        }]
    });
    let Some(StartError::NoAnswer { nodes, instead, .. }) = mistaken.err() else {
        panic!("it must not begin");
    };
    assert_eq!(nodes, "n1");
    instead
}

#[test]
fn what_a_node_said_instead_of_init_ok_is_told() {
    let instead = told_instead(Echo, "init", |answer| {
        answer.replace(r#""src":"n1""#, r#""src":"""#)
    });
    assert!(
        instead.starts_with("\nn1 sent a message whose src is not its own id but \"\""),
        "{instead}"
    );
    let with_other_id = |answer: String| answer.replace(r#""in_reply_to":1"#, r#""in_reply_to":7"#);
    let instead = told_instead(Echo, "init", with_other_id);
    assert!(
        instead.starts_with(
            "\nn1 sent c1 a message that answers nothing (no init had that msg_id): {"
        ),
        "{instead}"
    );
    let broadcast = Broadcast::new(Topology::Grid, &settings(2).nodes);
    let instead = told_instead(broadcast, "topology", with_other_id);
    assert!(
        instead.starts_with("\nn1 sent c3 a message that answers nothing"),
        "{instead}"
    );
}

#[test]
fn a_node_that_is_gone_ends_the_run() {
    let mut world = World::new(Echo, settings(1), ());
    world.heard(
        0,
        &echo(&json!({"src": "c0", "dest": "n0", "body": {"type": "init", "msg_id": 1}})),
        Duration::ZERO,
    );
    world.advance(Duration::ZERO);
    world.exited(0, "exit status: 1", Duration::from_secs(2));
    assert!(world.is_over());
    let record = world.finish().unwrap_or_else(|error| panic!("{error}"));
    assert!(record.is_cut_short);
    assert_eq!(
        record.findings[0].what,
        "n0 ended by itself after 2.0 s: exit status: 1"
    );
}

#[test]
fn a_node_that_stops_reading_ends_the_run_before_it_fills_the_memory() {
    let settings = Settings {
        latency: Latency {
            mean: Duration::ZERO,
            distribution: Distribution::Constant,
        },
        faults: Vec::new(),
        ..settings(2)
    };
    let mut world = World::new(Echo, settings, ());
    for (node, client) in [("n0", "c0"), ("n1", "c1")] {
        let init = json!({"src": client, "dest": node, "body": {"type": "init", "msg_id": 1}});
        world.heard(usize::from(node == "n1"), &echo(&init), Duration::ZERO);
    }
    world.advance(Duration::ZERO);
    let mebibyte = "x".repeat(1 << 20);
    let line =
        json!({"src": "n0", "dest": "n1", "body": {"type": "news", "news": mebibyte}}).to_string();
    for _ in 0..UNREAD_BYTES_MAX >> 20 {
        assert!(!world.is_over());
        world.heard(0, &line, Duration::from_secs(2));
    }
    assert!(world.is_over());
    let record = world.finish().unwrap_or_else(|error| panic!("{error}"));
    let what = &record.findings[0].what;
    assert!(
        what.starts_with("n1 had stopped reading after 2.0 s: 256 MiB"),
        "{what}"
    );
}

#[test]
fn a_killed_node_gets_nothing_until_it_is_started_again_and_init_is_the_first_it_gets() {
    let settings = Settings {
        faults: vec![Fault::Kill],
        ..settings(1)
    };
    let mut first_lines = 0;
    let mut inits = Vec::new();
    let record = run(Echo, settings, |_, message| {
        if message["body"]["type"] == "init" {
            assert_eq!(message["src"], "c0");
            inits.push(message["body"]["msg_id"].as_u64());
            first_lines += 1;
        }
        assert!(first_lines > 0);
        vec![echo(message)]
    })
    .expect("a run");
    let kills = record.fault_windows.len() as u64;
    assert_eq!(inits, (1..=kills + 1).map(Some).collect::<Vec<_>>());
    assert!(record.findings.is_empty(), "{:?}", record.findings);
    for window in &record.fault_windows {
        let ended_at = window.ended_at.expect("faults end");
        let is_inside = |at: Duration| at > window.began_at && at < ended_at;
        let mut asked = record
            .history
            .iter()
            .filter(|operation| is_inside(operation.invoked_at));
        assert!(asked.all(|operation| !operation.outcome.is_ok()));
    }
}

#[test]
fn a_killed_node_that_does_not_answer_its_new_init_is_named() {
    let settings = Settings {
        faults: vec![Fault::Kill],
        ..settings(1)
    };
    let record = run(GCounter::default(), settings, |_, message| {
        let body = &message["body"];
        vec![match (body["type"].as_str(), body["msg_id"].as_i64()) {
            (Some("init"), Some(1)) => reply(message, json!({"type": "init_ok"})),
            (Some("init"), _) => return vec![],
            (Some("add"), _) => reply(message, json!({"type": "add_ok"})),
            _ => reply(message, json!({"type": "read_ok", "value": 0})),
        }]
    })
    .expect("a run");
    let what = &record.findings[0].what;
    assert!(what.contains("did not answer its new init"), "{what}");
}

#[test]
fn a_paused_node_gets_its_backlog_when_it_goes_on() {
    let settings = Settings {
        faults: vec![Fault::Pause],
        fault_interval: Duration::from_secs(1),
        ..settings(1)
    };
    let mut got = 0;
    let record = run(Echo, settings, |_, message| {
        got += 1;
        vec![echo(message)]
    })
    .expect("a run");
    assert_eq!(got, record.history.len() + 1, "nothing is lost");
    assert!(record.findings.is_empty(), "{:?}", record.findings);
    let slowest = record
        .history
        .iter()
        .map(|operation| operation.completed_at - operation.invoked_at);
    assert!(slowest.max() > Some(Duration::from_millis(500)));
}

#[test]
fn several_faults_run_side_by_side_and_end_before_the_last_phase() {
    let settings = Settings {
        faults: vec![
            Fault::Partition,
            Fault::OneWay,
            Fault::Kill,
            Fault::Pause,
            Fault::Ghost,
        ],
        fault_interval: Duration::from_secs(1),
        ..settings(3)
    };
    let record = run(GCounter::default(), settings, |_, message| {
        vec![match message["body"]["type"].as_str() {
            Some("init") => reply(message, json!({"type": "init_ok"})),
            Some("add") => reply(message, json!({"type": "add_ok"})),
            _ => reply(message, json!({"type": "read_ok", "value": 0})),
        }]
    })
    .expect("a run");
    let windows = &record.fault_windows;
    let overlap = windows.iter().enumerate().any(|(index, window)| {
        let later = windows[index + 1..].iter();
        later
            .into_iter()
            .any(|other| Some(other.began_at) < window.ended_at)
    });
    assert!(overlap);
    let ended_at = windows
        .iter()
        .map(|window| window.ended_at.expect("faults end"))
        .max();
    for operation in record.history.iter().filter(|operation| operation.is_final) {
        assert!(Some(operation.invoked_at) > ended_at);
        assert!(operation.outcome.is_ok());
    }
}

#[test]
fn a_node_reaches_the_services_under_their_addresses() {
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
            r#""lin-kv" "error" 2"#,
            r#""lin-tso" "ts_ok" 3"#,
            r#""lww-kv" "write_ok" null"#,
            r#""seq-kv" "write_ok" 1"#
        ]
    );
}

#[test]
fn who_is_always_told_more_stops_asking_when_the_time_for_it_is_over() {
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
            world.heard(0, &reply(&message, body), now);
        }
        now += Duration::from_millis(10);
    }
    let record = world.finish().expect("a run");
    assert!(!record.is_cut_short);
    let asked_last = record.history.iter().map(|operation| operation.invoked_at);
    assert!(asked_last.max() > Some(ends_at - Duration::from_secs(1)));
}
