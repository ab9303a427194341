//! Nodes that leave requests without an answer.

use std::{mem, slice};

use super::*;
use crate::workbench::history::Outcome;

/// The run of an echo node that leaves those requests unanswered for which `is_left` is true of their number, and what is
/// printed of the run.
fn left(faults: Vec<Fault>, is_left: impl Fn(u64) -> bool) -> (Record<Echo>, String) {
    let settings = Settings {
        faults,
        ..settings(1)
    };
    let mut count = 0;
    let mut record = run(Echo, settings.clone(), |_, message| {
        if message["body"]["type"] != "init" {
            count += 1;
            if is_left(count) {
                return vec![];
            }
        }
        vec![echo(message)]
    })
    .expect("a run");
    record.last_output[0].logged = String::from("KeyError: 'value'");
    let printed = printed(&record, &settings);
    (record, printed)
}

#[test]
fn requests_that_a_node_leaves_unanswered_are_a_warning_that_shows_the_first() {
    let (record, printed) = left(Vec::new(), |count| count == 6);
    assert_eq!(record.unanswered, [5]);
    let expected = format!(
        "1 of {} requests was never answered, though there was no fault at the time",
        record.history.len()
    );
    assert!(printed.starts_with("valid with warnings: "), "{printed}");
    assert!(printed.contains(&expected), "{printed}");
    assert!(printed.contains("\n      #5 at "), "{printed}");
    assert!(!printed.contains("has sent nothing"), "{printed}");
    assert!(
        printed.contains("n0 printed on stderr: KeyError: 'value'"),
        "{printed}"
    );
}

#[test]
fn a_node_that_sends_nothing_more_is_named_with_the_time_since_when() {
    let (record, printed) = left(Vec::new(), |count| count > 5);
    let answered = record
        .history
        .iter()
        .filter(|operation| operation.outcome.is_ok());
    let last_s = answered.map(|operation| operation.completed_at).max();
    let last_s = last_s.expect("five were answered").as_secs_f64();
    let expected = format!("n0 has sent nothing since {last_s:.1} s; its last message went to c");
    assert!(printed.contains(&expected), "{printed}");
    assert!(printed.contains("\n      #5 at "), "{printed}");
}

#[test]
fn replies_without_in_reply_to_are_named_where_the_operations_are_that_did_not_succeed() {
    let settings = Settings {
        client_count: 1,
        ..settings(1)
    };
    let record = run(Echo, settings.clone(), |_, message| {
        let mut answer: Value = serde_json::from_str(&echo(message)).expect("a message");
        if message["body"]["type"] != "init" {
            let body = answer["body"].as_object_mut().expect("an object");
            body.remove("in_reply_to");
        }
        vec![answer.to_string()]
    });
    let printed = printed(&record.expect("a run"), &settings);
    let (above, warnings) = printed.split_once("\nWarnings: ").expect("a warning");
    let cause = "n0 sent c2 a message that answers nothing (it has no in_reply_to; in a reply that is the msg_id of \
                 its request): {";
    assert!(above.contains(&format!("\n    {cause}")), "{printed}");
    assert!(!above.contains("has sent nothing"), "{printed}");
    assert!(warnings.contains(&format!("\n  - {cause}")), "{printed}");
    assert!(warnings.contains("\n      #0 at "), "{printed}");
}

#[test]
fn a_message_that_answers_nothing_explains_no_operation_but_that_for_whose_answer_its_client_waits()
{
    let settings = settings(1);
    let mut count = 0;
    let record = run(Echo, settings.clone(), |_, message| {
        count += 1;
        let note = json!({"src": "n0", "dest": message["src"], "body": {"type": "note"}});
        match count {
            2 => vec![note.to_string(), echo(message)],
            ..=5 => vec![echo(message)],
            _ => Vec::new(),
        }
    });
    let printed = printed(&record.expect("a run"), &settings);
    let (_, unanswered) = printed.split_once("never answered").expect("a warning");
    assert!(
        unanswered.contains("n0 has sent nothing since"),
        "{printed}"
    );
    assert!(!unanswered.contains("answers nothing"), "{printed}");
}

#[test]
fn where_no_request_succeeded_that_is_told_once() {
    let (record, printed) = left(Vec::new(), |_| true);
    assert_eq!(record.unanswered.len(), record.history.len());
    assert!(printed.contains("of type echo succeeded"), "{printed}");
    assert!(!printed.contains("never answered"), "{printed}");
}

#[test]
fn requests_that_a_fault_may_have_left_unanswered_are_no_warning() {
    let (record, printed) = left(vec![Fault::Kill], |_| false);
    assert!(!record.unanswered.is_empty());
    assert!(printed.starts_with("valid: "), "{printed}");
}

