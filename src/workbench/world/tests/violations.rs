//! What no node may say, and what Maelstrom lets pass.

use super::*;
use crate::workbench::check::Severity;
use crate::workbench::history::Outcome;

/// What is found when a node prints `wrong` beside its good answers, which is to be a warning.
fn warning(wrong: impl Fn(&Value) -> String) -> String {
    let record = run(Echo, settings(1), |_, message| {
        let is_init = message["body"]["type"] == "init";
        let more = (!is_init).then(|| wrong(message));
        std::iter::once(echo(message)).chain(more).collect()
    })
    .expect("a run");
    assert_eq!(record.findings.len(), 1, "{:?}", record.findings);
    assert_eq!(record.findings[0].severity, Severity::Warning);
    record.findings[0].what.clone()
}

/// A message to whoever asked.
fn to_client(body: Value) -> impl Fn(&Value) -> String {
    move |message| json!({"src": "n0", "dest": message["src"], "body": body}).to_string()
}

#[test]
fn an_answer_after_its_client_has_given_up_is_a_warning_unless_nodes_are_paused() {
    for (faults, is_found) in [(vec![], true), (vec![Fault::Pause], false)] {
        let settings = Settings {
            faults,
            ..settings(1)
        };
        let mut held_back = Vec::new();
        let record = run(
            Echo,
            settings,
            |_, message| match &message["body"]["type"] {
                kind if kind == "init" => vec![echo(message)],
                // The first two clients wait for an answer that comes when the next two ask.
                _ => {
                    held_back.push(echo(message));
                    match held_back.len() {
                        0..=2 => vec![],
                        _ => std::mem::take(&mut held_back),
                    }
                }
            },
        )
        .expect("a run");
        assert_eq!(record.findings.len(), usize::from(is_found));
        assert!(!record.unanswered.contains(&0), "{:?}", record.unanswered);
        for Finding {
            severity,
            what,
            operations,
            ..
        } in &record.findings
        {
            assert_eq!(*severity, Severity::Warning);
            assert!(what.contains("after the 5 s that a client waits"), "{what}");
            assert_eq!(operations[0], 0);
        }
    }
}

#[test]
fn a_second_answer_is_a_warning() {
    let found = warning(echo);
    assert!(found.contains("had its answer already"), "{found}");
}

#[test]
fn what_a_client_did_not_ask_for_is_a_warning() {
    let found = warning(to_client(json!({"type": "echo_ok", "echo": 1})));
    assert!(found.contains("it has no in_reply_to"), "{found}");
    let found = warning(to_client(
        json!({"type": "echo_ok", "echo": 1, "in_reply_to": 99_999}),
    ));
    assert!(found.contains("nobody sent that msg_id"), "{found}");
    let found = warning(to_client(json!({"type": "echo_ok", "in_reply_to": "1"})));
    let expected = r#"its in_reply_to is the text "1" and not the number 1"#;
    assert!(found.contains(expected), "{found}");
}

/// What becomes of operations whose answers have such a body.
fn outcome(answer: &str) -> Outcome<crate::workbench::check::echo::Answer> {
    let record = answered(answer);
    assert!(record.findings.is_empty(), "{:?}", record.findings);
    record.history[0].outcome.clone()
}

/// A run whose answers have such a body.
fn answered(answer: &str) -> Record<Echo> {
    run(Echo, settings(1), |_, message| {
        if message["body"]["type"] == "init" {
            return vec![echo(message)];
        }
        let (client, msg_id) = (&message["src"], &message["body"]["msg_id"]);
        let ids = format!(r#""in_reply_to":{msg_id},{answer}"#);
        vec![format!(
            r#"{{"src":"n0","dest":{client},"body":{{{ids}}}}}"#
        )]
    })
    .expect("a run")
}

#[test]
fn an_unlisted_error_code_leaves_the_outcome_unknown_however_it_is_written() {
    let error = |code| outcome(&format!(r#""type":"error","code":{code},"text":"no""#));
    assert_eq!(error("11"), Outcome::Failed(String::from("error 11: no")));
    for code in ["11.0", "1180591620717411303425"] {
        let unknown = Outcome::Indeterminate(format!("error {code}: no"));
        assert_eq!(error(code), unknown);
    }
}

#[test]
fn an_error_whose_code_is_no_whole_number_is_a_warning_and_the_outcome_is_unknown() {
    for (code, why) in [
        ("\"11\"", r#"its code is "11", which is no whole"#),
        ("null", "its code is null, which is no whole"),
        ("11.5", "its code is 11.5, which is no whole"),
        ("", "it has no code"),
    ] {
        let (code, shown) = match code {
            "" => (String::new(), "without a code"),
            code => (format!(r#""code":{code},"#), code),
        };
        let record = answered(&format!(r#""type":"error",{code}"text":"no""#));
        let [finding] = &*record.findings else {
            panic!("{:?}", record.findings);
        };
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.what.contains(why), "{}", finding.what);
        let outcome = &record.history[0].outcome;
        assert_eq!(
            *outcome,
            Outcome::Indeterminate(format!("error {shown}: no"))
        );
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
        (json!({"type": "read", "key": 1}), "it has no msg_id."),
        (
            json!({"type": "read", "k": 1, "msg_id": 1}),
            "it has no key.",
        ),
        (
            json!({"type": "write", "key": 1, "msg_id": 1}),
            "it has no value. Maelstrom takes a missing field as null",
        ),
        (
            json!({"type": "cas", "key": 1, "old": 0, "new": 1, "msg_id": 1}),
            "it has no from and no to.",
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
fn an_answer_sent_to_another_client_is_a_warning_that_names_both() {
    let settings = Settings {
        faults: Vec::new(),
        ..settings(1)
    };
    let mut asked = None;
    let record = run(Echo, settings, |_, message| {
        let mut answer: Value = serde_json::from_str(&echo(message)).expect("a message");
        // The other client has not sent a second request yet.
        if message["body"]["msg_id"] == 2 && asked.is_none() {
            let client = message["src"].as_str().map(String::from);
            answer["dest"] = json!(if client.as_deref() == Some("c2") {
                "c3"
            } else {
                "c2"
            });
            asked = client;
        }
        vec![answer.to_string()]
    })
    .expect("a run");
    assert_eq!(record.findings.len(), 1, "{:?}", record.findings);
    let Finding {
        severity,
        what,
        operations,
        ..
    } = &record.findings[0];
    assert_eq!(*severity, Severity::Warning);
    let asked = asked.expect("a client asked twice");
    let expected = format!("a msg_id that {asked} waits for");
    assert!(what.contains(&expected), "{what}");
    let client = record.history[operations[0]].client;
    assert_eq!(format!("c{client}"), asked);
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
    let what = &record.findings[0].what;
    assert!(what.contains("missing field `echo`"), "{what}");
    let example = r#"is for example: {"type":"echo_ok","echo":"#;
    assert!(what.contains(example), "{what}");
    assert_eq!(record.findings[0].operations, [0, 1]);
}
