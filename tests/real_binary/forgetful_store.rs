//! A store that has lost its keys, as a store in memory does when it restarts.
//!
//! No node can bring the contents back: a node that still knows of them counts nothing on top of them, and never
//! returns less than before. After a restart of the nodes, too, they count from zero.

use crate::process::LEVELS;
use crate::store::{Store, add, assert_counts, impatient_counter, read};

#[test]
fn a_store_that_has_forgotten_everything_is_not_asked_in_a_hurry_and_no_add_is_acknowledged() {
    for level in LEVELS {
        let mut store = Store::default();
        let mut node = impatient_counter(level);
        node.send(&add(1));
        assert_eq!(
            node.serve(|body| store.handle(body))["body"]["type"],
            "add_ok"
        );
        store.clear();
        let mut questions = 0;
        for msg_id in 2..5 {
            node.send(&add(msg_id));
            let message = node.serve(|body| {
                questions += 1;
                store.handle(body)
            });
            assert_eq!(message["body"]["type"], "error", "{level}: {message}");
            assert!(
                matches!(message["body"]["code"].as_i64(), Some(0 | 11)),
                "{message}"
            );
        }
        assert!(
            questions < 2_000,
            "{level}: {questions} questions in three operation timeouts"
        );
        assert_eq!(store.values().count(), 0);
    }
}

#[test]
fn a_node_never_returns_less_than_before_its_store_lost_its_keys() {
    for level in LEVELS {
        let mut store = Store::default();
        let mut node = impatient_counter(level);
        node.send(&add(1));
        node.serve(|body| store.handle(body));
        assert_counts(&mut node, &mut store, 5);
        store.clear();
        for msg_id in 2..5 {
            node.send(&read(msg_id));
            let message = node.serve(|body| store.handle(body));
            match level {
                // Its reads may be stale.
                "sequential" => assert_eq!(message["body"]["value"], 5, "{message}"),
                _ => assert_eq!(message["body"]["code"], 11, "{level}: {message}"),
            }
        }
    }
}

#[test]
fn a_new_incarnation_counts_from_nothing_when_its_store_has_forgotten() {
    for level in LEVELS {
        let mut store = Store::default();
        let mut node = impatient_counter(level);
        node.send(&add(1));
        node.serve(|body| store.handle(body));
        store.clear();
        drop(node);
        let mut node = impatient_counter(level);
        assert_counts(&mut node, &mut store, 0);
        node.send(&add(1));
        let message = node.serve(|body| store.handle(body));
        assert_eq!(message["body"]["type"], "add_ok", "{level}: {message}");
        assert_counts(&mut node, &mut store, 5);
    }
}
