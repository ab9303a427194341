//! Histories with upstream's verdicts: the verdict under each model must be the same here.
//!
//! The `.jsonl` files beside this one hold one history per line, in the format of `history.jsonl`. `expected` has the
//! verdict under each model on which upstream is right; `anomalies` are the names that Elle and Knossos report.
#![cfg(feature = "workbench")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use eddy::workbench::check::lin_kv;
use eddy::workbench::check::txn::{self, Step};
use eddy::workbench::check::{Validity, Verdict};
use eddy::workbench::history::{Node, Operation, Outcome};
use eddy::workbench::json::Json;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Line {
    /// The workload, in a file of several.
    workload: Option<String>,
    expected: BTreeMap<String, String>,
    history: Vec<Value>,
}

/// The histories of a file.
fn lines(file: &str) -> Vec<Line> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories");
    let text = fs::read_to_string(folder.join(file)).expect("it is in the repository");
    let lines = text.lines();
    let lines = lines.map(|line| serde_json::from_str(line).expect("a history"));
    lines.collect()
}

/// A history: `call` reads its requests, and `answer` the replies to them.
fn history<C, R>(
    line: &Line,
    call: impl Fn(&Value) -> C,
    answer: impl Fn(&Value) -> R,
) -> Vec<Operation<C, R>> {
    let micros = |value: &Value| Duration::from_micros(value.as_u64().expect("a time"));
    let operations = line.history.iter().map(|operation| {
        let client = operation["client"].as_str().expect("a name");
        let node = operation["node"].as_str().expect("a name");
        let why = || operation["why"].to_string();
        Operation {
            client: client[1..].parse().expect("a number after the c"),
            node: Node::new(0, node),
            call: call(&operation["request"]),
            is_final: false,
            invoked_at: micros(&operation["invoked_us"]),
            completed_at: micros(&operation["completed_us"]),
            outcome: match operation["outcome"].as_str() {
                Some("ok") => Outcome::Ok(answer(&operation["answer"])),
                Some("failed") => Outcome::Failed(why()),
                _ => Outcome::Indeterminate(why()),
            },
        }
    });
    operations.collect()
}

fn steps(body: &Value) -> Vec<Step> {
    let steps = body["txn"].as_array().expect("steps");
    let steps = steps.iter().map(|step| {
        let (key, value) = (json(&step[1]), json(&step[2]));
        match step[0].as_str() {
            Some("r") => Step::Read { key, value },
            _ => Step::Write { key, value },
        }
    });
    steps.collect()
}

fn json(value: &Value) -> Json {
    serde_json::from_str(&value.to_string()).expect("it was JSON before")
}

fn call(body: &Value) -> lin_kv::Call {
    let field = |name: &str| json(&body[name]);
    match body["type"].as_str() {
        Some("read") => lin_kv::Call::Read(field("key")),
        Some("write") => lin_kv::Call::Write(field("key"), field("value")),
        _ => lin_kv::Call::Cas {
            key: field("key"),
            from: field("from"),
            to: field("to"),
        },
    }
}

fn answer(body: &Value) -> lin_kv::Answer {
    match (body["type"].as_str(), body["code"].as_i64()) {
        (Some("read_ok"), _) => lin_kv::Answer::Value(json(&body["value"])),
        (_, Some(20)) => lin_kv::Answer::Missing,
        (_, Some(_)) => lin_kv::Answer::Different,
        _ => lin_kv::Answer::Done,
    }
}

/// Histories, by their lines, that upstream calls valid in error: the words of the findings that prove it.
type Missed = [(usize, &'static str)];

/// Upstream does not check the real-time order in which the values of a register were seen.
const BACK_IN_TIME: &str = "was invoked)";

/// Upstream does not search for these in registers.
const FUTURE: &str = "Future read";
const NOT_WRITTEN: &str = "which nobody wrote";

const MISSED_IN_REGISTERS: &Missed = &[
    (41, BACK_IN_TIME),
    (48, BACK_IN_TIME),
    (142, BACK_IN_TIME),
    (183, BACK_IN_TIME),
    (267, FUTURE),
    (268, NOT_WRITTEN),
    (282, NOT_WRITTEN),
    (285, FUTURE),
];

/// Asserts that each history of a file gets the expected verdict under each model, except for those that upstream
/// calls valid in error.
#[track_caller]
fn assert_as_expected(file: &str, missed: &Missed, check: impl Fn(&Line, &str) -> Verdict) {
    let (mut wrong, mut missed_lines) = (Vec::new(), BTreeSet::new());
    for (line, number) in lines(file).iter().zip(1..) {
        let missed = missed.iter().find(|(missed, _)| *missed == number);
        for (model, expected) in &line.expected {
            let verdict = check(line, model);
            let is_valid = verdict.validity == Validity::Valid;
            if *expected == if is_valid { "valid" } else { "invalid" } {
                continue;
            }
            match missed {
                Some((number, words)) if is_all_about(&verdict, words) && !is_valid => {
                    missed_lines.insert(*number);
                }
                _ => wrong.push(format!(
                    "{number} is {expected} under {model}: {verdict:#?}"
                )),
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong: {}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(
        missed_lines
            .iter()
            .eq(missed.iter().map(|(number, _)| number))
    );
}

/// Whether every finding contains these words.
fn is_all_about(verdict: &Verdict, words: &str) -> bool {
    let mut findings = verdict.findings.iter();
    findings.all(|finding| finding.what.contains(words))
}

fn check_list_append(line: &Line, model: &str) -> Verdict {
    let models = [model.parse().expect("a model")];
    txn::list_append::check(&history(line, steps, steps), &models)
}

fn check_rw_register(line: &Line, model: &str) -> Verdict {
    let models = [model.parse().expect("a model")];
    txn::rw_register::check(&history(line, steps, steps), &models)
}

#[test]
fn lists_are_as_elle_sees_them() {
    assert_as_expected("txn-list-append.jsonl", &[], check_list_append);
}

#[test]
fn registers_in_transactions_are_as_elle_sees_them() {
    assert_as_expected(
        "txn-rw-register.jsonl",
        MISSED_IN_REGISTERS,
        check_rw_register,
    );
}

#[test]
fn registers_are_as_knossos_sees_them() {
    assert_as_expected("lin-kv.jsonl", &[], |line, _| {
        lin_kv::check(&history(line, call, answer))
    });
}

#[test]
fn the_shortest_histories_of_each_anomaly_are_invalid() {
    assert_as_expected("by-hand.jsonl", &[], |line, model| {
        match line.workload.as_deref() {
            Some("txn-rw-register") => check_rw_register(line, model),
            _ => check_list_append(line, model),
        }
    });
}
