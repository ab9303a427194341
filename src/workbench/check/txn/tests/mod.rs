//! Each anomaly by name, under the models that forbid it and those that do not.

mod agreement;
mod order;
mod reads;
mod unknown;
mod unread;

use std::ops::Range;

use serde_json::{Value, json};

use super::*;
use crate::workbench::check::Validity;
use crate::workbench::check::testing::*;

type TransactionOperation = Operation<Call, Answer>;

fn r(key: &str, value: impl Into<Json>) -> Step {
    Step::Read {
        key: Json::from(key),
        value: value.into(),
    }
}

fn w(key: &str, value: u32) -> Step {
    Step::Write {
        key: Json::from(key),
        value: Json::from(u64::from(value)),
    }
}

/// The request for a given reply.
fn call(answer: &[Step]) -> Call {
    let asked = |step: &Step| match step {
        Step::Read { key, .. } => Step::Read {
            key: key.clone(),
            value: Json::Null,
        },
        Step::Write { .. } => step.clone(),
    };
    answer.iter().map(asked).collect()
}

fn committed<const N: usize>(
    client: usize,
    time: Range<u64>,
    answer: [Step; N],
) -> TransactionOperation {
    operation(client, time, call(&answer), Outcome::Ok(answer.into()))
}

/// Concurrent committed transactions, each of a client of its own.
fn concurrent<const N: usize>(answers: [&[Step]; N]) -> Vec<TransactionOperation> {
    let operations = answers.iter().enumerate();
    operations
        .map(|(client, answer)| operation(client, 0..9, call(answer), Outcome::Ok(answer.to_vec())))
        .collect()
}

fn models<const N: usize>(names: [&str; N]) -> Vec<Model> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// Asserts that `kept` is the strongest of the models that a history satisfies and that the check against `broken` has
/// this finding.
#[track_caller]
fn assert_between(
    check: fn(&History, &[Model]) -> Verdict,
    history: &History,
    kept: &str,
    broken: &str,
    words: &str,
    operations: &[usize],
) {
    assert_valid(&check(history, &models([kept])));
    assert_invalid(&check(history, &models([broken])), words, operations);
}

#[test]
fn accepts_right_transactions() {
    let history = [
        committed(
            0,
            0..1,
            [r("x", json!(null)), w("x", 1), r("x", json!([1]))],
        ),
        committed(1, 0..9, [w("x", 2), w("y", 1)]),
        committed(
            0,
            2..3,
            [r("x", json!([1, 2])), r("y", json!([1])), w("y", 2)],
        ),
        committed(1, 10..11, [r("x", json!([1, 2])), r("y", json!([1, 2]))]),
    ];
    assert_valid(&list_append::check(&history, &MODELS));
    let history = [
        committed(0, 0..1, [r("x", json!(null)), w("x", 1), r("x", json!(1))]),
        committed(1, 2..9, [w("x", 2), w("y", 1)]),
        committed(0, 10..11, [r("x", json!(2)), r("y", json!(1)), w("y", 2)]),
    ];
    assert_valid(&rw_register::check(&history, &MODELS));
}

#[test]
fn catches_writes_that_overtake_each_other() {
    let history = concurrent([
        &[w("x", 1), w("y", 1)],
        &[w("x", 2), w("y", 2)],
        &[r("x", json!([1, 2])), r("y", json!([2, 1]))],
    ]);
    let verdict = list_append::check(&history, &models(["read-uncommitted"]));
    assert_invalid(
        &verdict,
        "(G0): T0 comes before T1, because T1 wrote 2 to key \"x\" on top of it.",
        &[0, 1],
    );
    assert_invalid(&verdict, "So T0 would have to come before itself.", &[0, 1]);
}

#[test]
fn catches_a_dirty_read() {
    let mut history = concurrent([&[w("x", 1)], &[r("x", json!([1]))]]);
    history[0].outcome = failed();
    assert_between(
        list_append::check,
        &history,
        "read-uncommitted",
        "read-committed",
        "(G1a): T1 read 1 in key \"x\", but T0, which wrote it, was aborted",
        &[0, 1],
    );
    let mut history = concurrent([&[w("x", 1)], &[r("x", json!(1))]]);
    history[0].outcome = failed();
    assert_between(
        rw_register::check,
        &history,
        "read-uncommitted",
        "read-committed",
        "(G1a): T1 read 1",
        &[0, 1],
    );
    history[0].outcome = indeterminate();
    assert_valid(&rw_register::check(&history, &MODELS));
}

