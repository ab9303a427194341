//! Compares the checker with brute force: every order of a few transactions, tried one by one.
//!
//! The reference does not use dependencies. It places one transaction after the other, in every order that the model
//! permits, and tests whether the transactions placed before explain its reads. A transaction of unknown outcome may
//! be left out.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::*;

const KEYS: [&str; 2] = ["x", "y"];

/// The values written to a key, in order. A register shows the last one.
type State = BTreeMap<&'static str, Vec<u32>>;

/// How a key's value is shown to a reader.
type Show = fn(&[u32]) -> Json;

fn as_list(written: &[u32]) -> Json {
    json!(written).into()
}

fn as_register(written: &[u32]) -> Json {
    json!(written.last()).into()
}

/// The probabilities of faults in a transaction.
#[derive(Clone, Copy)]
struct Faults {
    /// It begins on an earlier state of a key, even one in the middle of another transaction.
    stale: f64,
    /// It reads a key again and sees a different state of it from then on.
    unrepeatable: f64,
    /// It takes effect in part although it is aborted or its outcome is unknown.
    half_applied: f64,
    /// Its first two writes are swapped.
    swapped: f64,
}

/// A history of up to a number of transactions, answered by a store with some faults. Some outcomes are unknown to the
/// clients. The last transaction reads every key.
fn random_history(
    random: &mut Pcg64Mcg,
    count_max: u32,
    length_max: u32,
    faults: Faults,
    show: Show,
) -> Vec<TransactionOperation> {
    let mut state = State::new();
    let mut moments = vec![state.clone()];
    let mut history: Vec<TransactionOperation> = Vec::new();
    for number in 0..random.random_range(2..=count_max) {
        let mut view = state.clone();
        let forget = |view: &mut State, key, random: &mut Pcg64Mcg| {
            let mut moment = moments[random.random_range(0..moments.len())].clone();
            view.insert(key, moment.remove(key).unwrap_or_default());
        };
        for key in KEYS {
            if random.random_bool(faults.stale) {
                forget(&mut view, key, random);
            }
        }
        let (mut answer, mut writes) = (Vec::new(), Vec::new());
        for step in 1..=random.random_range(1..=length_max) {
            let key = KEYS[random.random_range(0..KEYS.len())];
            if random.random_bool(0.5) {
                let value = 10 * number + step;
                view.entry(key).or_default().push(value);
                writes.push((key, value));
                answer.push(w(key, value));
            } else {
                if random.random_bool(faults.unrepeatable) {
                    forget(&mut view, key, random);
                }
                answer.push(r(key, show(view.get(key).map_or(&[], Vec::as_slice))));
            }
        }
        if writes.len() > 1 && random.random_bool(faults.swapped) {
            writes.swap(0, 1);
        }
        let outcome = match random.random_range(0..10) {
            0..7 => Outcome::Ok(answer.clone()),
            7..9 => indeterminate(),
            _ => failed(),
        };
        let is_applied = outcome.is_ok() || !outcome.is_failed() && random.random();
        if !outcome.is_ok() && random.random_bool(faults.half_applied) {
            writes.truncate(random.random_range(0..=writes.len()));
        } else if !is_applied {
            writes.clear();
        }
        for (key, value) in writes {
            state.entry(key).or_default().push(value);
            moments.push(state.clone());
        }
        let start = u64::from(number) * 10 + random.random_range(0..10);
        let client = random.random_range(0..3);
        let is_free = |other: &TransactionOperation| {
            other.client != client || other.completed_at.as_millis() < u128::from(start)
        };
        let client = if history.iter().all(is_free) {
            client
        } else {
            10 + number as usize
        };
        let time = start..start + random.random_range(1..30);
        history.push(operation(client, time, call(&answer), outcome));
    }
    let read = |key: &&'static str| r(key, show(state.get(key).map_or(&[], Vec::as_slice)));
    let answer: Vec<Step> = KEYS.iter().map(read).collect();
    history.push(operation(99, 900..901, call(&answer), Outcome::Ok(answer)));
    history
}

/// Whether a transaction may come after those that were placed before it.
type Fits = fn(Reference, &[&TransactionOperation], &TransactionOperation) -> bool;

/// The consistency model of the reference: the order that it keeps, and whether a transaction may come next.
#[derive(Clone, Copy)]
struct Reference {
    show: Show,
    order: Order,
    fits: Fits,
}

impl Reference {
    /// Whether some order of the transactions explains all replies.
    fn explains(self, history: &[TransactionOperation]) -> bool {
        let happened = history
            .iter()
            .filter(|operation| !operation.outcome.is_failed());
        self.explains_rest(&mut Vec::new(), &happened.collect::<Vec<_>>())
    }

