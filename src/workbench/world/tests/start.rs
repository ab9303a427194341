//! Whether a run begins.

use super::*;

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
        timeout_s: 10.0,
        instead: String::from("\nIn that time no line came from the stdout of node n1"),
    };
    assert_eq!(silent.err(), Some(expected));
    let refused = run(Echo, settings(1), |_, message| {
        vec![reply(message, json!({"type": "error", "code": 10}))]
    });
    assert!(matches!(refused.err(), Some(StartError::Refused { .. })));
}

#[test]
fn a_node_has_the_given_time_to_answer_init() {
    for (init_timeout_s, begins) in [(1, false), (12, true)] {
        let settings = Settings {
            init_timeout: Duration::from_secs(init_timeout_s),
            ..settings(2)
        };
        let mut world = World::new(Echo, settings, ());
        let mut answers = Vec::new();
        for now_s in 0..13 {
            let now = Duration::from_secs(now_s);
            world.advance(now);
            for node in 0..2 {
                let inbox = std::mem::take(world.inbox(node));
                if !inbox.is_empty() && !world.is_over() {
                    let init = serde_json::from_slice(&inbox).expect("a line of JSON");
                    answers.push((now_s + 10, node, echo(&init)));
                }
            }
            for (_, node, answer) in answers.extract_if(.., |(at_s, ..)| *at_s <= now_s) {
                world.on_line(node, &answer, now);
            }
            if begins == (world.progress(now).phase == "running") && now_s > 1 {
                break;
            }
        }
        assert_eq!(!world.is_over(), begins, "{init_timeout_s} s");
        let error = world.finish().err().map(|error| error.to_string());
        assert_eq!(
            error.is_some_and(|error| error
                .starts_with("no init_ok from n0, n1 within 1 s (--init-timeout gives more).")),
            !begins
        );
    }
}

