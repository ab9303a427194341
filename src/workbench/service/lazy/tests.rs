use rand::Rng;

use super::super::SequentialStore;
use super::super::testing::{Store, cas, draw, read, write};
use crate::workbench::random::Stream;

fn lazy() -> Store {
    Store::sequential(SequentialStore::Lazy, 1)
}

#[test]
fn a_client_that_only_reads_never_sees_anything_new() {
    let mut store = lazy();
    for value in 0..100 {
        store.ask(0, &write("a", value));
        assert_eq!(store.ask(1, &read("a")), "error 20");
        assert!(store.is_stale());
        assert_eq!(store.ask(0, &read("a")), format!("read_ok {value}"));
        assert!(!store.is_stale());
    }
}

#[test]
fn a_change_does_not_bring_its_client_up_to_date() {
    let mut store = lazy();
    store.ask(0, &write("a", 1));
    assert_eq!(store.ask(1, &write("mine", 1)), "write_ok");
    assert_eq!(store.ask(1, &read("a")), "error 20");
    assert_eq!(store.ask(1, &cas("mine", 1, 2, false)), "cas_ok");
    assert_eq!(store.ask(1, &read("a")), "error 20");
}

#[test]
fn a_change_comes_after_operations_that_saw_its_key_without_it() {
    let mut store = lazy();
    store.ask(0, &write("a", 1));
    assert_eq!(store.ask(0, &read("b")), "error 20");
    assert_eq!(store.ask(1, &write("b", 1)), "write_ok");
    assert_eq!(store.ask(1, &read("a")), "read_ok 1");
}

#[test]
fn a_write_that_is_replaced_before_anybody_reads_it_stays_in_the_past() {
    let mut store = lazy();
    store.ask(0, &write("a", 1));
    store.ask(0, &write("b", 1));
    store.ask(0, &read("b"));
    assert_eq!(store.ask(1, &write("b", 2)), "write_ok");
    assert!(!store.is_stale(), "the reply to a write is about no value");
    assert_eq!(store.ask(1, &read("a")), "error 20");
    assert_eq!(store.ask(2, &read("b")), "error 20");
    assert_eq!(store.ask(0, &read("b")), "read_ok 1");
}

#[test]
fn a_cas_from_a_replaced_value_fails_and_is_only_as_up_to_date_as_that() {
    let mut store = lazy();
    store.ask(0, &write("r", 1));
    assert_eq!(store.ask(1, &cas("r", 1, 9, false)), "error 20");
    assert_eq!(store.ask(1, &cas("r", 0, 5, true)), "cas_ok");
    assert_eq!(store.ask(0, &cas("r", 1, 2, false)), "cas_ok");
    assert_eq!(store.ask(1, &read("r")), "read_ok 5");
    assert_eq!(store.ask(1, &cas("r", 5, 6, false)), "cas_ok");
    assert_eq!(store.ask(0, &cas("r", 2, 3, false)), "cas_ok");
}

#[test]
fn of_a_chain_of_changes_a_client_that_is_behind_learns_the_next_with_each_failure() {
    let mut store = lazy();
    store.ask(0, &cas("r", 0, 1, true));
    for version in 1..10 {
        store.ask(0, &cas("r", version, version + 1, false));
    }
    assert_eq!(store.ask(1, &cas("r", 0, 1, true)), "error 22");
    for version in 1..10 {
        assert_eq!(store.ask(1, &read("r")), format!("read_ok {version}"));
        assert_eq!(store.ask(1, &cas("r", version, 99, false)), "error 22");
    }
    assert_eq!(store.ask(1, &cas("r", 10, 11, false)), "cas_ok");
}

/// The definition as a reference: the sequence is a list, and all of it is run again for every place that is tried.
#[derive(Default)]
struct Plain(Vec<(usize, String, String)>);

impl Plain {
    fn ask(&mut self, client: usize, request: &str) -> String {
        let is_own = |(other, _, _): &(usize, String, String)| *other == client;
        let first = self.0.iter().rposition(is_own).map_or(0, |last| last + 1);
        for place in first..=self.0.len() {
            let mut sequence = self.0.clone();
            sequence.insert(place, (client, String::from(request), String::new()));
            let mut store = Store::new("lin-kv");
            let mut answers: Vec<String> = sequence
                .iter()
                .map(|(client, request, _)| store.ask(*client, request))
                .collect();
            let answer = answers.remove(place);
            let given = self.0.iter().map(|(_, _, answer)| answer);
            if given.eq(&answers) {
                sequence[place].2.clone_from(&answer);
                self.0 = sequence;
                return answer;
            }
        }
        unreachable!("the end of the sequence is always a place")
    }
}

#[test]
fn every_reply_agrees_with_the_definition() {
    for seed in 0..300 {
        let mut random = Stream::Services.seeded(seed);
        let (mut store, mut plain) = (lazy(), Plain::default());
        for _ in 0..30 {
            let client = random.random_range(0..3);
            let request = draw(&mut random);
            let answer = store.ask(client, &request);
            assert_eq!(
                answer,
                plain.ask(client, &request),
                "{client}: {request}\n{:#?}",
                plain.0
            );
        }
    }
}

#[test]
fn a_sequence_that_grows_in_only_one_place_never_runs_out_of_labels() {
    let mut store = lazy();
    store.ask(0, &write("a", 0));
    store.ask(1, &read("a"));
    for value in 0..1000 {
        assert_eq!(store.ask(0, &write("a", value)), "write_ok");
        assert_eq!(store.ask(1, &write("b", value)), "write_ok");
        assert_eq!(store.ask(0, &read("a")), format!("read_ok {value}"));
        assert_eq!(store.ask(1, &read("b")), format!("read_ok {value}"));
        assert_eq!(store.ask(1, &read("a")), "error 20");
    }
}