    fn explains_rest<'h>(
        self,
        placed: &mut Vec<&'h TransactionOperation>,
        left: &[&'h TransactionOperation],
    ) -> bool {
        if left.iter().all(|operation| !operation.outcome.is_ok()) {
            return true;
        }
        (0..left.len()).any(|next| {
            let (mut left, next) = (left.to_vec(), left[next]);
            left.retain(|operation| !std::ptr::eq(*operation, next));
            if left.iter().any(|other| self.precedes(other, next))
                || !(self.fits)(self, placed, next)
            {
                return false;
            }
            placed.push(next);
            let is_explained = self.explains_rest(placed, &left);
            placed.pop();
            is_explained
        })
    }

    fn precedes(self, first: &TransactionOperation, second: &TransactionOperation) -> bool {
        let in_session = first.client == second.client && first.invoked_at < second.invoked_at;
        let in_time = first.completed_at < second.invoked_at;
        first.outcome.is_ok()
            && match self.order {
                Order::Data => false,
                Order::Session => in_session,
                Order::RealTime => in_session || in_time,
            }
    }

    /// Whether a transaction that runs alone on this state reads what it read.
    fn runs_on(self, mut state: State, operation: &TransactionOperation) -> bool {
        let answer = operation.outcome.answer().map_or(&[][..], Vec::as_slice);
        answer.iter().all(|step| match step {
            Step::Write { .. } => {
                apply(&mut state, step);
                true
            }
            Step::Read { key, value } => {
                let written = state.get(name(key));
                *value == (self.show)(written.map_or(&[], Vec::as_slice))
            }
        })
    }
}

fn apply(state: &mut State, step: &Step) {
    if let Step::Write {
        key,
        value: Json::Whole(value),
    } = step
    {
        state.entry(name(key)).or_default().push(*value as u32);
    }
}

fn name(key: &Json) -> &'static str {
    let known = KEYS.into_iter().find(|name| *key == Json::from(*name));
    known.expect("one of the keys")
}

fn state_after(placed: &[&TransactionOperation]) -> State {
    let mut state = State::new();
    for operation in placed {
        operation
            .call
            .iter()
            .for_each(|step| apply(&mut state, step));
    }
    state
}

/// Transactions run one after the other.
fn is_serial(
    reference: Reference,
    placed: &[&TransactionOperation],
    next: &TransactionOperation,
) -> bool {
    reference.runs_on(state_after(placed), next)
}

/// Each transaction runs on an earlier state, if nobody has since written a key that it writes.
fn is_on_a_snapshot(
    reference: Reference,
    placed: &[&TransactionOperation],
    next: &TransactionOperation,
) -> bool {
    let writes = |operation: &TransactionOperation, key: &Json| {
        operation
            .call
            .iter()
            .any(|step| matches!(step, Step::Write { .. }) && step.key() == key)
    };
    let conflicts = |other: &&TransactionOperation| {
        KEYS.iter()
            .any(|&key| writes(other, &key.into()) && writes(next, &key.into()))
    };
    let needed = placed
        .iter()
        .rposition(|other| reference.precedes(other, next));
    let earliest = needed.map_or(0, |needed| needed + 1);
    (earliest..=placed.len()).any(|snapshot| {
        let (before, since) = placed.split_at(snapshot);
        !since.iter().any(conflicts) && reference.runs_on(state_after(before), next)
    })
}

/// Each read of a list is checked on its own: it shows an earlier state, plus the transaction's own appends.
fn reads_committed_lists(
    _: Reference,
    placed: &[&TransactionOperation],
    next: &TransactionOperation,
) -> bool {
    let mut state = state_after(placed);
    let number = |value: &u32| value / 10;
    let answer = next.outcome.answer().map_or(&[][..], Vec::as_slice);
    answer.iter().all(|step| match step {
        Step::Write { .. } => {
            apply(&mut state, step);
            true
        }
        Step::Read { key, value } => {
            let whole = state.get(name(key)).map_or(&[][..], Vec::as_slice);
            let length = value.as_list().unwrap().len();
            // The state is not in the middle of another transaction's appends; it may lack some of this transaction's
            // own.
            let is_cut = length > 0
                && length < whole.len()
                && number(&whole[length - 1]) == number(&whole[length]);
            let is_own = |value: &u32| {
                next.call
                    .iter()
                    .any(|step| *step.value() == Json::from(u64::from(*value)))
            };
            length <= whole.len()
                && *value == as_list(&whole[..length])
                && (!is_cut || is_own(&whole[length - 1]))
        }
    })
}

