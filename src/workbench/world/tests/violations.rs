//! What no node may say.

use super::*;

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
