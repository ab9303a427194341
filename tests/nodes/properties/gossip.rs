//! The eventual counter under arbitrary gossip in any order.

use std::time::Duration;

use eddy::node::Node;
use eddy::workload::GCounter;
use eddy::workload::g_counter::{Consistency, Options};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::driver::Driver;

fn start() -> Driver<GCounter> {
    let options = Options {
        consistency: Consistency::Eventual,
        decrements: true,
        ..Options::default()
    };
    Driver::start("n0", Node::new(GCounter::new(options, 1)), Duration::ZERO)
}

/// The reply to a read when the node can't wait for its peers.
fn value(mut node: Driver<GCounter>) -> Value {
    node.send(0, "c1", json!({"type": "read", "msg_id": 1}));
    node.0.finish();
    let replies = node.output();
    let read_ok = replies
        .iter()
        .find(|reply| reply["body"]["type"] == "read_ok");
    read_ok.expect("every read is answered")["body"]["value"].clone()
}

/// States of incarnations of nodes. The total of a state follows from its node, incarnation and epoch.
fn states() -> impl Strategy<Value = Vec<(usize, u64, u64)>> {
    vec((0..3usize, 2..4u64, 1..20u64), 0..40)
}

fn total(node: usize, incarnation: u64, epoch: u64) -> i64 {
    (node as i64 - 1) * 100 + incarnation as i64 * 10 - (epoch as i64 * 7) % 13
}

fn question(head: Value, entries: Value) -> Value {
    json!({"type": "gossip", "msg_id": 1, "gossip": head, "entries": entries})
}

fn hear(states: &[(usize, u64, u64)]) -> Value {
    let mut node = start();
    for (teller, (owner, incarnation, epoch)) in states.iter().enumerate() {
        let total = total(*owner, *incarnation, *epoch);
        let entries = json!([format!("n{owner}"), incarnation, total, epoch]);
        let head = json!({"incarnation": 1, "after": 0, "end": epoch});
        let src = format!("n{}", 1 + teller % 2);
        let messages = node.send(0, &src, question(head, entries));
        assert_eq!(messages[0]["body"]["type"], "gossip_ok");
    }
    value(node)
}

fn odd_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "n[0-3]".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec(("[a-z]{0,4}", inner), 0..4)
                .prop_map(|fields| Value::from(serde_json::Map::from_iter(fields))),
        ]
    })
}

proptest! {
    /// The newest state of each incarnation counts, in any order and with any number of repetitions.
    #[test]
    fn merging_keeps_the_newest_state_of_each_incarnation(states in states(), again in states()) {
        let mut newest = std::collections::BTreeMap::new();
        for (node, incarnation, epoch) in &states {
            let epoch_so_far = newest.entry((*node, *incarnation)).or_insert(*epoch);
            *epoch_so_far = (*epoch_so_far).max(*epoch);
        }
        let sum: i64 = newest.iter().map(|((node, incarnation), epoch)| total(*node, *incarnation, *epoch)).sum();
        // Repeated states, and states older than the known ones, change nothing.
        let mut received = states.clone();
        received.extend(again.into_iter().filter(|(node, incarnation, epoch)| {
            newest.get(&(*node, *incarnation)).is_some_and(|newest| epoch <= newest)
        }));
        prop_assert_eq!(hear(&received), sum);
        received.reverse();
        prop_assert_eq!(hear(&received), sum);
    }

    /// Any gossip is answered exactly once, and no own count is lost.
    #[test]
    fn any_news_is_answered_once_and_takes_nothing_away(
        whole in odd_json(),
        entries in odd_json(),
        entry in vec(odd_json(), 0..5),
        numbers in any::<(u64, u64, u64)>(),
    ) {
        let mut node = start();
        node.send(0, "c1", json!({"type": "add", "delta": 5, "msg_id": 1}));
        let (incarnation, after, end) = numbers;
        let head = json!({"incarnation": incarnation, "after": after, "end": end, "peer": end, "received": after});
        for (head, entries) in [(whole, json!([])), (head.clone(), entries), (head, json!(entry))] {
            let body = question(head, entries);
            let messages = node.send(0, "n1", body.clone());
            prop_assert_eq!(messages.len(), 1);
            let is_good = messages[0]["body"]["type"] == "gossip_ok";
            prop_assert!(is_good || messages[0]["body"]["code"] == 12, "{:?}", messages);
            let mut answer = body;
            answer["type"] = json!("gossip_ok");
            answer["in_reply_to"] = json!(1);
            prop_assert!(node.send(0, "n1", answer).is_empty());
            let nothing = question(json!({"incarnation": 1}), json!([]));
            let entries = &node.send(0, "n2", nothing)[0]["body"]["entries"];
            let mut entries = entries.as_array().expect("entries are an array").chunks(4);
            prop_assert!(entries.any(|own| own[0] == "n0" && own[2] == 5 && own[3] == 1));
        }
    }
}
