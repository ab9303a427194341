//! Compares the variants of `seq-kv` with an independent checker.

use std::collections::BTreeMap;

use rand::Rng;
use stateright::semantics::{ConsistencyTester, SequentialConsistencyTester, SequentialSpec};

use super::SequentialStore;
use super::testing::{Store, draw};
use crate::workbench::random::Stream;

/// The sequential specification of a store with one state: read, write and cas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Specification(BTreeMap<String, serde_json::Value>);

impl SequentialSpec for Specification {
    type Op = String;
    type Ret = String;

    fn invoke(&mut self, request: &String) -> String {
        let request: serde_json::Value =
            serde_json::from_str(&format!("{{{request}}}")).expect("JSON");
        let key = request["key"].as_str().expect("a name");
        match (request["type"].as_str(), self.0.get(key)) {
            (Some("read"), Some(value)) => format!("read_ok {value}"),
            (Some("write"), _) => {
                self.0.insert(key.into(), request["value"].clone());
                String::from("write_ok")
            }
            (Some("cas"), Some(value)) if *value != request["from"] => String::from("error 22"),
            (Some("cas"), None) if request["create_if_not_exists"] != true => {
                String::from("error 20")
            }
            (Some("cas"), _) => {
                self.0.insert(key.into(), request["to"].clone());
                String::from("cas_ok")
            }
            _ => String::from("error 20"),
        }
    }
}

/// How many of the given number of random histories, each with `length` operations of three clients, are sequentially
/// consistent.
fn consistent(store: impl Fn(u64) -> Store, count: u64, length: usize) -> u64 {
    let is_consistent = |seed: &u64| {
        let mut random = Stream::Generator.seeded(*seed);
        let mut store = store(*seed);
        let mut tester = SequentialConsistencyTester::new(Specification::default());
        for _ in 0..length {
            let client = random.random_range(0..3);
            let request = draw(&mut random);
            let answer = store.ask(client, &request);
            tester.on_invret(client, request, answer).expect("in turn");
        }
        tester.is_consistent()
    };
    (0..count).filter(is_consistent).count() as u64
}

#[test]
fn strict_and_lazy_histories_are_sequentially_consistent() {
    for variant in [SequentialStore::Strict, SequentialStore::Lazy] {
        let store = |seed| Store::sequential(variant, seed);
        assert_eq!(consistent(store, 1000, 14), 1000, "{variant:?}");
    }
}

#[test]
fn the_checker_rejects_a_store_that_is_not_sequentially_consistent() {
    assert!(consistent(|seed| Store::seeded("lww-kv", seed), 100, 14) < 90);
}
