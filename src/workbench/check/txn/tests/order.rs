//! Transactions that contradict the order of a client, or real time.

use super::*;

#[test]
fn catches_a_stale_read_of_ones_own_past_and_of_others() {
    let history = [
        committed(0, 0..1, [w("x", 1)]),
        committed(0, 2..3, [r("x", json!(null))]),
    ];
    let words =
        "(G-single-item-process): T0 comes before T1, because the same client ran T1 later.";
    assert_between(
        list_append::check,
        &history,
        "serializable",
        "strong-session-serializable",
        words,
        &[0, 1],
    );
    let history = [
        committed(0, 0..1, [w("x", 1)]),
        committed(1, 2..3, [r("x", json!(null))]),
    ];
    let words =
        "(G-single-item-realtime): T0 comes before T1, because it completed before T1 was invoked.";
    assert_between(
        list_append::check,
        &history,
        "strong-session-serializable",
        "strict-serializable",
        words,
        &[0, 1],
    );
    let history = [
        committed(0, 0..2, [w("x", 1)]),
        committed(1, 2..3, [r("x", json!(null))]),
    ];
    assert_valid(&list_append::check(&history, &MODELS));
}

#[test]
fn a_transaction_of_unknown_outcome_may_take_effect_after_what_its_client_did_next() {
    let mut history = [
        committed(0, 0..1, [w("x", 1)]),
        committed(0, 2..3, [r("x", json!(null))]),
        committed(1, 4..5, [r("x", json!([1]))]),
    ];
    history[0].outcome = indeterminate();
    assert_valid(&list_append::check(&history, &MODELS));
}

#[test]
fn many_moments_are_one_step() {
    let mut history = vec![committed(0, 0..1, [w("x", 1)])];
    history.extend((1..50).map(|i| committed(i as usize, 2 * i..2 * i + 1, [w("y", i as u32)])));
    history.push(committed(50, 200..201, [r("x", json!(null))]));
    let verdict = list_append::check(&history, &models(["strict-serializable"]));
    assert_invalid(
        &verdict,
        "T0 comes before T50, because it completed before T50 was invoked.",
        &[0, 50],
    );
}

/// Two clients write a key each and then read the other's. The values are those of `y` and of `x`.
fn two_keys(y: Value, x: Value) -> [TransactionOperation; 4] {
    [
        committed(0, 0..1, [w("x", 1)]),
        committed(1, 2..3, [w("y", 1)]),
        committed(0, 4..5, [r("y", y)]),
        committed(1, 6..7, [r("x", x)]),
    ]
}

#[test]
fn a_read_that_misses_another_clients_earlier_write_is_sequentially_consistent() {
    assert_between(
        rw_register::check,
        &two_keys(json!(null), json!(1)),
        "strong-session-serializable",
        "strict-serializable",
        "T2 read key \"y\" without T1's 1",
        &[1, 2],
    );
}

#[test]
fn two_clients_that_each_miss_the_others_write_are_a_cycle_and_not_sequentially_consistent() {
    let words = "T0 comes before T2, because the same client ran T2 later.\n\
        T2 comes before T1, because T2 read key \"y\" without T1's 1.\n\
        T1 comes before T3, because the same client ran T3 later.\n\
        T3 comes before T0, because T3 read key \"x\" without T0's 1.\nSo T0 would have to come before itself.";
    assert_between(
        rw_register::check,
        &two_keys(json!(null), json!(null)),
        "serializable",
        "strong-session-serializable",
        words,
        &[0, 2, 1, 3],
    );
}

#[test]
fn a_register_that_goes_back_to_an_older_value_contradicts_time() {
    let history = [
        committed(0, 0..1, [w("x", 1)]),
        committed(1, 2..3, [w("x", 2)]),
        committed(2, 4..5, [r("x", json!(1))]),
    ];
    let words = "T0 comes before T1, because T1 wrote 2 to key \"x\" on top of it \
        (1 is older: T0, which wrote 1, completed before T1, which wrote 2, was invoked).\n\
        T1 comes before T0, because T0 wrote 1 to key \"x\" on top of it \
        (2 is older: T1, which wrote 2, completed before T2, which read 1, was invoked).\n\
        So T0 would have to come before itself.";
    assert_between(
        rw_register::check,
        &history,
        "strong-session-serializable",
        "strict-serializable",
        words,
        &[0, 1, 2],
    );
}

#[test]
fn reads_alone_show_that_a_register_went_back() {
    let history = [
        committed(0, 0..90, [w("x", 1)]),
        committed(1, 0..90, [w("x", 2)]),
        committed(2, 10..11, [r("x", json!(2))]),
        committed(3, 20..21, [r("x", json!(1))]),
        committed(2, 30..31, [r("x", json!(2))]),
    ];
    assert_between(
        rw_register::check,
        &history,
        "strong-session-serializable",
        "strict-serializable",
        "(1 is older: T3, which read 1, completed before T4, which read 2, was invoked)",
        &[0, 1, 3, 4, 2],
    );
    assert_valid(&rw_register::check(&history[..4], &MODELS));
}

#[test]
fn a_write_of_unknown_outcome_is_in_order_from_when_it_was_seen() {
    let mut history = [
        committed(0, 0..1, [w("x", 1)]),
        committed(1, 2..3, [w("x", 2)]),
        committed(2, 4..5, [r("x", json!(2))]),
        committed(3, 6..7, [r("x", json!(1))]),
    ];
    history[0].outcome = indeterminate();
    assert_valid(&rw_register::check(&history, &MODELS));
    history[1].outcome = indeterminate();
    assert_valid(&rw_register::check(&history, &MODELS));
    history[3].outcome = Outcome::Ok(vec![r("x", json!(2))]);
    assert_valid(&rw_register::check(&history, &MODELS));
}
