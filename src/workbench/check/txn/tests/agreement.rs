//! Agreement with brute force: every order of a few transactions, tried one by one.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::*;

/// A history on two keys that a serial store has answered, except that a transaction may have been run on an older
/// state, or seen one of two keys as it was; the last reads everything.
fn random_history(random: &mut Pcg64Mcg, staleness: f64) -> Vec<TransactionOperation> {
    type State = BTreeMap<&'static str, Vec<u32>>;
    let mut states: Vec<State> = vec![State::new()];
    let mut history = Vec::new();
    let count = random.random_range(3..7);
    for number in 0..count {
        let mut state = states[states.len() - 1].clone();
        let mut view = state.clone();
        let mut answer = Vec::new();
        for step in 0..random.random_range(1..5) {
            let key = ["x", "y"][random.random_range(0..2)];
            if random.random_bool(staleness) {
                let old = states[random.random_range(0..states.len())]
                    .get(key)
                    .cloned()
                    .unwrap_or_default();
                let own = answer.iter().any(|step: &Step| *step.key() == json!(key));
                if !own {
                    view.insert(key, old);
                }
            }
            if random.random_bool(0.5) {
                let value = 10 * number + step;
                state.entry(key).or_default().push(value);
                view.entry(key).or_default().push(value);
                answer.push(w(key, value));
            } else {
                answer.push(r(key, json!(view.get(key).cloned().unwrap_or_default())));
            }
        }
        states.push(state);
        let start = u64::from(number) * 10 + random.random_range(0..5);
        let time = start..start + random.random_range(1..40);
        history.push(operation(
            number as usize,
            time,
            call(&answer),
            Outcome::Ok(answer),
        ));
    }
    let last = &states[states.len() - 1];
    let read = |key: &str| r(key, json!(last.get(key).cloned().unwrap_or_default()));
    let answer = vec![read("x"), read("y")];
    history.push(operation(
        count as usize,
        900..901,
        call(&answer),
        Outcome::Ok(answer),
    ));
    history
}

/// Whether some order of the transactions, tried one by one, gives all answers.
fn is_explained(history: &[TransactionOperation], done: &mut Vec<usize>, in_time: bool) -> bool {
    if done.len() == history.len() {
        return is_serial(history, done);
    }
    let left: Vec<usize> = (0..history.len())
        .filter(|index| !done.contains(index))
        .collect();
    left.iter().any(|&next| {
        let is_early = |&&other: &&usize| history[other].completed_at < history[next].invoked_at;
        if in_time && left.iter().any(|other| is_early(&other)) {
            return false;
        }
        done.push(next);
        let is_explained = is_explained(history, done, in_time);
        done.pop();
        is_explained
    })
}

fn is_serial(history: &[TransactionOperation], order: &[usize]) -> bool {
    let mut state: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let steps = order
        .iter()
        .flat_map(|&index| history[index].outcome.answer().unwrap());
    steps.into_iter().all(|step| match step {
        Step::Write { key, value } => {
            state
                .entry(key.to_string())
                .or_default()
                .push(value.clone());
            true
        }
        Step::Read { key, value } => {
            *value == json!(state.get(&key.to_string()).cloned().unwrap_or_default())
        }
    })
}

#[test]
fn agrees_with_brute_force() {
    for (model, in_time, staleness) in [
        ("serializable", false, 0.3),
        ("strict-serializable", true, 0.15),
    ] {
        let mut valid = 0;
        for seed in 0..600 {
            let history = random_history(&mut Pcg64Mcg::seed_from_u64(seed), staleness);
            let expected = is_explained(&history, &mut Vec::new(), in_time);
            let verdict = list_append::check(&history, &models([model]));
            assert_eq!(
                verdict.validity,
                validity(expected),
                "seed {seed}: {history:#?} {verdict:#?}"
            );
            valid += u32::from(expected);
        }
        assert!((60..540).contains(&valid), "{model}: {valid} valid");
    }
}
