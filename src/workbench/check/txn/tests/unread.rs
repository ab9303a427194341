//! A store that keeps nothing is a warning.

use super::*;

type Check = fn(&History, &[Model]) -> Verdict;

/// A number of pairs of transactions: client 0 writes a key, and then `reader` reads that key as `value`.
fn pairs(count: u32, reader: usize, value: Value) -> Vec<TransactionOperation> {
    let pair = |number: u32| {
        let (key, at) = (format!("k{}", number % 3), 10 * u64::from(number));
        let write = committed(0, at..at + 1, [w(&key, number)]);
        [
            write,
            committed(reader, at + 2..at + 3, [r(&key, value.clone())]),
        ]
    };
    (0..count).flat_map(pair).collect()
}

fn weakly(check: Check, history: &History) -> Verdict {
    check(history, &models(["read-committed"]))
}

#[test]
fn that_no_transaction_reads_what_another_wrote_is_a_warning() {
    let words = "No read returned any of the 20 acknowledged writes of other transactions, although 20 reads were of a key";
    for check in [list_append::check as Check, rw_register::check] {
        let verdict = weakly(check, &pairs(20, 0, json!(null)));
        assert_warned(&verdict, &[(words, &[0, 1, 2, 3])]);
    }
    let verdict = weakly(list_append::check, &pairs(20, 0, json!([])));
    assert_warned(&verdict, &[(words, &[0, 1, 2, 3])]);
}

#[test]
fn a_transaction_that_reads_its_own_write_shows_nothing_about_the_writes_of_others() {
    let own = |number: u32| {
        let at = 10 * u64::from(number);
        committed(
            0,
            at..at + 1,
            [r("x", json!(null)), w("x", number), r("x", json!(number))],
        )
    };
    let history: Vec<TransactionOperation> = (1..=30).map(own).collect();
    let words = "any of the 30 acknowledged writes of other transactions, although 29 reads";
    assert_warned(
        &weakly(rw_register::check, &history),
        &[(words, &[0, 1, 2])],
    );
}

#[test]
fn one_read_of_what_another_transaction_wrote_is_enough() {
    for (check, value) in [
        (list_append::check as Check, json!([0])),
        (rw_register::check, json!(0)),
    ] {
        let mut history = pairs(20, 0, json!(null));
        history[1] = committed(0, 2..3, [r("k0", value)]);
        assert_valid(&weakly(check, &history));
    }
}

#[test]
fn what_chance_or_a_partition_may_cause_is_no_warning() {
    for (case, history) in [
        ("few writes", {
            let mut history = pairs(20, 0, json!(null));
            history.remove(0);
            history.extend(history.last().cloned());
            history
        }),
        ("few reads", pairs(20, 0, json!(null))[..39].to_vec()),
        ("the writes of another node", pairs(20, 1, json!(null))),
        ("reads before all writes", {
            let mut history = pairs(20, 0, json!(null));
            for operation in &mut history {
                if matches!(operation.call[0], Step::Write { .. }) {
                    operation.invoked_at += Duration::from_secs(9);
                    operation.completed_at += Duration::from_secs(9);
                }
            }
            history
        }),
        ("writes that were not acknowledged", {
            let mut history = pairs(20, 0, json!(null));
            for operation in history.iter_mut().step_by(2) {
                operation.outcome = failed();
            }
            history
        }),
    ] {
        for check in [list_append::check as Check, rw_register::check] {
            let verdict = weakly(check, &history);
            assert!(verdict.findings.is_empty(), "{case}: {verdict:#?}");
        }
    }
}