/// What is printed of a run of two nodes. On each request, the first prints these messages and does not reply, and the second
/// prints what `second` gives. The first replies to the second.
fn without_replies(
    faults: Vec<Fault>,
    first: &[Value],
    second: impl Fn(&Value) -> Vec<String>,
) -> String {
    let settings = Settings {
        faults,
        ..settings(2)
    };
    let record = run(Echo, settings.clone(), |node, message| {
        match (message["body"]["type"].as_str(), node) {
            (Some("init"), _) => vec![echo(message)],
            (Some("echo"), 0) => first.iter().map(Value::to_string).collect(),
            (Some("echo"), _) => second(message),
            (Some("question"), 0) => vec![reply(message, json!({"type": "answer"}))],
            _ => Vec::new(),
        }
    });
    let record = record.expect("a run");
    printed(&record, &settings)
}

#[test]
fn where_a_node_is_silent_its_last_message_is_named_unless_something_else_explains_the_silence() {
    let question = json!({"src": "n0", "dest": "n1", "body": {"type": "question"}});
    let first = slice::from_ref(&question);
    let nothing = |_: &Value| Vec::new();
    let said = "n0 has sent nothing since ";
    let silent = without_replies(Vec::new(), first, nothing);
    assert!(silent.contains(said), "{silent}");
    assert!(
        silent.contains(" s; its last message went to n1."),
        "{silent}"
    );
    let goes_on = without_replies(Vec::new(), first, |message| {
        let question = json!({"src": "n1", "dest": "n0", "body": {"type": "question"}});
        vec![echo(message), question.to_string()]
    });
    assert!(!goes_on.contains(said), "{goes_on}");
    let in_a_fault = without_replies(vec![Fault::Partition], first, nothing);
    assert!(!in_a_fault.contains(said), "{in_a_fault}");
    let mute = without_replies(Vec::new(), &[question, json!("no message")], nothing);
    assert!(!mute.contains(said), "{mute}");
}

#[test]
fn clients_of_lin_kv_wait_for_a_second_or_ten_latencies_and_an_answer_may_come_later() {
    let settings = Settings {
        faults: Vec::new(),
        ..settings(1)
    };
    let (mut count, mut withheld) = (0, None);
    let record = run(LinKv::new(1, 2), settings, |_, message| {
        let kind = message["body"]["type"].as_str().expect("a type");
        let mut body = json!({"type": format!("{kind}_ok")});
        if kind == "read" {
            body["value"] = json!(1);
        }
        let answer = reply(message, body);
        count += 1;
        match count {
            3 => {
                withheld = Some(answer);
                Vec::new()
            }
            1500 => vec![answer, withheld.take().expect("it was withheld")],
            _ => vec![answer],
        }
    })
    .expect("a run");
    let mut history = record.history.iter();
    let given_up = history.find(|operation| !operation.outcome.is_ok());
    let given_up = given_up.expect("a client gave up");
    let waited = given_up.completed_at - given_up.invoked_at;
    assert_eq!(waited, Duration::from_secs(1));
    let why = Outcome::Indeterminate(String::from("no answer within 1 s"));
    assert_eq!(given_up.outcome, why);
    assert!(record.findings.is_empty(), "{:?}", record.findings);
    assert!(record.unanswered.is_empty());
    for (latency_ms, timeout_ms) in [(100, 1000), (250, 2500)] {
        let timeout = LinKv::client_timeout(Duration::from_millis(latency_ms));
        assert_eq!(timeout, Duration::from_millis(timeout_ms));
    }
}

/// What is printed of a run of two nodes that answer `init` and nothing else. If it `asks`, the first asks a
/// service something for its first request.
fn without_answers(faults: Vec<Fault>, mut asks: bool) -> String {
    let settings = Settings {
        faults,
        ..settings(2)
    };
    let question =
        json!({"src": "n0", "dest": "lin-kv", "body": {"type": "read", "key": 1, "msg_id": 1}});
    let record = run(Echo, settings.clone(), |node, message| {
        match (message["body"]["type"].as_str(), node) {
            (Some("init"), _) => vec![echo(message)],
            (Some("echo"), 0) if mem::take(&mut asks) => vec![question.to_string()],
            _ => Vec::new(),
        }
    });
    printed(&record.expect("a run"), &settings)
}

#[test]
fn a_silent_node_that_was_replied_to_may_not_have_read_the_reply_whatever_faults_there_were() {
    for faults in [Vec::new(), vec![Fault::Partition]] {
        let printed = without_answers(faults, true);
        let hint = "its last message went to lin-kv, from which a reply came at ";
        assert!(printed.contains(hint), "{printed}");
    }
}

#[test]
fn a_node_that_sends_nothing_after_its_answer_to_init_may_not_flush_stdout() {
    let printed = without_answers(Vec::new(), false);
    let hint = "its last message went to c0, as the answer to its init. Is stdout flushed after each message?";
    assert!(printed.contains(hint), "{printed}");
}
