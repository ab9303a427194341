//! What makes a node mute, and who is in the network for it to send to.

use super::*;
use crate::protocol::LineError;
use crate::workbench::check::Severity;

/// What is found when a node prints once what Maelstrom can't take, in a run of two nodes. From there on nobody hears it.
#[track_caller]
fn makes_mute(line: &str) -> String {
    let mut printed = false;
    let record = run(Echo, settings(2), |node, message| {
        let is_init = message["body"]["type"] == "init";
        let wrong = (node == 0 && !is_init && !std::mem::replace(&mut printed, true))
            .then(|| String::from(line));
        wrong.into_iter().chain([echo(message)]).collect()
    })
    .expect("a run");
    assert_eq!(record.findings.len(), 1, "{:?}", record.findings);
    let Finding { severity, what, .. } = &record.findings[0];
    assert_eq!(*severity, Severity::Violation);
    assert!(what.contains("mute from here on"), "{what}");
    assert!(record.unanswered.is_empty(), "{:?}", record.unanswered);
    for operation in &record.history {
        let is_ok = operation.outcome.is_ok();
        assert_eq!(is_ok, operation.node.to_string() == "n1", "{operation:?}");
    }
    what.clone()
}

#[test]
fn a_node_that_prints_what_is_no_message_is_mute_from_there_on() {
    for (line, expected) in [
        (
            "hello",
            "n0 printed on stdout a line that is not a message (it is not JSON",
        ),
        (
            "{",
            "(it is not JSON: EOF while parsing an object; a message is one line): {",
        ),
        ("", "n0 printed an empty line on stdout"),
        (" ", "n0 printed an empty line on stdout"),
        (
            "\u{feff}{\"src\": \"n0\", \"dest\": \"n1\", \"body\": {}}",
            "a line that is not a message (it begins with a byte-order mark; write UTF-8 without it): \\u{feff}{",
        ),
    ] {
        let found = makes_mute(line);
        assert!(found.contains(expected), "{found}");
        assert!(found.contains("logs go to stderr"), "{found}");
    }
}