#[test]
fn catches_a_read_of_something_unfinished() {
    let history = concurrent([&[w("x", 1), w("x", 2)], &[r("x", json!([1]))]]);
    assert_between(
        list_append::check,
        &history,
        "read-uncommitted",
        "read-committed",
        "(G1b): T1 read 1 as the newest in key \"x\", in the middle of T0",
        &[0, 1],
    );
    let history = concurrent([&[w("x", 1), w("x", 2)], &[r("x", json!(1))]]);
    assert_between(
        rw_register::check,
        &history,
        "read-uncommitted",
        "read-committed",
        "(G1b): T1 read 1 as the newest",
        &[0, 1],
    );
}

#[test]
fn catches_information_that_flows_in_a_circle() {
    let history = concurrent([
        &[w("x", 1), r("y", json!([1]))],
        &[w("y", 1), r("x", json!([1]))],
    ]);
    let words = "(G1c): T0 comes before T1, because T1 read 1 in key \"x\", which T0 wrote.";
    assert_between(
        list_append::check,
        &history,
        "read-uncommitted",
        "read-committed",
        words,
        &[0, 1],
    );
    let history = concurrent([
        &[w("x", 1), r("y", json!(1))],
        &[w("y", 1), r("x", json!(1))],
    ]);
    assert_between(
        rw_register::check,
        &history,
        "read-uncommitted",
        "read-committed",
        words,
        &[0, 1],
    );
}

#[test]
fn catches_read_skew() {
    // T1 sees T0's write to y, but not its write to x.
    let history = concurrent([
        &[w("x", 1), w("y", 1)],
        &[r("x", json!(null)), r("y", json!([1]))],
    ]);
    let words = "T1 comes before T0, because T1 read key \"x\" without T0's 1.";
    assert_between(
        list_append::check,
        &history,
        "read-committed",
        "snapshot-isolation",
        words,
        &[0, 1],
    );
    let history = concurrent([
        &[w("x", 1), w("y", 1)],
        &[r("x", json!(null)), r("y", json!(1))],
    ]);
    assert_between(
        rw_register::check,
        &history,
        "read-committed",
        "snapshot-isolation",
        words,
        &[0, 1],
    );
    let verdict = rw_register::check(&history, &models(["snapshot-isolation"]));
    assert_eq!(verdict.facts["G-single-item"], 1);
}

#[test]
fn catches_a_long_fork() {
    // Two readers see two independent writes in different orders.
    let history = concurrent([
        &[w("x", 1)],
        &[w("y", 1)],
        &[r("x", json!([1])), r("y", json!(null))],
        &[r("x", json!(null)), r("y", json!([1]))],
    ]);
    let words = "(G-nonadjacent-item): T0 comes before T2";
    assert_between(
        list_append::check,
        &history,
        "read-committed",
        "snapshot-isolation",
        words,
        &[0, 2, 1, 3],
    );
}

#[test]
fn catches_write_skew() {
    let history = concurrent([
        &[r("x", json!(null)), r("y", json!(null)), w("x", 1)],
        &[r("x", json!(null)), r("y", json!(null)), w("y", 1)],
    ]);
    let words = "(G2-item): T0 comes before T1, because T0 read key \"y\" without T1's 1.";
    assert_between(
        list_append::check,
        &history,
        "snapshot-isolation",
        "serializable",
        words,
        &[0, 1],
    );
    assert_between(
        rw_register::check,
        &history,
        "snapshot-isolation",
        "serializable",
        words,
        &[0, 1],
    );
}

#[test]
fn catches_a_lost_update() {
    let history = concurrent([
        &[w("x", 1)],
        &[r("x", json!(1)), w("x", 2)],
        &[r("x", json!(1)), w("x", 3)],
    ]);
    let words = "Lost update: T1 and T2 both read 1 in key \"x\" and both wrote that key";
    assert_between(
        rw_register::check,
        &history,
        "read-committed",
        "snapshot-isolation",
        words,
        &[1, 2],
    );
    assert_eq!(
        rw_register::check(&history, &models(["read-committed"])).facts["tolerated"],
        json!({"lost-update": 1})
    );
}

/// Asserts that a contradiction within T0 is a warning under read-committed, which permits it, and a violation under
/// serializable.
#[track_caller]
fn assert_contradiction(check: fn(&History, &[Model]) -> Verdict, answer: &[Step], words: &str) {
    let history = concurrent([answer, &[w("x", 2)]]);
    let words = format!("Contradiction within a transaction: T0 {words}");
    let weak = check(&history, &models(["read-committed"]));
    assert_warned(&weak, &[(&words, &[0])]);
    assert!(
        weak.findings[0]
            .what
            .ends_with(" No model that was asked for forbids this.")
    );
    let strong = check(&history, &models(["read-committed", "serializable"]));
    assert_invalid(&strong, &words, &[0]);
    assert!(
        strong
            .findings
            .iter()
            .all(|finding| !finding.what.contains("No model"))
    );
}

