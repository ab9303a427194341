//! Named executions, random ones compared with an independent tester, and long ones.

use std::ops::Range;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde_json::json;
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

use super::*;
use crate::workbench::check::Validity;
use crate::workbench::check::testing::*;
use crate::workbench::history::Outcome;

type StoreOperation = Operation<Call, Answer>;

fn read(client: usize, time: Range<u64>, value: u32) -> StoreOperation {
    operation(
        client,
        time,
        Call::Read(json!("x").into()),
        Outcome::Ok(Answer::Value(json!(value).into())),
    )
}

fn missing(client: usize, time: Range<u64>) -> StoreOperation {
    operation(
        client,
        time,
        Call::Read(json!("x").into()),
        Outcome::Ok(Answer::Missing),
    )
}

fn write(client: usize, time: Range<u64>, value: u32) -> StoreOperation {
    operation(
        client,
        time,
        Call::Write(json!("x").into(), json!(value).into()),
        Outcome::Ok(Answer::Done),
    )
}

fn cas(client: usize, time: Range<u64>, from: u32, to: u32, answer: Answer) -> StoreOperation {
    let call = Call::Cas {
        key: json!("x").into(),
        from: json!(from).into(),
        to: json!(to).into(),
    };
    operation(client, time, call, Outcome::Ok(answer))
}

#[test]
fn accepts_a_right_history() {
    assert_valid(&check(&[
        missing(0, 0..1),
        write(0, 1..2, 1),
        read(1, 3..4, 1),
        cas(1, 5..9, 1, 2, Answer::Done),
        read(2, 6..7, 1),
        read(2, 7..8, 2),
        cas(0, 10..11, 1, 3, Answer::Different),
    ]));
}

#[test]
fn a_read_of_null_is_one_of_a_key_that_is_not_there() {
    let null = |time| {
        let answer = Answer::Value(json!(null).into());
        operation(1, time, Call::Read(json!("x").into()), Outcome::Ok(answer))
    };
    assert_valid(&check(&[null(0..1), write(0, 2..3, 1)]));
    let verdict = check(&[write(0, 0..1, 1), null(2..3)]);
    assert_invalid(&verdict, "read that gave null", &[0, 1]);
}

#[test]
fn catches_a_stale_read_and_shows_the_write() {
    let verdict = check(&[
        write(0, 0..1, 1),
        write(0, 2..3, 2),
        read(1, 4..5, 1),
        read(1, 9..10, 2),
    ]);
    assert_invalid(
        &verdict,
        "Key \"x\" is not linearizable: no order in which each operation comes after those that had completed before \
         it began explains its answers. At best the value is 2 when it is the turn of client c1's read that gave 1",
        &[0, 1, 2],
    );
}

#[test]
fn catches_a_lost_update() {
    let verdict = check(&[
        write(0, 0..1, 1),
        cas(0, 2..9, 1, 2, Answer::Done),
        cas(1, 2..9, 1, 3, Answer::Done),
    ]);
    assert_invalid(&verdict, "cas from 1 to 3", &[0, 1, 2]);
}

#[test]
fn catches_a_value_out_of_nowhere_and_a_key_that_vanished() {
    assert_invalid(
        &check(&[write(0, 0..1, 1), read(0, 2..3, 7)]),
        "read that gave 7",
        &[0, 1],
    );
    assert_invalid(
        &check(&[write(0, 0..1, 1), missing(0, 2..3)]),
        "read that found no key",
        &[0, 1],
    );
}

#[test]
fn catches_a_cas_that_failed_on_a_stale_value() {
    let history = [
        write(0, 0..1, 1),
        write(0, 2..3, 2),
        cas(1, 4..5, 2, 3, Answer::Different),
    ];
    assert_invalid(
        &check(&history),
        "cas from 2 to 3 that found another value",
        &[0, 1, 2],
    );
}

#[test]
fn a_write_of_unknown_outcome_may_take_effect_late_or_never_and_a_failed_one_must_not() {
    let history = |outcome: Outcome<Answer>, late: u32| {
        let mut history = [
            write(0, 0..1, 1),
            write(2, 0..1, 2),
            read(1, 4..5, 1),
            read(1, 9..10, late),
        ];
        history[1].outcome = outcome;
        check(&history).validity
    };
    assert_eq!(history(indeterminate(), 1), Validity::Valid);
    assert_eq!(history(indeterminate(), 2), Validity::Valid);
    assert_eq!(history(failed(), 1), Validity::Valid);
    assert_eq!(history(failed(), 2), Validity::Invalid);
    assert_eq!(history(Outcome::Ok(Answer::Done), 2), Validity::Invalid);
}

#[test]
fn keys_are_checked_one_by_one() {
    let mut history = vec![
        write(0, 0..1, 1),
        read(1, 2..3, 1),
        write(0, 4..5, 1),
        read(1, 6..7, 2),
    ];
    history[2].call = Call::Write(json!(["y"]).into(), json!(1).into());
    history[3].call = Call::Read(json!(["y"]).into());
    let verdict = check(&history);
    assert_invalid(&verdict, "Key [\"y\"] is not linearizable", &[2, 3]);
    assert_eq!(
        (verdict.findings.len(), &verdict.facts["keys"]),
        (1, &json!(2))
    );
}

