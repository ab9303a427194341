//! Compares the checker with independent testers on many small random histories, right and wrong: with those of
//! `stateright` for one order of all operations, and with the definition itself, by brute force, for the other levels.

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use stateright::semantics::{
    ConsistencyTester, LinearizabilityTester, SequentialConsistencyTester, SequentialSpec,
};

use super::*;
use crate::workbench::check::search::{Order, SearchResult};

/// The counter as `stateright` defines one.
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

/// The verdict of an independent tester.
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

/// A history of a counter that answers reads from a random recent state and may lose or repeat adds. All events are at
/// different times. A client stops at its first operation of unknown outcome, as the testers require.
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

/// Makes the last reads final, and adds a correct final read if there is none.
fn end_on_reads(history: &mut Vec<CounterOperation>) {
    const FINAL_READS: usize = 2;
    let is_answered_read = |operation: &&mut CounterOperation| {
        matches!(operation.outcome.answer(), Some(Answer::Value(_)))
    };
    let mut reads: Vec<_> = history.iter_mut().filter(is_answered_read).collect();
    for read in reads.iter_mut().rev().take(FINAL_READS) {
        read.is_final = true;
    }
    if reads.is_empty() {
        let added = history.iter().filter(|operation| operation.outcome.is_ok());
        let total = added.map(|add| match add.call {
            Call::Add(delta) => delta,
            Call::Read => 0,
        });
        let total = total.sum();
        history.push(finally(read(9, 2_000_000..2_000_001, total)));
    }
}

/// The number of random histories of each agreement test.
const AGREEMENT_ROUNDS: u64 = 4_000;

/// Compares a level with an independent tester, and asserts that both verdicts occur often.
fn agree(level: Level, tester: fn(&[CounterOperation]) -> bool, may_decrease: bool) {
    let mut valid = 0;
    for seed in 0..AGREEMENT_ROUNDS {
        let mut history = random_history(&mut Pcg64Mcg::seed_from_u64(seed), may_decrease);
        end_on_reads(&mut history);
        let verdict = check(&history, level);
        let expected = tester(&history);
        let order = match level {
            Level::Linearizable => Some(Order::RealTime),
            Level::Sequential => Some(Order::Program),
            Level::Regular | Level::EventuallyRight => None,
        };
        if let Some(order) = order {
            let is_found = matches!(order::search_order(&history, order), SearchResult::Possible);
            assert_eq!(
                is_found, expected,
                "seed {seed}, search alone: {history:#?}"
            );
        }
        assert_eq!(
            verdict.validity,
            validity(expected),
            "seed {seed}: {history:#?} {verdict:#?}"
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

/// Whether `value` is the sum of all adds in `must` and some of those in `may`.
fn is_some_sum(
    value: i64,
    history: &[CounterOperation],
    must: impl Fn(&CounterOperation) -> bool,
    may: impl Fn(&CounterOperation) -> bool,
) -> bool {
    let deltas = |wanted: &dyn Fn(&CounterOperation) -> bool| -> Vec<i64> {
        let adds = history.iter().filter(|operation| wanted(operation));
        adds.filter_map(|add| match add.call {
            Call::Add(delta) => Some(delta),
            Call::Read => None,
        })
        .collect()
    };
    let least: i64 = deltas(&must).iter().sum();
    let optional = deltas(&|add| may(add) && !must(add));
    (0..1u32 << optional.len()).any(|choice| {
        let chosen = (0..optional.len()).filter(|index| choice & (1 << index) != 0);
        least + chosen.map(|index| optional[index]).sum::<i64>() == value
    })
}

fn reads(history: &[CounterOperation]) -> impl Iterator<Item = (&CounterOperation, i64)> + Clone {
    history
        .iter()
        .filter_map(|operation| match operation.outcome.answer() {
            Some(Answer::Value(value)) => Some((operation, *value)),
            _ => None,
        })
}

fn is_regular(history: &[CounterOperation]) -> bool {
    let is_up_to_date = reads(history).all(|(read, value)| {
        let must =
            |add: &CounterOperation| add.outcome.is_ok() && add.completed_at < read.invoked_at;
        let may = |add: &CounterOperation| add.invoked_at <= read.completed_at;
        is_some_sum(value, history, must, may)
    });
    let goes_back = |(read, value): (&CounterOperation, i64)| {
        reads(history).any(|(later, fallen)| {
            later.node == read.node && read.completed_at < later.invoked_at && fallen < value
        })
    };
    let may_fall = history
        .iter()
        .any(|operation| matches!(operation.call, Call::Add(..0)));
    is_up_to_date && (may_fall || !reads(history).any(goes_back))
}

fn is_eventually_right(history: &[CounterOperation]) -> bool {
    let mut last = reads(history).filter(|(read, _)| read.is_final);
    last.all(|(_, value)| is_some_sum(value, history, |add| add.outcome.is_ok(), |_| true))
}

#[test]
fn regularity_agrees_with_every_choice_of_adds() {
    agree(Level::Regular, is_regular, false);
    agree(Level::Regular, is_regular, true);
}

#[test]
fn final_reads_agree_with_every_choice_of_adds() {
    agree(Level::EventuallyRight, is_eventually_right, false);
    agree(Level::EventuallyRight, is_eventually_right, true);
}