#[test]
fn messages_that_two_threads_wrote_at_once_are_told_from_a_log() {
    for line in [
        r#"{"src": "n0", "de{"src": "n0", "dest": "n1", "body": {}}"#,
        r#"{"dest": "n1", "src": "n0", "body": {"a{"dest": "n1", "#,
    ] {
        let found = makes_mute(line);
        assert!(
            found.contains("several messages that were written at once"),
            "{found}"
        );
        assert!(!found.contains("logs go to stderr"), "{found}");
    }
    // What was odd before, and is no sign of it.
    let record = run(Echo, settings(1), |_, message| {
        let twice = echo(message).replacen('{', r#"{"dest":"nobody","#, 1);
        vec![twice, String::from("hello")]
    });
    let findings = record.expect("a run").findings;
    let log = findings.iter().find(|it| it.what.contains("not a message"));
    let log = log.expect("a finding");
    assert!(log.what.contains("logs go to stderr"), "{log:?}");
    // Two messages, then their newlines.
    let record = run(Echo, settings(1), |_, message| {
        vec![echo(message).repeat(2), String::new()]
    });
    let whats: Vec<String> = record
        .expect("a run")
        .findings
        .into_iter()
        .map(|it| it.what)
        .collect();
    let expected = "n0 printed an empty line on stdout. It looks like several messages";
    assert!(
        whats.iter().any(|what| what.starts_with(expected)),
        "{whats:?}"
    );
}

#[test]
fn a_node_that_sends_a_malformed_message_is_mute_from_there_on() {
    for (line, expected) in [
        (r#"{"src": "n0", "dest": "n0", "body": 3}"#, "its body is 3"),
        (
            r#"{"src": null, "dest": "n0", "body": {}}"#,
            "its src is null",
        ),
        (r#"{"src": "n0", "body": {}}"#, "it has no dest"),
        (
            r#"{"id": "7", "src": "n0", "dest": "n0", "body": {}}"#,
            r#"its id is "7""#,
        ),
        (
            r#"{"src": "n0", "dest": "n0", "body": {}, "ttl": 1}"#,
            r#"it has a field "ttl""#,
        ),
    ] {
        let found = makes_mute(line);
        assert!(found.contains("a malformed message"), "{found}");
        assert!(
            found.contains(expected) && !found.contains("stderr"),
            "{found}"
        );
    }
}

#[test]
fn a_node_that_uses_a_name_that_does_not_exist_is_mute_from_there_on() {
    for (line, expected) in [
        (
            r#"{"src": "n7", "dest": "n0", "body": {}}"#,
            r#"src is "n7", which is no node, client or service"#,
        ),
        (
            r#"{"src": "n0", "dest": "n7", "body": {}}"#,
            r#"to "n7", which is no node, client or service: {"#,
        ),
        (
            r#"{"src": "n0", "dest": "seq_kv", "body": {"type": "read"}}"#,
            r#"to "seq_kv", which is no node, client or service (did you mean seq-kv?): {"#,
        ),
        (
            r#"{"src": "n0", "dest": "c99999", "body": {"type": "x"}}"#,
            r#"to "c99999", which is no node"#,
        ),
        (
            r#"{"src": "n0", "dest": "c1", "body": {"type": "init_ok", "in_reply_to": 1}}"#,
            r#"to "c1", a client that had sent only init, and left"#,
        ),
    ] {
        let found = makes_mute(line);
        assert!(found.contains(expected), "{found}");
    }
}

/// Makes a line of a right answer and of a message to the node itself.
type Line = fn(answer: &str, to_itself: &str) -> String;

/// A run of two nodes that print such lines.
fn run_with_lines(line: Line) -> Record<Echo> {
    run(Echo, settings(2), |node, message| {
        let name = format!("n{node}");
        let to_itself = json!({"src": name, "dest": name, "body": {"text": "a-b"}}).to_string();
        let is_own = message["src"] == name.as_str();
        let printed = (!is_own).then(|| line(&echo(message), &to_itself));
        Vec::from_iter(printed)
    })
    .expect("a run")
}

#[test]
fn a_line_that_maelstrom_takes_for_a_message_is_one_and_a_warning() {
    let lines: [(&str, Line); 4] = [
        ("printed more than a message on a line", |answer, _| {
            format!("{answer} hello")
        }),
        ("drops what follows it", |answer, to_itself| {
            format!("{answer}{to_itself}")
        }),
        (
            r#"printed a message with two fields "dest""#,
            |answer, _| answer.replacen('{', r#"{"dest":"nobody","#, 1),
        ),
        (
            "printed a message with control characters in a string",
            |answer, to_itself| format!("{}\r{answer}", to_itself.replace('-', "\t")),
        ),
    ];
    for (expected, line) in lines {
        let record = run_with_lines(line);
        let [Finding { severity, what, .. }] = &record.findings[..] else {
            panic!("{:?}", record.findings);
        };
        assert_eq!(*severity, Severity::Warning);
        assert!(what.contains(expected), "{what}");
        assert!(what.contains("done by node n1, too"), "{what}");
        let mut answers = record.history.iter();
        assert!(answers.all(|operation| operation.outcome.is_ok()));
    }
}

#[test]
fn a_carriage_return_ends_a_line() {
    let record = run_with_lines(|answer, to_itself| format!("{to_itself}\r{answer}\r"));
    assert!(record.findings.is_empty(), "{:?}", record.findings);
    let count = record.history.len();
    assert!(
        record
            .history
            .iter()
            .all(|operation| operation.outcome.is_ok())
    );
    assert_eq!(record.sent.servers as usize, 2 + count);
}

#[test]
fn bytes_that_are_not_utf8_are_taken_for_replacement_characters_and_are_a_warning() {
    let mut world = World::new(Echo, settings(1), ());
    let init = json!({"src": "c0", "dest": "n0", "body": {"type": "init", "msg_id": 1}});
    let answer = echo(&init).replace("init_ok", "init_ok\",\"by\":\"?");
    let bytes = answer.into_bytes().into_iter();
    let bytes = Vec::from_iter(bytes.map(|byte| if byte == b'?' { 0xff } else { byte }));
    world.on_unreadable_line(0, &LineError::NotUtf8(&bytes), Duration::ZERO);
    world.advance(Duration::ZERO);
    assert_eq!(world.progress(Duration::ZERO).phase, "running");
    let record = world.finish().unwrap_or_else(|error| panic!("{error}"));
    let [finding] = &*record.findings else {
        panic!("{:?}", record.findings);
    };
    assert_eq!(finding.severity, Severity::Warning);
    let what = r#"printed a line that is not UTF-8: {"#;
    assert!(finding.what.contains(what), "{}", finding.what);
    assert!(finding.what.contains(r#""by":"\xff""#), "{}", finding.what);
}

/// A run of so many nodes that send a message to each other node as soon as they have their `init`.
fn greeting_run(node_count: usize, seed: u64) -> Record<Echo> {
    let settings = Settings {
        seed,
        time_limit: Duration::from_secs(5),
        ..settings(node_count)
    };
    run(Echo, settings, |node, message| {
        let is_init = message["body"]["type"] == "init";
        let is_greeting = message["body"]["type"] == "hello";
        let others = (0..node_count).filter(|&other| is_init && other != node);
        let greetings = others.map(|other| {
            let (src, dest) = (format!("n{node}"), format!("n{other}"));
            json!({"src": src, "dest": dest, "body": {"type": "hello"}}).to_string()
        });
        let answer = (!is_greeting).then(|| echo(message));
        answer.into_iter().chain(greetings).collect()
    })
    .expect("a run")
}

/// What is found when the first of two nodes sends a message to this client, either when it gets `init` or when it gets its
/// second request of a client of the run.
fn sent_to<W: Workload>(workload: W, client: &str, is_at_init: bool) -> String {
    let (mut is_sent, mut requests) = (false, 0);
    let settings = Settings {
        time_limit: Duration::from_secs(1),
        ..settings(2)
    };
    let record = run(workload, settings, |node, message| {
        let kind = message["body"]["type"].as_str().expect("a type");
        requests += u32::from(node == 0 && kind != "init" && kind != "topology");
        let is_time = node == 0 && (is_at_init || requests == 2);
        let wrong = (is_time && !std::mem::replace(&mut is_sent, true))
            .then(|| json!({"src": "n0", "dest": client, "body": {"type": "hello"}}).to_string());
        let answer = reply(message, json!({"type": format!("{kind}_ok")}));
        wrong.into_iter().chain([answer]).collect()
    });
    let findings = record.expect("a run").findings;
    let mute = findings
        .iter()
        .find(|finding| finding.what.contains("sent a message to"));
    mute.expect("a finding").what.clone()
}

#[test]
fn a_client_that_is_not_there_is_described_by_what_it_had_sent() {
    let broadcast = || Broadcast::new(Topology::Line, &settings(2).nodes);
    for (what, client, had_sent) in [
        (
            sent_to(Echo, "c0", false),
            "c0",
            "only init, and left when it had its answer:",
        ),
        (sent_to(Echo, "c2", false), "c2", "nothing:"),
        (
            sent_to(broadcast(), "c3", false),
            "c3",
            "only topology, and left when it had its answer:",
        ),
        (sent_to(broadcast(), "c3", true), "c3", "nothing:"),
    ] {
        let expected =
            format!("n0 sent a message to {client:?}, a client that had sent {had_sent} ");
        assert!(what.starts_with(&expected), "{what}");
    }
}

#[test]
fn a_second_answer_to_init_or_to_topology_that_comes_at_once_finds_its_client_there() {
    for asked in ["init", "topology"] {
        let broadcast = Broadcast::new(Topology::Line, &settings(2).nodes);
        let settings = Settings {
            time_limit: Duration::from_secs(1),
            ..settings(2)
        };
        let record = run(broadcast, settings, |node, message| {
            let kind = message["body"]["type"].as_str().expect("a type");
            let mut body = json!({"type": format!("{kind}_ok")});
            if kind == "read" {
                body["messages"] = json!([]);
            }
            let count = 1 + usize::from(node == 0 && kind == asked);
            vec![reply(message, body); count]
        });
        let record = record.expect("a run");
        let found = record.findings.iter();
        let found = Vec::from_iter(found.map(|finding| (finding.severity, &*finding.what)));
        let [(Severity::Warning, what)] = found[..] else {
            panic!("{found:?}");
        };
        assert!(what.starts_with("n0 answered a request that had its answer already"));
        assert!(what.contains("which comes first is chance"), "{what}");
        let mut answers = record.history.iter();
        assert!(answers.all(|operation| operation.outcome.is_ok()));
    }
}

#[test]
fn a_second_answer_to_init_finds_its_client_gone_after_a_millisecond() {
    for (late_us, is_mute) in [(0, false), (999, false), (1000, true)] {
        let mut world = World::new(Echo, settings(1), ());
        world.advance(Duration::ZERO);
        let init = serde_json::from_slice(world.inbox(0)).expect("a line of JSON");
        for now in [0, late_us].map(Duration::from_micros) {
            world.on_line(0, &echo(&init), now);
            world.advance(now);
        }
        assert_eq!(world.node_states.is_mute(0), is_mute, "{late_us}");
        assert_eq!(world.finish().expect("it has begun").findings.len(), 1);
    }
}

#[test]
fn a_node_that_speaks_to_one_that_has_not_joined_is_mute_from_there_on() {
    // The last of forty joins 39 ms after the first, which gets its `init` after 30 ms.
    for seed in 0..5 {
        let record = greeting_run(40, seed);
        let found: Vec<&str> = record
            .findings
            .iter()
            .map(|finding| &*finding.what)
            .collect();
        let [what] = found[..] else {
            panic!("{found:?}");
        };
        for part in [
            "which had not joined the network yet",
            "mute from here on",
            "and 5 more, too: 8 times",
        ] {
            assert!(what.contains(part), "{what}");
        }
        let heard: BTreeSet<String> = record
            .history
            .iter()
            .filter(|operation| operation.outcome.is_ok())
            .map(|operation| operation.node.to_string())
            .collect();
        assert_eq!(heard.len(), 31, "{heard:?}");
    }
}

#[test]
fn all_but_very_many_nodes_have_joined_before_one_has_its_init() {
    for node_count in [2, 5, 25] {
        let record = greeting_run(node_count, 1);
        assert!(record.findings.is_empty(), "{:?}", record.findings);
    }
}

#[test]
fn a_node_that_is_mute_and_owes_an_answer_ends_the_run_at_once() {
    let wrong_src = run(Echo, settings(2), |node, message| {
        vec![if node == 1 {
            echo(message).replace(r#""src":"n1""#, r#""src":"""#)
        } else {
            echo(message)
        }]
    })
    .expect("a record");
    let prints = run(
        Broadcast::new(Topology::Grid, &settings(2).nodes),
        settings(2),
        |node, message| {
            let kind = message["body"]["type"].as_str().expect("a type");
            let answer = reply(message, json!({"type": format!("{kind}_ok")}));
            let more = (node == 1).then(|| String::from("Listening!"));
            std::iter::once(answer).chain(more).collect()
        },
    )
    .expect("a record");
    let cut_short_at = [wrong_src.cut_short_at, prints.cut_short_at];
    assert_eq!(cut_short_at, [Some(Duration::ZERO); 2]);
    assert!(wrong_src.history.is_empty() && prints.history.is_empty());
    let [finding] = &*wrong_src.findings else {
        panic!("{:?}", wrong_src.findings);
    };
    let expected = "n1 sent a message whose src is \"\"";
    assert!(finding.what.starts_with(expected), "{}", finding.what);
    let [finding] = &*prints.findings else {
        panic!("{:?}", prints.findings);
    };
    assert!(finding.what.contains("Listening!"), "{}", finding.what);
}

#[test]
fn a_node_that_is_started_again_is_heard_again() {
    let settings = Settings {
        faults: vec![Fault::Kill],
        ..settings(1)
    };
    let mut printed = false;
    let record = run(Echo, settings, |_, message| {
        let is_init = message["body"]["type"] == "init";
        let wrong = (!is_init && !std::mem::replace(&mut printed, true)).then(String::new);
        wrong.into_iter().chain([echo(message)]).collect()
    })
    .expect("a run");
    assert_eq!(record.findings.len(), 1, "{:?}", record.findings);
    let restarted_at = record.fault_windows[0].ended_at.expect("faults end");
    assert!(
        record
            .history
            .iter()
            .all(|operation| { !operation.outcome.is_ok() || operation.invoked_at > restarted_at })
    );
    assert!(
        record
            .history
            .iter()
            .any(|operation| operation.outcome.is_ok())
    );
}
