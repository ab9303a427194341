//! Transactions of unknown outcome: whatever their outcome was, it must explain the reads of others.

use super::*;

/// The same history, but the outcome of its first transaction is unknown.
fn with_first_unknown(mut history: Vec<TransactionOperation>) -> Vec<TransactionOperation> {
    history[0].outcome = indeterminate();
    history
}

#[test]
fn a_transaction_that_nobody_saw_may_have_happened_or_not() {
    let history = with_first_unknown(concurrent([
        &[w("x", 1), w("y", 1)],
        &[r("x", json!(null)), r("y", json!(null))],
    ]));
    assert_valid(&list_append::check(&history, &MODELS));
    assert_valid(&rw_register::check(&history, &MODELS));
}

#[test]
fn a_transaction_that_is_seen_half_applied_is_wrong_whether_it_committed_or_not() {
    let words = "So T0 would have to come before itself. Whether T0 committed is not known, but this is wrong either way: \
        had it been aborted, T1 would have read what was aborted (G1a).";
    let history = with_first_unknown(concurrent([
        &[w("x", 1), w("y", 1)],
        &[r("x", json!([1])), r("y", json!(null))],
    ]));
    assert_between(
        list_append::check,
        &history,
        "read-committed",
        "snapshot-isolation",
        words,
        &[0, 1],
    );
    let history = with_first_unknown(concurrent([
        &[w("x", 1), w("y", 1)],
        &[r("x", json!(1)), r("y", json!(null))],
    ]));
    assert_between(
        rw_register::check,
        &history,
        "read-committed",
        "snapshot-isolation",
        words,
        &[0, 1],
    );
}

#[test]
fn the_reader_that_shows_that_a_transaction_happened_is_named_where_it_is_not_in_the_cycle() {
    // T2 comes before T0, because it missed 2; T0 before T1, and T1 before T2. T3's read shows that T0 committed.
    let history = with_first_unknown(concurrent([
        &[w("x", 1), w("y", 2)],
        &[w("x", 2), w("z", 1)],
        &[r("z", json!([1])), r("y", json!(null))],
        &[r("x", json!([1, 2]))],
    ]));
    let words = "had it been aborted, T3 would have read what was aborted (G1a)";
    let verdict = list_append::check(&history, &models(["snapshot-isolation"]));
    assert_invalid(&verdict, words, &[0, 1, 2, 3]);
}

#[test]
fn a_write_between_two_appends_of_a_transaction_is_wrong_whether_it_committed_or_not() {
    let history = with_first_unknown(concurrent([
        &[w("x", 1), w("x", 2)],
        &[w("x", 3)],
        &[r("x", json!([1, 3]))],
    ]));
    let words = "(G0): T0 comes before T1, because T1 wrote 3 to key \"x\" on top of it.";
    let verdict = list_append::check(&history, &models(["read-committed"]));
    assert_invalid(&verdict, words, &[0, 1, 2]);
    assert_invalid(&verdict, "wrong either way", &[0, 1, 2]);
}

#[test]
fn an_intermediate_read_is_wrong_whether_its_writer_committed_or_not() {
    let words = "in the middle of T0, which wrote more there. Whether T0 committed is not known, but this is wrong either way";
    let history = with_first_unknown(concurrent([&[w("x", 1), w("x", 2)], &[r("x", json!([1]))]]));
    let verdict = list_append::check(&history, &models(["read-committed"]));
    assert_invalid(&verdict, words, &[0, 1]);
    let history = with_first_unknown(concurrent([&[w("x", 1), w("x", 2)], &[r("x", json!(1))]]));
    let verdict = rw_register::check(&history, &models(["read-committed"]));
    assert_invalid(&verdict, words, &[0, 1]);
}
