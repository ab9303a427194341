//! A transaction's second read of a key is checked like the first one, even under a model that permits the two to
//! differ.

use super::*;

/// Asserts that a transaction's second read of a key, which read-uncommitted ignores, breaks read-committed.
#[track_caller]
fn assert_second_read_breaks(
    check: fn(&History, &[Model]) -> Verdict,
    history: &History,
    words: &str,
    operations: &[usize],
) {
    assert_between(
        check,
        history,
        "read-uncommitted",
        "read-committed",
        words,
        operations,
    );
}

#[test]
fn a_second_read_of_an_aborted_write_is_an_aborted_read() {
    let words = "(G1a): T1 read 1 in key \"x\", but T0, which wrote it, was aborted";
    let mut history = concurrent([&[w("x", 1)], &[r("x", json!(null)), r("x", json!([1]))]]);
    history[0].outcome = failed();
    assert_second_read_breaks(list_append::check, &history, words, &[0, 1]);
    let mut history = concurrent([&[w("x", 1)], &[r("x", json!(null)), r("x", json!(1))]]);
    history[0].outcome = failed();
    assert_second_read_breaks(rw_register::check, &history, words, &[0, 1]);
}

#[test]
fn a_second_read_of_an_unfinished_write_is_an_intermediate_read() {
    let words = "(G1b): T1 read 1 as the newest in key \"x\", in the middle of T0";
    let history = concurrent([
        &[w("x", 1), w("x", 2)],
        &[r("x", json!(null)), r("x", json!([1]))],
    ]);
    assert_second_read_breaks(list_append::check, &history, words, &[0, 1]);
    let history = concurrent([
        &[w("x", 1), w("x", 2)],
        &[r("x", json!(null)), r("x", json!(1))],
    ]);
    assert_second_read_breaks(rw_register::check, &history, words, &[0, 1]);
}

#[test]
fn second_reads_can_carry_information_in_a_circle() {
    let words = "(G1c): T0 comes before T1, because T1 read 1 in key \"x\", which T0 wrote.";
    let history = concurrent([
        &[w("x", 1), r("y", json!(null)), r("y", json!([1]))],
        &[w("y", 1), r("x", json!(null)), r("x", json!([1]))],
    ]);
    assert_second_read_breaks(list_append::check, &history, words, &[0, 1]);
    let history = concurrent([
        &[w("x", 1), r("y", json!(null)), r("y", json!(1))],
        &[w("y", 1), r("x", json!(null)), r("x", json!(1))],
    ]);
    assert_second_read_breaks(rw_register::check, &history, words, &[0, 1]);
}

#[test]
fn second_reads_have_to_grow_into_those_of_others() {
    let words = "Incompatible orders: T3 read [2,1] in key \"x\", and T2 read [1,2]";
    let history = concurrent([
        &[w("x", 1)],
        &[w("x", 2)],
        &[r("x", json!(null)), r("x", json!([1, 2]))],
        &[r("x", json!(null)), r("x", json!([2, 1]))],
    ]);
    assert_second_read_breaks(list_append::check, &history, words, &[3, 2]);
}

#[test]
fn a_list_with_the_transactions_own_append_has_to_grow_into_those_of_others() {
    let words = "Incompatible orders: T1 read [2] in key \"x\", and T2 read [1,2]";
    let history = concurrent([
        &[w("x", 1)],
        &[r("x", json!(null)), w("x", 2), r("x", json!([2]))],
        &[r("x", json!([1, 2]))],
    ]);
    assert_second_read_breaks(list_append::check, &history, words, &[1, 2]);
}

#[test]
fn what_one_transaction_appended_has_to_be_there_in_its_order_and_without_gaps() {
    for (read, element) in [
        (json!([2, 1]), 2),
        (json!([3, 1, 2]), 3),
        (json!([1, 3]), 3),
    ] {
        let words = format!(
            "T1 read {read} in key \"x\", but T0 appended {} there before it appended {element}",
            element - 1
        );
        let history = concurrent([&[w("x", 1), w("x", 2), w("x", 3)], &[r("x", read)]]);
        let verdict = list_append::check(&history, &models(["read-committed"]));
        assert_invalid(&verdict, &words, &[0, 1]);
    }
}

#[test]
fn a_second_read_of_a_later_own_write_is_a_future_read() {
    let words = "Future read: T0 read 1 in key \"x\" before it wrote it";
    let history = concurrent([&[r("x", json!(null)), r("x", json!([1])), w("x", 1)]]);
    assert_second_read_breaks(list_append::check, &history, words, &[0]);
    let history = concurrent([&[r("x", json!(null)), r("x", json!(1)), w("x", 1)]]);
    assert_second_read_breaks(rw_register::check, &history, words, &[0]);
}

