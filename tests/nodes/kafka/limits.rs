//! The limits of requests, and the cost of large ones.

use std::collections::BTreeMap;

use serde_json::json;

use super::run::{STALENESS_MS, check, run};
use crate::world::run::Outcome;

#[test]
fn a_poll_is_bounded_and_a_long_log_is_read_in_parts() {
    let mut run = run(1, 100, 1);
    for _ in 0..20 {
        for client in 0..100 {
            let id = run.operations.len();
            run.invoke(client, json!({"type": "send", "key": "k0", "msg": id}));
        }
        run.rest(100);
    }
    check(&mut run, 1);
    let polls = run
        .operations
        .iter()
        .filter_map(|operation| operation.ok("poll"));
    let lengths: Vec<usize> = polls
        .map(|answer| answer["msgs"]["k0"].as_array().map_or(0, Vec::len))
        .collect();
    assert!(lengths.iter().all(|length| *length <= 256));
    assert_eq!(lengths.iter().sum::<usize>(), 2_000);
}

#[test]
fn a_thousand_logs_can_be_polled_at_once() {
    const KEYS: usize = 1_000;
    let mut run = run(2, 20, 1);
    for key in 0..KEYS {
        let body = json!({"type": "send", "key": key.to_string(), "msg": key});
        run.invoke(key % 20, body);
        run.rest(1);
    }
    let offsets: BTreeMap<String, u64> = (0..KEYS).map(|key| (key.to_string(), 0)).collect();
    for client in 0..20 {
        run.invoke(client, json!({"type": "poll", "offsets": offsets}));
    }
    run.rest(STALENESS_MS);
    let polls = &run.operations[KEYS..];
    for poll in polls {
        let answer = poll.ok("poll").expect("it is answered");
        let logs = answer["msgs"].as_object().expect("logs by their keys");
        assert_eq!(logs.len(), KEYS);
    }
}

/// Maelstrom's clients have 1900 logs after a minute at 1000 operations a second, and poll all of them in the end.
#[test]
fn of_more_logs_than_a_poll_reads_all_are_read_by_a_client_that_polls_on() {
    const KEYS: usize = 2_500;
    let mut run = run(2, 20, 1);
    for key in 0..KEYS {
        let body = json!({"type": "send", "key": key.to_string(), "msg": key});
        run.invoke(key % 20, body);
        run.rest(1);
    }
    let mut offsets: BTreeMap<String, u64> = (0..KEYS).map(|key| (key.to_string(), 0)).collect();
    for _ in 0..80 {
        let poll = run.ask(0, json!({"type": "poll", "offsets": offsets}), STALENESS_MS);
        let answer = poll.ok("poll").expect("it is answered");
        let logs = answer["msgs"].as_object().expect("logs by their keys");
        assert!(logs.len() <= 256, "a poll is bounded");
        for (key, entries) in logs {
            let read = entries.as_array().expect("entries").len() as u64;
            *offsets.get_mut(key).expect("a log that was polled") += read;
        }
    }
    assert!(offsets.values().all(|offset| *offset == 1));
}

/// In the end each client polls all logs, all at the same time.
#[test]
fn clients_that_poll_more_logs_than_a_poll_reads_are_answered_from_the_same_reads() {
    let mut run = run(2, 20, 1);
    for key in 0..2_500 {
        let body = json!({"type": "send", "key": key.to_string(), "msg": key});
        run.invoke(key % 20, body);
        run.rest(1);
    }
    let sent = run.world.messages;
    let offsets: BTreeMap<String, u64> = (0..2_500).map(|key| (key.to_string(), 0)).collect();
    for client in 0..20 {
        run.invoke(client, json!({"type": "poll", "offsets": offsets}));
    }
    run.rest(STALENESS_MS);
    let polls = &run.operations[2_500..];
    assert!(polls.iter().all(|poll| poll.ok("poll").is_some()));
    let reads = (run.world.messages - sent) / 2;
    assert!(reads <= 2 * 256, "{reads} reads at two nodes");
}

#[test]
fn polls_leave_out_the_logs_for_which_there_is_no_capacity() {
    let mut run = run(1, 30, 1);
    run.world.latency_ms = 10;
    let keys = |range: std::ops::Range<u64>| range.map(|key| (key.to_string(), 0)).collect();
    let some: [BTreeMap<String, u64>; 3] = [keys(0..600), keys(600..1_200), keys(1_200..1_800)];
    for (client, offsets) in some.iter().enumerate() {
        run.invoke(client, json!({"type": "poll", "offsets": offsets}));
    }
    run.rest(50);
    assert!(run.operations[0].is_ok() && run.operations[1].is_ok());
    assert_eq!(
        run.operations[2].outcome,
        Outcome::Failed(11),
        "nothing could be read"
    );
    let again = json!({"type": "poll", "offsets": some[2]});
    assert!(run.ask(2, again, 50).is_ok());
}

#[test]
fn the_logs_in_use_are_not_forgotten_for_new_ones() {
    const KEYS: u64 = 1_100;
    const IN_USE: u64 = 10;
    let mut run = run(1, 1, 1);
    let mut send = |key: u64, msg: u64| {
        let body = json!({"type": "send", "key": key.to_string(), "msg": msg});
        run.ask(0, body, 2);
        run.world.messages
    };
    let opened = (0..KEYS).map(|key| send(key, 0)).last().expect("some");
    let messages = (1..4).flat_map(|msg| (KEYS - IN_USE..KEYS).map(move |key| (key, msg)));
    let sent = messages.map(|(key, msg)| send(key, msg)).last();
    assert_eq!(sent, Some(opened + 3 * IN_USE * 2), "a pair for each send");
}

#[test]
fn requests_that_are_wrong_are_refused_with_definite_errors() {
    let mut run = run(1, 1, 1);
    let long = "x".repeat(9_000);
    let many: BTreeMap<String, u64> = (0..1025).map(|key| (key.to_string(), 0)).collect();
    for body in [
        json!({"type": "send", "key": "k0"}),
        json!({"type": "send", "msg": 1}),
        json!({"type": "send", "key": 7, "msg": 1}),
        json!({"type": "send", "key": "k0", "msg": long}),
        json!({"type": "send", "key": long, "msg": 1}),
        json!({"type": "poll"}),
        json!({"type": "poll", "offsets": {"k0": -1}}),
        json!({"type": "commit_offsets", "offsets": many}),
        json!({"type": "list_committed_offsets", "keys": many.keys().collect::<Vec<_>>()}),
        json!({"type": "commit_offsets", "offsets": {"k0": 0.5}}),
        json!({"type": "list_committed_offsets", "keys": "k0"}),
        json!({"type": "fetch"}),
    ] {
        let operation = run.ask(0, body, 2);
        let is_refused = matches!(operation.outcome, Outcome::Failed(10 | 12));
        assert!(is_refused, "{operation:?}");
    }
    assert_eq!(run.world.messages, 0);
}
