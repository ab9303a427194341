//! Correct counters, and each kind of fault.

use super::*;
use crate::workbench::check::Validity;
use crate::workbench::check::consistency::{Level, check_run};
use crate::workbench::check::testing::*;

fn check(history: &History) -> Verdict {
    check_run(history, &[])
}

fn check_regular(history: &History) -> Verdict {
    check_run(history, &[Level::Regular])
}

fn add(client: usize, time: std::ops::Range<u64>, delta: i64) -> Operation<Call, Answer> {
    operation(client, time, Call::Add(delta), Outcome::Ok(Answer::Added))
}

fn lost_add(client: usize, time: std::ops::Range<u64>, delta: i64) -> Operation<Call, Answer> {
    operation(client, time, Call::Add(delta), indeterminate())
}

fn read(client: usize, time: std::ops::Range<u64>, value: i64) -> Operation<Call, Answer> {
    operation(client, time, Call::Read, Outcome::Ok(Answer::Value(value)))
}

/// Two nodes, 3 and 4 added and acknowledged, and these final values.
fn with_final_values(values: [i64; 2]) -> Vec<Operation<Call, Answer>> {
    vec![
        add(0, 0..1, 3),
        add(1, 0..1, 4),
        read(1, 2..3, 4),
        finally(read(0, 99..100, values[0])),
        finally(read(1, 99..100, values[1])),
    ]
}

#[test]
fn accepts_a_right_counter() {
    let verdict = check(&with_final_values([7, 7]));
    assert_valid(&verdict);
    assert_eq!(verdict.facts["acceptable"], json!([[7, 7]]));
}

#[test]
fn catches_a_dropped_add() {
    let verdict = check(&with_final_values([7, 4]));
    assert_invalid(
        &verdict,
        "says 4, but at least 7 was added: 3 is missing",
        &[4],
    );
    assert_eq!(verdict.findings.len(), 1);
    assert!(verdict.findings[0].is_behind);
}

#[test]
fn where_even_the_last_read_may_be_of_the_past_a_wrong_one_is_a_figure_and_no_fault() {
    let verdict = check_run(&with_final_values([7, 4]), &[Level::Sequential]);
    assert_valid(&verdict);
    assert_eq!(verdict.facts["wrong_final_reads"], 1);
    let from_nowhere = [add(0, 0..1, 3), read(0, 2..3, 4)];
    let verdict = check_run(&from_nowhere, &[Level::Sequential]);
    assert_eq!(verdict.validity, Validity::Invalid);
}

#[test]
fn catches_an_add_counted_twice() {
    let verdict = check(&with_final_values([10, 7]));
    assert_invalid(&verdict, "at most 7 was added: 3 was counted twice", &[3]);
    assert_eq!(
        verdict.findings.len(),
        1,
        "a wrong final read is reported once"
    );
}

#[test]
fn an_add_of_unknown_outcome_counts_once_or_not_at_all() {
    for (value, validity) in [
        (7, Validity::Valid),
        (17, Validity::Valid),
        (12, Validity::Invalid),
        (27, Validity::Invalid),
    ] {
        let mut history = with_final_values([value, 7]);
        history.insert(2, lost_add(0, 1..50, 10));
        let verdict = check(&history);
        assert_eq!(verdict.validity, validity, "{value}: {verdict:#?}");
    }
}

#[test]
fn a_failed_add_must_not_count() {
    let mut history = with_final_values([17, 7]);
    history.insert(2, operation(0, 1..50, Call::Add(10), failed()));
    assert_invalid(
        &check(&history),
        "says 17, which is right only if an add of 10 counts that was refused",
        &[2, 4],
    );
    history.insert(2, operation(0, 1..50, Call::Add(20), failed()));
    history[5] = finally(read(0, 99..100, 37));
    assert_invalid(
        &check(&history),
        "says 37, which is right only if some of 2 adds count that were refused",
        &[2, 3, 5],
    );
    history[5] = finally(read(0, 99..100, 8));
    assert_invalid(&check(&history), "at most 7 was added: 1 was counted", &[5]);
}

#[test]
fn where_there_are_decrements_the_sign_of_a_difference_does_not_name_the_fault() {
    for (value, words) in [(2, "it is 2 too low"), (6, "it is 2 too high")] {
        let history = [
            add(0, 0..1, 6),
            add(1, 0..1, -2),
            finally(read(0, 99..100, value)),
        ];
        assert_invalid(&check(&history), words, &[2]);
    }
}

#[test]
fn thousands_of_unknown_outcomes_are_checked_exactly() {
    let mut history: Vec<_> = (0..2000)
        .map(|i| lost_add(0, i..i + 1, -6 + 12 * (i as i64 % 2)))
        .collect();
    history.push(finally(read(0, 9000..9001, 2994)));
    assert_valid(&check(&history));
    history[2000] = finally(read(0, 9000..9001, 2995));
    assert_invalid(&check(&history), "no choice among the 2000", &[2000]);
}

#[test]
fn a_sum_too_hard_to_tell_is_unknown() {
    let mut history: Vec<_> = (0..30)
        .map(|i| lost_add(0, i..i + 1, 3i64.pow(i as u32)))
        .collect();
    history.push(finally(read(0, 90..91, 2)));
    assert_eq!(check(&history).validity, Validity::Unknown);
}

#[test]
fn warns_of_a_missing_final_read() {
    let mut history = with_final_values([7, 7]);
    history[4].outcome = indeterminate();
    let warning = "Node 1 never answered the final read of client c1 with a value";
    assert_warned(&check(&history), &[(warning, &[4])]);
    history.push(finally(read(1, 100..101, 7)));
    assert_valid(&check(&history));
    history.truncate(4);
    let warning = "Node 1 never got a final read from client c1";
    assert_warned(&check(&history), &[(warning, &[])]);
}

