//! Named executions, and long ones.

mod agreement;

use std::ops::Range;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::*;
use crate::workbench::check::counter::{Answer, Call};
use crate::workbench::check::testing::*;
use crate::workbench::history::{Operation, Outcome};

type CounterOperation = Operation<Call, Answer>;

fn add(client: usize, time: Range<u64>, delta: i64) -> CounterOperation {
    operation(client, time, Call::Add(delta), Outcome::Ok(Answer::Added))
}

fn lost_add(client: usize, time: Range<u64>, delta: i64) -> CounterOperation {
    operation(client, time, Call::Add(delta), indeterminate())
}

fn read(client: usize, time: Range<u64>, value: i64) -> CounterOperation {
    operation(client, time, Call::Read, Outcome::Ok(Answer::Value(value)))
}

/// Which levels a history satisfies, from the weakest: eventually right, regular, sequential, linearizable.
fn held(history: &[CounterOperation]) -> [bool; 4] {
    classify(history).map(|(_, verdict)| {
        assert_ne!(verdict.validity, Validity::Unknown);
        verdict.validity == Validity::Valid
    })
}

#[test]
fn a_right_history_keeps_every_level() {
    let history = [
        add(0, 0..10, 1),
        read(1, 5..6, 0),
        read(1, 7..8, 1),
        add(1, 20..21, 2),
        finally(read(0, 30..31, 3)),
        finally(read(1, 30..31, 3)),
    ];
    assert_eq!(held(&history), [true; 4]);
}

#[test]
fn a_final_read_that_misses_an_acknowledged_add_is_legal_under_sequential_consistency_alone() {
    let history = [
        add(0, 0..1, 1),
        add(1, 0..1, 2),
        finally(read(0, 9..10, 3)),
        finally(read(1, 9..10, 2)),
    ];
    assert_eq!(held(&history), [false, false, true, false]);
    assert_invalid(
        &check(&history, Level::Regular),
        "make at least 3: 1 is missing",
        &[1, 3],
    );
    assert_invalid(
        &check(&history, Level::EventuallyRight),
        "1 is missing",
        &[3],
    );
}

#[test]
fn two_reads_that_disagree_on_the_order_of_two_adds_are_regular_alone() {
    // Client 2 sees the 1 without the 2, client 3 the 2 without the 1.
    let history = [
        add(0, 0..20, 1),
        add(1, 0..20, 2),
        read(2, 5..6, 1),
        read(3, 5..6, 2),
        finally(read(2, 30..31, 3)),
        finally(read(3, 30..31, 3)),
    ];
    assert_eq!(held(&history), [true, true, false, false]);
}

#[test]
fn each_of_two_clients_missing_the_other_is_no_order_at_all() {
    let history = [
        add(0, 0..1, 1),
        add(1, 0..1, 2),
        read(0, 2..3, 1),
        read(1, 2..3, 2),
        finally(read(0, 30..31, 3)),
        finally(read(1, 30..31, 3)),
    ];
    assert_eq!(held(&history), [true, false, false, false]);
    assert_invalid(
        &check(&history, Level::Sequential),
        "in any one order at least 3 was added before",
        &[1, 3],
    );
}

#[test]
fn a_new_then_old_read_by_two_nodes_during_an_add_is_not_linearizable() {
    let history = [
        add(0, 0..20, 1),
        read(1, 5..6, 1),
        read(2, 7..8, 0),
        finally(read(0, 30..31, 1)),
    ];
    assert_eq!(held(&history), [true, true, true, false]);
    assert_invalid(
        &check(&history, Level::Linearizable),
        "the total fell",
        &[1, 2],
    );
}

#[test]
fn a_node_that_goes_back_is_not_regular() {
    let mut history = vec![
        add(0, 0..20, 1),
        read(1, 5..6, 1),
        read(2, 7..8, 0),
        finally(read(0, 30..31, 1)),
    ];
    history[2].node = node(1);
    assert_eq!(held(&history), [true, false, true, false]);
}

#[test]
fn an_add_of_unknown_outcome_may_take_effect_late_but_only_once() {
    let history = |values: [i64; 3]| {
        let [a, b, c] = values;
        [
            lost_add(0, 0..5, 1),
            read(1, 6..7, a),
            read(1, 8..9, b),
            finally(read(1, 20..21, c)),
        ]
    };
    assert_eq!(held(&history([0, 0, 0])), [true; 4]);
    assert_eq!(held(&history([0, 1, 1])), [true; 4]);
    assert_eq!(held(&history([0, 1, 0])), [true, false, false, false]);
    assert_eq!(held(&history([0, 1, 2])), [false; 4]);
}

#[test]
fn an_add_of_unknown_outcome_comes_after_what_its_client_did_before() {
    let history = [
        read(0, 0..1, 0),
        lost_add(0, 2..3, 1),
        read(1, 0..1, 1),
        read(0, 4..5, 0),
    ];
    let sequential = |history: &[CounterOperation]| check(history, Level::Sequential).validity;
    assert_eq!(sequential(&history), Validity::Valid);
    let history = [add(0, 0..1, 5), lost_add(0, 2..3, 1), read(1, 0..1, 1)];
    assert_eq!(sequential(&history), Validity::Invalid);
}