#[test]
fn a_second_read_of_garbage_breaks_every_model() {
    let weakest = models(["read-uncommitted"]);
    let read_second = |value| {
        let history = concurrent([&[w("x", 1)], &[r("x", json!(null)), r("x", value)]]);
        list_append::check(&history, &weakest)
    };
    let words = "T1 read 7 in key \"x\", which nobody wrote";
    assert_invalid(&read_second(json!([1, 7])), words, &[1]);
    let words = "Duplicate elements: T1 read [1,1] in key \"x\", which holds 1 twice";
    assert_invalid(&read_second(json!([1, 1])), words, &[1]);
    assert_invalid(&read_second(json!(1)), "which is no list", &[1]);
    let history = concurrent([&[w("x", 1)], &[r("x", json!(1)), r("x", json!(7))]]);
    let words = "T1 read 7 in key \"x\", which nobody wrote";
    assert_invalid(&rw_register::check(&history, &weakest), words, &[1]);
}

#[test]
fn a_second_read_that_differs_is_let_pass_where_a_model_allows_it() {
    let history = concurrent([&[w("x", 1)], &[r("x", json!(null)), r("x", json!([1]))]]);
    let words = "Contradiction within a transaction: T1 read [1] in key \"x\"";
    assert_between(
        list_append::check,
        &history,
        "read-committed",
        "snapshot-isolation",
        words,
        &[1],
    );
    let history = concurrent([&[w("x", 1)], &[r("x", json!(null)), r("x", json!(1))]]);
    let words = "Contradiction within a transaction: T1 read 1 in key \"x\"";
    assert_between(
        rw_register::check,
        &history,
        "read-committed",
        "snapshot-isolation",
        words,
        &[1],
    );
}

#[test]
fn null_is_an_empty_list() {
    let history = concurrent([
        &[r("x", json!(null)), r("x", json!([])), r("x", json!(null))],
        &[
            r("x", json!([])),
            r("x", json!(null)),
            w("x", 1),
            r("x", json!([1])),
        ],
    ]);
    assert_valid(&list_append::check(&history, &MODELS));
    let history = concurrent([
        &[r("x", json!(null)), w("x", 1)],
        &[r("x", json!([])), w("x", 2)],
    ]);
    let words = "Lost update: T0 and T1 both read [] in key \"x\"";
    let verdict = list_append::check(&history, &models(["snapshot-isolation"]));
    assert_invalid(&verdict, words, &[0, 1]);
}

#[test]
fn values_are_compared_as_they_are_written() {
    let history = concurrent([&[w("x", 1)], &[r("x", json!(1.0))]]);
    let words = "T1 read 1.0 in key \"x\", which nobody wrote";
    assert_invalid(&rw_register::check(&history, &MODELS), words, &[1]);
    let beyond_64_bits = |text: &str| {
        let value: Json = serde_json::from_str(text).unwrap();
        let key = Json::from("x");
        Step::Write { key, value }
    };
    let first = beyond_64_bits("1180591620717411303424");
    let second = beyond_64_bits("1180591620717411303425");
    let values = [first.value().clone(), second.value().clone()].into();
    let read = Step::Read {
        key: Json::from("x"),
        value: Json::List(values),
    };
    let history = concurrent([&[first], &[second], &[read]]);
    assert_valid(&list_append::check(&history, &MODELS));
}

#[test]
fn zero_in_place_of_null_is_a_warning() {
    let history = concurrent([
        &[r("x", json!(0)), w("y", 1)],
        &[r("y", json!(1)), w("x", 1)],
    ]);
    let words = "T0 read 0 in key \"x\", which nobody had written";
    assert_warned(&rw_register::check(&history, &MODELS), &[(words, &[0])]);
    // The read counts as a read of null.
    let history = [
        committed(0, 0..1, [w("x", 1)]),
        committed(1, 2..3, [r("x", json!(0))]),
    ];
    let words = "T1 read key \"x\" without T0's 1";
    let verdict = rw_register::check(&history, &models(["strict-serializable"]));
    assert_invalid(&verdict, words, &[0, 1]);
    // If 0 was written, it is a value like any other.
    let history = [
        committed(0, 0..1, [w("x", 1)]),
        committed(1, 2..3, [w("x", 0)]),
        committed(1, 4..5, [r("x", json!(0))]),
    ];
    assert_valid(&rw_register::check(&history, &MODELS));
}