#[test]
fn a_topology_is_answered_within_five_seconds() {
    let settings = Settings {
        init_timeout: Duration::from_secs(30),
        ..settings(1)
    };
    let broadcast = Broadcast::new(Topology::Line, &settings.nodes);
    let mut world = World::new(broadcast, settings, ());
    world.advance(Duration::ZERO);
    let init = serde_json::from_slice(world.inbox(0)).expect("a line of JSON");
    world.on_line(0, &echo(&init), Duration::ZERO);
    for (now_ms, is_over) in [(0, false), (4_999, false), (5_000, true)] {
        world.advance(Duration::from_millis(now_ms));
        assert_eq!(world.is_over(), is_over, "{now_ms} ms");
    }
    let ended = world.finish();
    let error = ended.err().expect("no answer").to_string();
    let expected = "no topology_ok from n0 within 5 s. A node answers topology with {";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn a_malformed_message_of_a_node_that_has_not_answered_its_init_says_so() {
    let early = "had not answered its init yet";
    let example = r#"{"type": "init_ok", "in_reply_to": 1}"#;
    for (wrong, is_early, advice) in [
        (
            r#"{"src": null, "dest": "n0", "body": {}}"#,
            true,
            Some(early),
        ),
        (
            r#"{"Src": "n0", "Dest": "c0", "Body": {"type": "init_ok"}}"#,
            true,
            Some(example),
        ),
        (r#"{"src": null, "dest": "n0", "body": {}}"#, false, None),
    ] {
        let record = run(Echo, settings(1), |_, message| {
            let is_time = (message["body"]["type"] == "init") == is_early;
            let wrong = is_time.then(|| String::from(wrong));
            wrong.into_iter().chain([echo(message)]).collect()
        });
        let what = &record.expect("a record").findings[0].what;
        for other in [early, example] {
            assert_eq!(what.contains(other), advice == Some(other), "{what}");
        }
    }
}

/// When which nodes get their `init` in a network of five.
fn inits(seed: u64) -> Vec<(u64, usize)> {
    let settings = Settings {
        seed,
        ..settings(5)
    };
    let mut world = World::new(Echo, settings, ());
    let mut inits = Vec::new();
    let mut now = Duration::ZERO;
    while inits.len() < 5 {
        world.advance(now);
        for node in 0..5 {
            let inbox = std::mem::take(world.inbox(node));
            if inbox.is_empty() {
                continue;
            }
            inits.push((now.as_millis() as u64, node));
        }
        now = world.next_deadline().unwrap_or(now);
    }
    inits
}

#[test]
fn nodes_get_their_init_one_after_the_other_and_wait_for_no_init_ok() {
    let times = inits(1).into_iter().map(|(at_ms, _)| at_ms);
    assert!(times.eq([0, 1, 2, 3, 4]));
}

#[test]
fn what_nodes_send_to_each_other_while_they_start_takes_its_time_and_stays_in_order() {
    let settings = Settings {
        latency: Latency::default(),
        ..settings(2)
    };
    let mut world = World::new(Echo, settings, ());
    world.advance(Duration::from_millis(10));
    world.inbox(1).clear();
    // What the other node has received by then.
    let mut say = |index: u64, now_ms| {
        let body = json!({"type": "hello", "index": index});
        let hello = json!({"src": "n0", "dest": "n1", "body": body}).to_string();
        let now = Duration::from_millis(now_ms);
        world.advance(now);
        world.on_line(0, &hello, now);
        world.advance(now);
        let inbox = std::mem::take(world.inbox(1));
        let messages = serde_json::Deserializer::from_slice(&inbox).into_iter::<Value>();
        let indices = messages.map(|message| message.expect("JSON")["body"]["index"].as_u64());
        indices.flatten().collect::<Vec<u64>>()
    };
    assert_eq!(say(1, 10), [0; 0]);
    assert_eq!(say(2, 59), [0; 0]);
    assert_eq!(say(3, 60), [1, 2, 3]);
    assert_eq!(say(4, 70), [4]);
}

#[test]
fn the_order_in_which_nodes_get_their_init_is_the_seeds() {
    let order = |seed| inits(seed).into_iter().map(|(_, node)| node);
    let orders: BTreeSet<Vec<usize>> = (0..20).map(|seed| order(seed).collect()).collect();
    assert!(orders.len() > 10, "{orders:?}");
    assert!(order(3).eq(order(3)));
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
    let printed = refused.err().expect("an error").to_string();
    assert!(
        printed.contains(r#"answered topology wrongly (it has a field "topology""#),
        "{printed}"
    );
}

/// What is told of the second of two nodes whose `init_ok`, or what answers another `asked`, is changed that way.
fn reported_instead<W: Workload>(
    workload: W,
    asked: &str,
    wrong: impl Fn(String) -> String,
) -> String {
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
fn a_reply_other_than_init_ok_is_reported() {
    let with_other_id = |answer: String| answer.replace(r#""in_reply_to":1"#, r#""in_reply_to":7"#);
    let instead = reported_instead(Echo, "init", with_other_id);
    assert!(
        instead.starts_with(
            "\nn1 sent c1 a message that answers nothing (no init had that msg_id): {"
        ),
        "{instead}"
    );
    let instead = reported_instead(Echo, "init", |answer| {
        answer.replace(r#""in_reply_to":1"#, r#""in_reply_to":"1""#)
    });
    let expected = r#"its in_reply_to is the text "1" and not the number 1"#;
    assert!(instead.contains(expected), "{instead}");
    let broadcast = Broadcast::new(Topology::Grid, &settings(2).nodes);
    let instead = reported_instead(broadcast, "topology", with_other_id);
    assert!(
        instead.starts_with("\nn1 sent c3 a message that answers nothing"),
        "{instead}"
    );
}

#[test]
fn an_answer_that_goes_to_another_than_the_client_that_asked_is_reported_with_its_destination() {
    let to_itself = |answer: String| {
        let mut answer: Value = serde_json::from_str(&answer).expect("a message");
        answer["dest"] = json!("n1");
        answer.to_string()
    };
    let broadcast = Broadcast::new(Topology::Grid, &settings(2).nodes);
    for (instead, asked, client) in [
        (reported_instead(Echo, "init", to_itself), "init", "c1"),
        (
            reported_instead(broadcast, "topology", to_itself),
            "topology",
            "c3",
        ),
    ] {
        let expected =
            format!("\nn1 sent this to n1, and not to {client}, from which {asked} came: {{");
        assert!(instead.starts_with(&expected), "{instead}");
        assert!(instead.contains(&format!("{asked}_ok")), "{instead}");
    }
}