#[test]
fn decrements_are_searched() {
    let history = |last| {
        [
            add(0, 0..1, 5),
            add(1, 0..9, -3),
            read(2, 2..3, 5),
            read(2, 4..5, last),
        ]
    };
    let linearizable = |last| check(&history(last), Level::Linearizable).validity;
    assert_eq!(linearizable(2), Validity::Valid);
    assert_eq!(linearizable(5), Validity::Valid);
    assert_eq!(linearizable(-3), Validity::Invalid);
    let history = [
        add(0, 0..1, 5),
        add(1, 0..9, -3),
        read(2, 2..3, 2),
        read(2, 4..5, 5),
    ];
    assert_invalid(
        &check(&history, Level::Linearizable),
        "ends with a total of 2",
        &[0, 1, 2, 3],
    );
}

#[test]
fn at_the_same_instant_nothing_comes_first() {
    let is_kept = |history: &[CounterOperation]| {
        assert_valid(&check(history, Level::Regular));
        assert_valid(&check(history, Level::Linearizable));
    };
    is_kept(&[add(0, 0..5, 1), read(1, 5..6, 0)]);
    is_kept(&[read(1, 4..5, 1), add(0, 5..6, 1)]);
    is_kept(&[read(1, 4..5, 1), lost_add(0, 5..6, 1)]);
    is_kept(&[add(0, 0..9, 1), read(1, 0..5, 1), read(2, 5..6, 0)]);
    // Client 1's read comes after its own add, and may come before the other.
    is_kept(&[add(0, 0..5, 1), add(1, 0..5, 1), read(1, 5..6, 1)]);
}

#[test]
fn a_read_that_needs_what_its_client_added_later_has_no_room() {
    let history = [add(1, 0..1, 2), read(0, 0..1, 1), add(0, 2..3, 1)];
    assert_invalid(
        &check(&history, Level::Sequential),
        "in no one order do the adds before make that",
        &[1],
    );
}

#[test]
fn a_history_without_final_reads_is_not_called_eventually_right() {
    assert_eq!(
        check(&[add(0, 0..1, 5)], Level::EventuallyRight).validity,
        Validity::Unknown
    );
}

/// A long history of a grow-only counter with 20 clients of 5 nodes: each operation takes a while, some adds are not
/// answered, and reads return the newest state or, if `is_stale`, an older one that the client may still see.
fn long_history(operation_count: u64, is_stale: bool, seed: u64) -> Vec<CounterOperation> {
    const CLIENT_COUNT: usize = 20;
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut states = vec![0i64];
    let mut seen = [0; CLIENT_COUNT];
    let mut history = Vec::new();
    let mut free_at = [0; CLIENT_COUNT];
    for _ in 0..operation_count {
        let client = (0..CLIENT_COUNT)
            .min_by_key(|&client| free_at[client])
            .unwrap();
        let invoked_at = free_at[client] + random.random_range(0..10);
        let effect_at = invoked_at + random.random_range(1..40);
        let completed_at = effect_at + random.random_range(1..40);
        free_at[client] = completed_at + 1;
        history.push((effect_at, client, invoked_at..completed_at));
    }
    history.sort_by_key(|&(effect_at, ..)| effect_at);
    let mut history: Vec<CounterOperation> = history
        .into_iter()
        .map(|(_, client, time)| {
            let newest = states.len() - 1;
            if random.random_bool(0.5) {
                let oldest = if is_stale {
                    seen[client].max(newest.saturating_sub(60))
                } else {
                    newest
                };
                seen[client] = random.random_range(oldest..=newest);
                return read(client, time, states[seen[client]]);
            }
            let delta = random.random_range(0..5);
            let is_lost = random.random_bool(0.02);
            if !is_lost || random.random_bool(0.5) {
                states.push(states[newest] + delta);
                seen[client] = states.len() - 1;
            }
            if is_lost {
                lost_add(client, time, delta)
            } else {
                add(client, time, delta)
            }
        })
        .collect();
    history.sort_by_key(|operation| operation.invoked_at);
    history
}

#[test]
fn long_histories_are_decided() {
    let fresh = long_history(3_000, false, 1);
    assert_valid(&check(&fresh, Level::Regular));
    assert_valid(&check(&fresh, Level::Linearizable));
    assert_valid(&check(&fresh, Level::Sequential));
    let stale = long_history(500, true, 2);
    assert_eq!(check(&stale, Level::Regular).validity, Validity::Invalid);
    assert_eq!(
        check(&stale, Level::Linearizable).validity,
        Validity::Invalid
    );
    assert_valid(&check(&stale, Level::Sequential));
}

#[test]
fn what_is_too_hard_to_decide_is_unknown_and_nothing_else() {
    // No subset of them gives an odd number, and there are too many to try.
    let twice = |client: usize| 2i64 << (client / 2);
    let sign = |client: usize| if client.is_multiple_of(2) { 1 } else { -1 };
    let adds = (0..40).map(|client| lost_add(client, 0..9, sign(client) * twice(client)));
    let history: Vec<_> = adds.chain([read(40, 0..9, 1)]).collect();
    let verdict = check(&history, Level::Sequential);
    assert_eq!(verdict.validity, Validity::Unknown);
    assert!(verdict.findings[0].what.contains("too long"), "{verdict:?}");
}