/// Each read of a register is checked on its own: it shows the last write of any earlier transaction, or of this one.
fn reads_committed_registers(
    _: Reference,
    placed: &[&TransactionOperation],
    next: &TransactionOperation,
) -> bool {
    let answer = next.outcome.answer().map_or(&[][..], Vec::as_slice);
    let is_write_of =
        |key: &Json, step: &&Step| matches!(step, Step::Write { .. }) && step.key() == key;
    answer
        .iter()
        .enumerate()
        .all(|(position, step)| match step {
            Step::Write { .. } => true,
            Step::Read { key, value } => {
                let last = |operation: &&TransactionOperation| {
                    let step = operation.call.iter().rfind(|step| is_write_of(key, step));
                    step.map(|step| step.value().clone())
                };
                let mut own = answer[..position]
                    .iter()
                    .filter(|step| is_write_of(key, step));
                *value == Json::Null
                    || own.any(|step| step.value() == value)
                    || placed.iter().filter_map(last).any(|last| last == *value)
            }
        })
}

/// The models with these cycles and each order.
fn models_of(cycles: Cycles) -> impl Iterator<Item = Model> {
    MODELS
        .into_iter()
        .filter(move |model| model.cycles == cycles)
}

const FAULTS: Faults = Faults {
    stale: 0.15,
    unrepeatable: 0.1,
    half_applied: 0.5,
    swapped: 0.1,
};

/// Asserts that the checker and the reference agree on many histories, some valid and some not.
#[track_caller]
fn assert_agreement(
    model: Model,
    reference: Reference,
    check: fn(&History, &[Model]) -> Verdict,
    history: impl Fn(&mut Pcg64Mcg) -> Vec<TransactionOperation>,
) {
    let mut valid = 0;
    for seed in 0..SEEDS {
        let history = history(&mut Pcg64Mcg::seed_from_u64(seed));
        let expected = reference.explains(&history);
        let verdict = check(&history, &[model]);
        assert_eq!(
            verdict.validity,
            validity(expected),
            "{model}, seed {seed}: {history:#?} {verdict:#?}"
        );
        valid += u64::from(expected);
    }
    assert!(
        (SEEDS / 10..SEEDS * 9 / 10).contains(&valid),
        "{model}: {valid} valid"
    );
}

const SEEDS: u64 = 1000;

#[test]
fn lists_agree_with_brute_force() {
    let levels: [(Cycles, Fits); 3] = [
        (Cycles::Information, reads_committed_lists),
        (Cycles::Nonadjacent, is_on_a_snapshot),
        (Cycles::Any, is_serial),
    ];
    for (cycles, fits) in levels {
        for model in models_of(cycles) {
            let (show, order): (Show, _) = (as_list, model.order);
            let reference = Reference { show, order, fits };
            assert_agreement(model, reference, list_append::check, |random| {
                random_history(random, 5, 4, FAULTS, as_list)
            });
        }
    }
}

#[test]
fn registers_that_are_used_by_themselves_agree_with_brute_force_in_time() {
    let model = "strict-serializable".parse().unwrap();
    let reference = Reference {
        show: as_register,
        order: Order::RealTime,
        fits: is_serial,
    };
    let faults = Faults {
        stale: 0.3,
        ..FAULTS
    };
    assert_agreement(model, reference, rw_register::check, |random| {
        random_history(random, 8, 1, faults, as_register)
    });
}

#[test]
fn registers_are_not_called_wrong_where_brute_force_finds_an_order() {
    let levels: [(Cycles, Fits); 3] = [
        (Cycles::Information, reads_committed_registers),
        (Cycles::Nonadjacent, is_on_a_snapshot),
        (Cycles::Any, is_serial),
    ];
    for (cycles, fits) in levels {
        for model in models_of(cycles) {
            let (show, order): (Show, _) = (as_register, model.order);
            let reference = Reference { show, order, fits };
            let (mut wrong, mut caught) = (0, 0);
            for seed in 0..SEEDS {
                let history = random_history(
                    &mut Pcg64Mcg::seed_from_u64(seed),
                    5,
                    4,
                    FAULTS,
                    as_register,
                );
                let verdict = rw_register::check(&history, &[model]);
                let is_wrong = !reference.explains(&history);
                assert!(
                    is_wrong || verdict.validity == Validity::Valid,
                    "{model}, seed {seed}: {history:#?} {verdict:#?}"
                );
                wrong += u32::from(is_wrong);
                caught += u32::from(verdict.validity == Validity::Invalid);
            }
            // A write that nobody read leaves no trace.
            assert!(caught * 10 >= wrong * 9, "{model}: {caught} of {wrong}");
        }
    }
}
