//! Nodes that are gone, killed or paused.

use super::*;

#[test]
fn a_node_that_is_gone_ends_the_run() {
    let mut world = World::new(Echo, settings(1), ());
    world.on_line(
        0,
        &echo(&json!({"src": "c0", "dest": "n0", "body": {"type": "init", "msg_id": 1}})),
        Duration::ZERO,
    );
    world.advance(Duration::ZERO);
    world.on_exit(0, "exit status: 1", Duration::from_micros(2_000_001));
    assert!(world.is_over());
    let record = world.finish().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(record.cut_short_at, Some(Duration::from_micros(2_000_001)));
    assert_eq!(
        record.findings[0].what,
        "n0 ended by itself after 2.0 s: exit status: 1"
    );
    let printed = printed(&record, &settings(1));
    assert!(printed.contains("\necho for 2 s: nodes n0"), "{printed}");
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
    let now = Duration::from_secs(1);
    world.advance(now);
    for (node, client) in [("n0", "c0"), ("n1", "c1")] {
        let init = json!({"src": client, "dest": node, "body": {"type": "init", "msg_id": 1}});
        world.on_line(usize::from(node == "n1"), &echo(&init), now);
    }
    world.advance(now);
    let mebibyte = "x".repeat(1 << 20);
    let line =
        json!({"src": "n0", "dest": "n1", "body": {"type": "news", "news": mebibyte}}).to_string();
    for _ in 0..UNREAD_BYTES_MAX >> 20 {
        assert!(!world.is_over());
        world.on_line(0, &line, Duration::from_secs(3));
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