#[test]
fn one_warning_names_all_nodes_without_a_final_read() {
    let mut history = with_final_values([7, 7]);
    history[3].outcome = indeterminate();
    history[4].outcome = indeterminate();
    let verdict = check(&history);
    let warning = "Nodes 0, 1 never answered the final read of clients c0, c1 with a value";
    assert_warned(&verdict, &[(warning, &[3])]);
    assert_eq!(verdict.facts["missing_final_reads"], 2);
}

#[test]
fn a_node_without_clients_owes_nothing() {
    let mut history = with_final_values([7, 7]);
    history.retain(|operation| operation.node == node(0));
    let verdict = check(&history);
    assert_eq!(verdict.facts["missing_final_reads"], 0);
}

#[test]
fn a_client_that_was_replaced_owes_no_final_read() {
    let mut history = with_final_values([7, 7]);
    let mut lost = lost_add(0, 90..91, 0);
    lost.client = 9;
    history.insert(0, lost);
    assert_valid(&check(&history));
}

#[test]
fn a_stale_read_during_the_run_is_no_fault() {
    let mut history = with_final_values([7, 7]);
    history[2] = read(1, 2..3, 0);
    assert_valid(&check(&history));
}

/// A read that no adds explain is a violation at every level but the weakest.
#[track_caller]
fn assert_impossible(history: &History, words: &str, operation: usize) {
    assert_warned(&check(history), &[(words, &[operation])]);
    assert_warned(
        &check_run(history, &[Level::EventuallyRight]),
        &[(words, &[operation])],
    );
    for level in [Level::Regular, Level::Sequential, Level::Linearizable] {
        let levels = [Level::EventuallyRight, level];
        assert_invalid(&check_run(history, &levels), words, &[operation]);
    }
}

#[test]
fn finds_a_read_of_what_was_not_yet_asked_for() {
    let mut history = with_final_values([7, 7]);
    history[2] = read(1, 2..3, 8);
    history.insert(3, add(0, 4..5, 1));
    let last = [5, 4].map(|index| history[index].clone());
    for (index, mut read) in [5, 4].into_iter().zip(last) {
        read.outcome = Outcome::Ok(Answer::Value(8));
        history[index] = read;
    }
    assert_impossible(&history, "all adds invoked by then make only 7", 2);
    history[3] = add(0, 3..5, 1);
    // A read may include an add that was invoked at the same instant.
    assert_eq!(check(&history).facts["impossible_reads"], 0);
}

#[test]
fn finds_a_read_that_no_adds_make() {
    let mut history = with_final_values([7, 7]);
    history[2] = read(1, 2..3, 5);
    assert_impossible(&history, "no choice among the adds", 2);
    history[2] = read(1, 2..3, -1);
    assert_impossible(&history, "make less than 0", 2);
}

#[test]
fn finds_a_read_of_an_add_that_was_refused() {
    let mut history = with_final_values([7, 7]);
    history[2] = read(1, 2..3, 17);
    history.insert(2, operation(0, 2..3, Call::Add(10), failed()));
    let words = "read 17 from node 1, which is right only if an add of 10 counts that was refused";
    assert_warned(&check(&history), &[(words, &[2, 3])]);
    assert_invalid(&check_regular(&history), words, &[2, 3]);
    // It was not yet asked for.
    history[2] = operation(0, 4..5, Call::Add(10), failed());
    assert_impossible(&history, "all adds invoked by then make only 7", 3);
}

#[test]
fn only_a_first_read_may_be_wrong_because_the_counter_was_used_before() {
    let mut history = with_final_values([7, 7]);
    history[2] = read(1, 2..3, 57);
    let words = "the counter may not have been at 0 when the run began";
    assert_impossible(&history, words, 2);
    history.insert(2, read(1, 1..2, 7));
    let what = &check(&history).findings[0].what;
    assert!(
        what.contains("make only 7") && !what.contains(words),
        "{what}"
    );
}

#[test]
fn a_read_too_hard_to_tell_is_left_out_where_it_would_be_a_warning() {
    let mut history: Vec<_> = (0..20)
        .map(|i| add(0, i..i + 1, 3i64.pow(i as u32)))
        .collect();
    history.push(read(0, 90..91, 2));
    let sum = (3i64.pow(20) - 1) / 2;
    history.push(finally(read(0, 92..93, sum)));
    assert_valid(&check(&history));
    let verdict = check_run(&history, &[Level::Sequential]);
    assert_eq!(verdict.facts["impossible_reads"], 1);
}

#[test]
fn a_node_that_goes_back_is_wrong_at_the_levels_that_forbid_it_alone() {
    let mut history = with_final_values([7, 7]);
    history[2] = read(1, 2..3, 7);
    history.insert(3, read(1, 4..5, 4));
    assert_valid(&check(&history));
    let went_back = "it answered 7, and later 4";
    assert_invalid(&check_regular(&history), went_back, &[2, 3]);
    history[3] = read(2, 3..5, 4);
    history[3].node = node(1);
    // Concurrent reads have no order.
    let verdict = check_regular(&history);
    let findings = verdict.findings.iter();
    assert!(
        !findings
            .clone()
            .any(|finding| finding.what.contains("went back"))
    );
}

#[test]
fn totals_beyond_64_bits_do_not_overflow() {
    let mut history = with_final_values([7, 7]);
    history.extend((0..3).map(|i| lost_add(0, i..90, i64::MAX)));
    assert_valid(&check(&history));
}
