//! What no node may say, and what Maelstrom lets pass.

use super::*;
use crate::workbench::check::Severity;
use crate::workbench::history::Outcome;

/// What is found when a node prints `wrong` beside its good answers, which must count as much as that.
fn finding(severity: Severity, wrong: impl Fn(&Value) -> String) -> String {
    let record = run(Echo, settings(1), |_, message| {
        let is_init = message["body"]["type"] == "init";
        let more = (!is_init).then(|| wrong(message));
        std::iter::once(echo(message)).chain(more).collect()
    })
    .expect("a run");
    assert_eq!(record.findings.len(), 1, "{:?}", record.findings);
    assert_eq!(record.findings[0].severity, severity);
    record.findings[0].what.clone()
}

fn violation(wrong: impl Fn(&Value) -> String) -> String {
    finding(Severity::Violation, wrong)
}

fn warning(wrong: impl Fn(&Value) -> String) -> String {
    finding(Severity::Warning, wrong)
}

/// A message to whoever asked.
fn to_client(body: Value) -> impl Fn(&Value) -> String {
    move |message| json!({"src": "n0", "dest": message["src"], "body": body}).to_string()
}

#[test]
fn what_no_node_may_do_is_found_and_named() {
    let said = violation(|_| String::from("hello"));
    assert!(
        said.starts_with("n0 printed on stdout what is no message"),
        "{said}"
    );
    let said = violation(|_| String::from(" "));
    assert!(said.contains("printed an empty line"), "{said}");
    for (line, expected) in [
        (r#"{"src": "n0", "dest": "n0", "body": 3}"#, "its body is 3"),
        (
            r#"{"src": null, "dest": "n0", "body": {}}"#,
            "its src is null",
        ),
        (r#"{"src": "n0", "body": {}}"#, "it has no dest"),
    ] {
        let said = violation(|_| String::from(line));
        assert!(said.contains("a malformed message"), "{said}");
        assert!(
            said.contains(expected) && !said.contains("stderr"),
            "{said}"
        );
    }
    let said = violation(|_| String::from(r#"{"src": "n7", "dest": "n0", "body": {}}"#));
    assert!(
        said.contains(r#"src is "n7", which is no node, client or service"#),
        "{said}"
    );
    let said = violation(|_| String::from(r#"{"src": "n0", "dest": "n7", "body": {}}"#));
    assert!(said.contains(r#"to "n7", which is no node"#), "{said}");
}

#[test]
fn a_second_answer_is_a_warning() {
    let said = warning(echo);
    assert!(said.contains("had its answer already"), "{said}");
}

#[test]
fn what_a_client_did_not_ask_for_is_a_warning() {
    let said = warning(to_client(json!({"type": "echo_ok", "echo": 1})));
    assert!(said.contains("it has no in_reply_to"), "{said}");
    let said = warning(to_client(
        json!({"type": "echo_ok", "echo": 1, "in_reply_to": 99_999}),
    ));
    assert!(said.contains("nobody sent that msg_id"), "{said}");
    let said = warning(to_client(json!({"type": "echo_ok", "in_reply_to": "1"})));
    assert!(said.contains("nobody sent that msg_id"), "{said}");
}

/// What becomes of operations whose answers have such a body.
fn outcome(answer: &str) -> Outcome<crate::workbench::check::echo::Answer> {
    let record = run(Echo, settings(1), |_, message| {
        if message["body"]["type"] == "init" {
            return vec![echo(message)];
        }
        let (client, msg_id) = (&message["src"], &message["body"]["msg_id"]);
        let ids = format!(r#""in_reply_to":{msg_id},{answer}"#);
        vec![format!(
            r#"{{"src":"n0","dest":{client},"body":{{{ids}}}}}"#
        )]
    })
    .expect("a run");
    assert!(record.findings.is_empty(), "{:?}", record.findings);
    record.history[0].outcome.clone()
}

#[test]
fn an_error_code_that_the_protocol_does_not_list_says_nothing_however_it_is_written() {
    let error = |code| outcome(&format!(r#""type":"error","code":{code},"text":"no""#));
    assert_eq!(error("11"), Outcome::Failed(String::from("error 11: no")));
    for code in ["11.0", "1180591620717411303425", "\"11\"", "null"] {
        let unknown = Outcome::Indeterminate(format!("error {code}: no"));
        assert_eq!(error(code), unknown);
    }
}

#[test]
fn an_error_may_have_ids_and_text_of_any_kind() {
    let error = outcome(r#""type":"error","code":11,"text":["why"],"msg_id":"x""#);
    let why = r#"error 11: ["why"]"#;
    assert_eq!(error, Outcome::Failed(String::from(why)));
}

#[test]
fn a_request_to_a_service_that_is_served_though_it_is_odd_is_a_warning() {
    let record = |request: Value| {
        let ask = move |_, message: &Value| {
            let is_init = message["body"]["type"] == "init";
            let more = is_init
                .then(|| json!({"src": "n0", "dest": "lin-kv", "body": request}).to_string());
            let is_answer = message["src"] == "lin-kv";
            let echoed = (!is_answer).then(|| echo(message));
            echoed.into_iter().chain(more).collect()
        };
        run(Echo, settings(1), ask).expect("a run")
    };
    for (request, expected) in [
        (
            json!({"type": "write", "key": 1, "value": 1, "msg_id": "one"}),
            "its msg_id is \"one\", not a number",
        ),
        (
            json!({"type": "delete", "key": 1, "msg_id": 1}),
            "not \"delete\". Maelstrom's leaves it unanswered",
        ),
    ] {
        let record = record(request);
        assert_eq!(record.findings.len(), 1, "{:?}", record.findings);
        let Finding { severity, what, .. } = &record.findings[0];
        assert_eq!(*severity, Severity::Warning);
        assert!(what.contains(expected), "{what}");
    }
    let large = json!({"type": "write", "key": 1, "value": 1, "msg_id": u64::MAX});
    assert!(record(large).findings.is_empty());
}

#[test]
fn a_request_passed_on_in_the_name_of_its_client_is_answered_by_another_node_with_a_warning() {
    let record = run(Echo, settings(2), |node, message| {
        let is_init = message["body"]["type"] == "init";
        if node == 0 || is_init {
            return vec![echo(message)];
        }
        let mut passed_on = message.clone();
        passed_on["dest"] = json!("n0");
        vec![passed_on.to_string()]
    })
    .expect("a run");
    assert!(
        record
            .history
            .iter()
            .all(|operation| operation.outcome.is_ok())
    );
    assert_eq!(record.findings.len(), 1, "{:?}", record.findings);
    let Finding { severity, what, .. } = &record.findings[0];
    assert_eq!(*severity, Severity::Warning);
    assert!(what.starts_with("n1 sent a message whose src"), "{what}");
}

#[test]
fn an_answer_of_the_wrong_form_is_a_warning_and_leaves_its_operation_open() {
    let record = run(Echo, settings(1), |_, message| {
        let is_init = message["body"]["type"] == "init";
        vec![if is_init {
            echo(message)
        } else {
            reply(message, json!({"type": "echo_ok"}))
        }]
    })
    .expect("a run");
    let Finding {
        severity,
        what,
        operations,
        ..
    } = &record.findings[0];
    assert_eq!(*severity, Severity::Warning);
    assert!(what.contains("missing field `echo`"), "{what}");
    assert_eq!(operations, &[0, 1]);
    let outcome = &record.history[0].outcome;
    assert!(matches!(outcome, Outcome::Indeterminate(_)), "{outcome:?}");
}
