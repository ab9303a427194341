//! Named executions, and agreement with the testers of `stateright` on many random ones.

use std::ops::Range;

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use stateright::semantics::{
    ConsistencyTester, LinearizabilityTester, SequentialConsistencyTester, SequentialSpec,
};

use super::*;
use crate::workbench::check::counter::{Answer, Call};
use crate::workbench::check::search::{Order, Verdict};
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

/// Which levels hold, from the weakest: eventually right, regular, sequential, linearizable.
fn held(history: &[CounterOperation]) -> [bool; 4] {
    classify(history).map(|(_, judgement)| {
        assert_ne!(judgement.validity, Validity::Unknown);
        judgement.validity == Validity::Valid
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
        &judge(&history, Level::Regular),
        "make at least 3: 1 is missing",
        &[1, 3],
    );
    assert_invalid(
        &judge(&history, Level::EventuallyRight),
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
        &judge(&history, Level::Sequential),
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
        &judge(&history, Level::Linearizable),
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
    let sequential = |history: &[CounterOperation]| judge(history, Level::Sequential).validity;
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
    let linearizable = |last| judge(&history(last), Level::Linearizable).validity;
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
        &judge(&history, Level::Linearizable),
        "ends with a total of 2",
        &[0, 1, 2, 3],
    );
}

#[test]
fn at_the_same_instant_nothing_comes_first() {
    let is_kept = |history: &[CounterOperation]| {
        assert_valid(&judge(history, Level::Regular));
        assert_valid(&judge(history, Level::Linearizable));
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
        &judge(&history, Level::Sequential),
        "in no one order do the adds before make that",
        &[1],
    );
}

#[test]
fn a_history_without_final_reads_is_not_called_eventually_right() {
    assert_eq!(
        judge(&[add(0, 0..1, 5)], Level::EventuallyRight).validity,
        Validity::Unknown
    );
}

/// The counter, as `stateright` wants it.
#[derive(Clone)]
struct Reference(i64);

impl SequentialSpec for Reference {
    type Op = Call;
    type Ret = Answer;

    fn invoke(&mut self, call: &Call) -> Answer {
        match call {
            Call::Add(delta) => {
                self.0 += delta;
                Answer::Added
            }
            Call::Read => Answer::Value(self.0),
        }
    }
}

/// What an independent tester says.
fn is_consistent(
    mut tester: impl ConsistencyTester<usize, Reference>,
    history: &[CounterOperation],
) -> bool {
    let mut events: Vec<(u128, usize, bool)> = Vec::new();
    for (index, operation) in history.iter().enumerate() {
        events.push((operation.invoked_at.as_nanos(), index, true));
        if operation.outcome.is_ok() {
            events.push((operation.completed_at.as_nanos(), index, false));
        }
    }
    events.sort_unstable();
    for (_, index, is_invocation) in events {
        let operation = &history[index];
        if is_invocation {
            tester.on_invoke(operation.client, operation.call).unwrap();
        } else if let Some(answer) = operation.outcome.answer() {
            tester.on_return(operation.client, *answer).unwrap();
        }
    }
    tester.is_consistent()
}

/// A history of a counter that is read from a random recent state and may lose or double adds, all events at
/// different times. A client stops at its first operation of unknown outcome, as the testers demand.
fn random_history(random: &mut Pcg64Mcg, may_decrease: bool) -> Vec<CounterOperation> {
    let client_count = random.random_range(2..=4);
    let staleness_max = random.random_range(0..=2usize);
    let mut states = vec![0i64];
    let mut history: Vec<CounterOperation> = Vec::new();
    let mut under_way: Vec<Option<usize>> = vec![None; client_count];
    let mut running: Vec<usize> = (0..client_count).collect();
    let mut effects: Vec<(usize, i64)> = Vec::new();
    for time in 0..random.random_range(6..22) {
        let Some(&client) = running.choose(random) else {
            break;
        };
        if random.random_bool(0.4) && !effects.is_empty() {
            let (_, delta) = effects.swap_remove(random.random_range(0..effects.len()));
            states.push(states[states.len() - 1] + delta);
        }
        let now = time * 10;
        let Some(index) = under_way[client].take() else {
            let low = if may_decrease { -3 } else { 0 };
            let call = if random.random_bool(0.5) {
                Call::Read
            } else {
                Call::Add(random.random_range(low..4))
            };
            if let Call::Add(delta) = call {
                effects.push((history.len(), delta));
            }
            under_way[client] = Some(history.len());
            history.push(operation(client, now..1_000_000, call, indeterminate()));
            continue;
        };
        if random.random_bool(0.1) {
            running.retain(|&other| other != client);
            continue;
        }
        if let Some(at) = effects.iter().position(|(add, _)| *add == index)
            && random.random_bool(0.9)
        {
            let (_, delta) = effects.swap_remove(at);
            states.push(states[states.len() - 1] + delta);
        }
        let age = random.random_range(0..=staleness_max).min(states.len() - 1);
        let answer = match history[index].call {
            Call::Read => Answer::Value(states[states.len() - 1 - age]),
            Call::Add(_) => Answer::Added,
        };
        history[index].completed_at = std::time::Duration::from_millis(now);
        history[index].outcome = Outcome::Ok(answer);
    }
    history
}

/// A long history of a grow-only counter under 20 clients on 5 nodes: each operation takes a while, some adds get no
/// answer, and reads are of the newest state or, if `is_stale`, of an older one that the client may still see.
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
    assert_valid(&judge(&fresh, Level::Regular));
    assert_valid(&judge(&fresh, Level::Linearizable));
    assert_valid(&judge(&fresh, Level::Sequential));
    let stale = long_history(500, true, 2);
    assert_eq!(judge(&stale, Level::Regular).validity, Validity::Invalid);
    assert_eq!(
        judge(&stale, Level::Linearizable).validity,
        Validity::Invalid
    );
    assert_valid(&judge(&stale, Level::Sequential));
}

