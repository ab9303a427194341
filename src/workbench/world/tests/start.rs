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
        instead.starts_with("\nn1 sent a message whose src is \"\""),
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