#[test]
fn a_transaction_that_misses_its_own_writes_is_a_warning_where_that_is_permitted() {
    let missed = [w("x", 1), r("x", json!(null))];
    let words = "read null in key \"x\"";
    assert_contradiction(list_append::check, &missed, words);
    assert_contradiction(rw_register::check, &missed, words);
}

#[test]
fn what_a_transaction_shows_twice_is_found_once() {
    let twice = |value: Value| [r("x", value.clone()), r("x", value)];
    let history = concurrent([
        &[w("x", 1)],
        &[w("x", 2)],
        &[r("x", json!([1, 2]))],
        &twice(json!([2])),
        &[w("y", 3), r("y", json!([])), w("y", 4), r("y", json!([]))],
    ]);
    let verdict = list_append::check(&history, &models(["serializable"]));
    assert_eq!(verdict.facts["incompatible-order"], 1, "{verdict:#?}");
    assert_eq!(verdict.facts["internal"], 1, "{verdict:#?}");
}

#[test]
fn catches_a_read_of_what_the_transaction_writes_later() {
    let words = "Future read: T0 read 1 in key \"x\" before it wrote it";
    let history = concurrent([&[r("x", json!([1])), w("x", 1)]]);
    assert_between(
        list_append::check,
        &history,
        "read-uncommitted",
        "read-committed",
        words,
        &[0],
    );
    let history = concurrent([&[r("x", json!(1)), w("x", 1)]]);
    assert_between(
        rw_register::check,
        &history,
        "read-uncommitted",
        "read-committed",
        words,
        &[0],
    );
}

#[test]
fn catches_reads_that_did_not_grow_into_each_other() {
    let history = concurrent([
        &[w("x", 1)],
        &[w("x", 2)],
        &[r("x", json!([1, 2]))],
        &[r("x", json!([2]))],
    ]);
    let words = "Incompatible orders: T3 read [2] in key \"x\", and T2 read [1,2]";
    assert_between(
        list_append::check,
        &history,
        "read-uncommitted",
        "read-committed",
        words,
        &[3, 2],
    );
}

#[test]
fn catches_garbage_under_every_model() {
    let weakest = models(["read-uncommitted"]);
    let check_read =
        |value: Value| list_append::check(&concurrent([&[w("x", 1)], &[r("x", value)]]), &weakest);
    assert_invalid(
        &check_read(json!([1, 7])),
        "Out of nowhere: T1 read 7 in key \"x\", which nobody wrote",
        &[1],
    );
    assert_invalid(&check_read(json!([1, 1])), "holds 1 twice", &[1]);
    assert_invalid(&check_read(json!(1)), "which is no list", &[1]);
    let verdict = rw_register::check(&concurrent([&[w("x", 1)], &[r("x", json!(7))]]), &weakest);
    assert_invalid(
        &verdict,
        "Out of nowhere: T1 read 7 in key \"x\", which nobody wrote",
        &[1],
    );
}

#[test]
fn a_history_in_which_a_value_was_written_twice_is_undecided() {
    let history = concurrent([&[w("x", 1)], &[w("x", 1)], &[r("x", json!(1))]]);
    let verdict = rw_register::check(&history, &MODELS);
    assert_eq!(verdict.validity, Validity::Unknown);
    let found = &verdict.findings[0].what;
    assert!(
        found.contains("1 was written to key \"x\" twice, by T0 and by T1"),
        "{found}"
    );
}

#[test]
fn catches_an_answer_to_another_transaction() {
    for answer in [
        vec![],
        vec![w("x", 2)],
        vec![r("x", json!(1))],
        vec![w("x", 1), w("x", 2)],
    ] {
        let history = [operation(0, 0..1, vec![w("x", 1)], Outcome::Ok(answer))];
        assert_invalid(
            &rw_register::check(&history, &MODELS),
            "The answer to T0 is not the requested transaction",
            &[0],
        );
    }
    let history = [operation(
        0,
        0..1,
        vec![r("x", json!(null))],
        Outcome::Ok(vec![w("x", 1)]),
    )];
    assert_invalid(
        &rw_register::check(&history, &MODELS),
        "The answer to T0 is not the requested transaction",
        &[0],
    );
}