/// How many random histories each agreement test looks at.
const AGREEMENT_ROUNDS: u64 = 4_000;

/// Compares a level with an independent tester, and sees to it that both answers occur often.
fn agree(level: Level, tester: fn(&[CounterOperation]) -> bool, may_decrease: bool) {
    let mut valid = 0;
    for seed in 0..AGREEMENT_ROUNDS {
        let history = random_history(&mut Pcg64Mcg::seed_from_u64(seed), may_decrease);
        let judgement = judge(&history, level);
        let expected = tester(&history);
        let order = if level == Level::Linearizable {
            Order::RealTime
        } else {
            Order::Program
        };
        let is_found = matches!(order::search_order(&history, order), Verdict::Possible);
        assert_eq!(
            is_found, expected,
            "seed {seed}, search alone: {history:#?}"
        );
        assert_eq!(
            judgement.validity,
            if expected {
                Validity::Valid
            } else {
                Validity::Invalid
            },
            "seed {seed}: {history:#?} {judgement:#?}"
        );
        valid += u64::from(expected);
    }
    assert!(
        (AGREEMENT_ROUNDS / 10..AGREEMENT_ROUNDS * 9 / 10).contains(&valid),
        "{valid} of {AGREEMENT_ROUNDS} valid"
    );
}

fn is_linearizable(history: &[CounterOperation]) -> bool {
    is_consistent(LinearizabilityTester::new(Reference(0)), history)
}

fn is_sequential(history: &[CounterOperation]) -> bool {
    is_consistent(SequentialConsistencyTester::new(Reference(0)), history)
}

#[test]
fn linearizability_agrees_with_an_independent_tester() {
    agree(Level::Linearizable, is_linearizable, false);
    agree(Level::Linearizable, is_linearizable, true);
}

#[test]
fn sequential_consistency_agrees_with_an_independent_tester() {
    agree(Level::Sequential, is_sequential, false);
    agree(Level::Sequential, is_sequential, true);
}