/// A register as `stateright` defines one; answers as in [`Answer`].
#[derive(Clone)]
struct Reference(Option<Json>);

impl SequentialSpec for Reference {
    type Op = Call;
    type Ret = Answer;

    fn invoke(&mut self, call: &Call) -> Answer {
        match (call, &self.0) {
            (Call::Read(_), Some(value)) => Answer::Value(value.clone()),
            (Call::Read(_) | Call::Cas { .. }, None) => Answer::Missing,
            (Call::Cas { from, .. }, Some(value)) if value != from => Answer::Different,
            (Call::Write(_, to) | Call::Cas { to, .. }, _) => {
                self.0 = Some(to.clone());
                Answer::Done
            }
        }
    }
}

/// A history in which every operation takes effect at some moment while it is under way, and some reads return an
/// older value. After an operation of unknown outcome, the client continues under a new number.
fn random_history(
    random: &mut Pcg64Mcg,
    clients: usize,
    count: u64,
    staleness: f64,
    loss: f64,
) -> Vec<StoreOperation> {
    let mut drafts = Vec::new();
    let mut free_at = vec![0; clients];
    for _ in 0..count {
        let client = random.random_range(0..clients);
        let invoked_at = free_at[client] + random.random_range(1..100);
        let effect_at = invoked_at + random.random_range(1..100);
        free_at[client] = effect_at + random.random_range(1..100);
        drafts.push((effect_at, client, invoked_at..free_at[client]));
    }
    drafts.sort_by_key(|draft| draft.0);
    let mut register = Reference(None);
    let mut old = None;
    let mut numbers: Vec<usize> = (0..clients).collect();
    let mut history = Vec::new();
    for (_, client, time) in drafts {
        let mut value = || Json::Whole(random.random_range(0..4i32).into());
        let call = match value() {
            Json::Whole(0) => Call::Write(json!("x").into(), value()),
            Json::Whole(1) => Call::Cas {
                key: json!("x").into(),
                from: value(),
                to: value(),
            },
            _ => Call::Read(json!("x").into()),
        };
        let before = register.0.clone();
        let is_lost = random.random_bool(loss);
        let mut outcome = indeterminate();
        if !is_lost || random.random_bool(0.5) {
            let answer = register.invoke(&call);
            outcome = Outcome::Ok(answer);
        }
        match (&call, &old) {
            (Call::Read(_), Some(old)) if random.random_bool(staleness) => {
                outcome = Outcome::Ok(Answer::Value(Json::clone(old)));
            }
            _ => {}
        }
        let number = numbers[client];
        if is_lost {
            outcome = indeterminate();
            numbers[client] += clients;
        }
        old = before;
        history.push(operation(number, time, call, outcome));
    }
    history.sort_by_key(|operation| operation.invoked_at);
    history
}

#[test]
fn agrees_with_an_independent_tester() {
    let mut valid = 0;
    for seed in 0..2_000 {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let mut history = random_history(&mut random, 4, 11, 0.8, 0.1);
        let mut events = Vec::new();
        for (index, operation) in history.iter_mut().enumerate() {
            // No two events are at the same time, because the tester needs a total order.
            operation.invoked_at += std::time::Duration::from_nanos(2 * index as u64);
            operation.completed_at += std::time::Duration::from_nanos(2 * index as u64 + 1);
            events.push((operation.invoked_at, index, true));
            events.push((operation.completed_at, index, false));
        }
        events.sort_unstable();
        let mut tester = LinearizabilityTester::new(Reference(None));
        for (_, index, is_invocation) in events {
            let operation = &history[index];
            if is_invocation {
                tester
                    .on_invoke(operation.client, operation.call.clone())
                    .unwrap();
            } else if let Some(answer) = operation.outcome.answer() {
                tester.on_return(operation.client, answer.clone()).unwrap();
            }
        }
        let expected = tester.is_consistent();
        let verdict = check(&history);
        assert_eq!(
            verdict.validity == Validity::Valid,
            expected,
            "seed {seed}: {history:#?} {verdict:#?}"
        );
        assert_ne!(verdict.validity, Validity::Unknown);
        valid += u32::from(expected);
    }
    assert!((200..1_800).contains(&valid), "{valid} valid");
}

#[test]
fn ten_thousand_operations_are_decided() {
    let mut history = Vec::new();
    for key in 0..50 {
        let mut of_key = random_history(&mut Pcg64Mcg::seed_from_u64(key), 10, 200, 0.0, 0.02);
        for operation in &mut of_key {
            operation.client += 1_000 * key as usize;
            match &mut operation.call {
                Call::Read(name) | Call::Write(name, _) | Call::Cas { key: name, .. } => {
                    *name = json!(key).into()
                }
            }
        }
        history.extend(of_key);
    }
    history.sort_by_key(|operation| operation.invoked_at);
    assert_valid(&check(&history));
    let is_read =
        |operation: &StoreOperation| matches!(operation.outcome.answer(), Some(Answer::Value(_)));
    let last = history.iter().rposition(is_read).unwrap();
    history[last].outcome = Outcome::Ok(Answer::Value(json!("never written").into()));
    let verdict = check(&history);
    assert_eq!(verdict.validity, Validity::Invalid, "{verdict:#?}");
    assert!(verdict.findings[0].operations.contains(&last));
}
