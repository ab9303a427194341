//! The eventual counter, told anything in any order.

use std::time::Duration;

use eddy::node::Node;
use eddy::workload::GCounter;
use eddy::workload::g_counter::{Consistency, Options};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

fn start() -> Node<GCounter> {
    let options = Options {
        consistency: Consistency::Eventual,
        decrements: true,
        ..Options::default()
    };
    let mut node = Node::new(GCounter::new(options, 1));
    let init =
        json!({"type": "init", "node_id": "n0", "node_ids": ["n0", "n1", "n2"], "msg_id": 1});
    tell(&mut node, "c0", init);
    node
}

fn tell(node: &mut Node<GCounter>, src: &str, body: Value) -> Vec<Value> {
    let line = json!({"src": src, "dest": "n0", "body": body}).to_string();
    node.receive(&line, Duration::ZERO)
        .expect("it is a message");
    let output = str::from_utf8(node.output()).expect("nodes write UTF-8");
    let lines = output.lines();
    let said = lines.map(|line| serde_json::from_str(line).expect("nodes write JSON"));
    let said = said.collect();
    node.written(node.output().len());
    said
}

/// What a read is answered with at once when no answer of a peer can come any more.
fn value(mut node: Node<GCounter>) -> Value {
    tell(&mut node, "c1", json!({"type": "read", "msg_id": 1}));
    node.finish();
    let output = str::from_utf8(node.output()).expect("nodes write UTF-8");
    let answer = output.lines().find(|line| line.contains("read_ok"));
    let answer = answer.expect("every read is answered");
    let answer: Value = serde_json::from_str(answer).expect("nodes write JSON");
    answer["body"]["value"].clone()
}

/// States that one incarnation of a node went through: each has a total of its own, decided by incarnation and epoch.
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
        let said = tell(&mut node, &src, question(head, entries));
        assert_eq!(said[0]["body"]["type"], "gossip_ok");
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
    /// In any order and as often as one likes: what counts is the newest state of each incarnation.
    #[test]
    fn merging_keeps_the_newest_state_of_each_incarnation(states in states(), again in states()) {
        let mut newest = std::collections::BTreeMap::new();
        for (node, incarnation, epoch) in &states {
            let epoch_so_far = newest.entry((*node, *incarnation)).or_insert(*epoch);
            *epoch_so_far = (*epoch_so_far).max(*epoch);
        }
        let sum: i64 = newest.iter().map(|((node, incarnation), epoch)| total(*node, *incarnation, *epoch)).sum();
        // Repeats, and older states than are known, change nothing.
        let mut told = states.clone();
        told.extend(again.into_iter().filter(|(node, incarnation, epoch)| {
            newest.get(&(*node, *incarnation)).is_some_and(|newest| epoch <= newest)
        }));
        prop_assert_eq!(hear(&told), sum);
        told.reverse();
        prop_assert_eq!(hear(&told), sum);
    }

    /// Whatever a peer says, it is answered once, and what was counted here stays.
    #[test]
    fn any_news_is_answered_once_and_takes_nothing_away(
        whole in odd_json(),
        entries in odd_json(),
        entry in vec(odd_json(), 0..5),
        numbers in any::<(u64, u64, u64)>(),
    ) {
        let mut node = start();
        tell(&mut node, "c1", json!({"type": "add", "delta": 5, "msg_id": 1}));
        let (incarnation, after, end) = numbers;
        let head = json!({"incarnation": incarnation, "after": after, "end": end, "peer": end, "received": after});
        for (head, entries) in [(whole, json!([])), (head.clone(), entries), (head, json!(entry))] {
            let body = question(head, entries);
            let said = tell(&mut node, "n1", body.clone());
            prop_assert_eq!(said.len(), 1);
            let is_good = said[0]["body"]["type"] == "gossip_ok";
            prop_assert!(is_good || said[0]["body"]["code"] == 12, "{:?}", said);
            let mut answer = body;
            answer["type"] = json!("gossip_ok");
            answer["in_reply_to"] = json!(1);
            prop_assert!(tell(&mut node, "n1", answer).is_empty());
            let nothing = question(json!({"incarnation": 1}), json!([]));
            let entries = &tell(&mut node, "n2", nothing)[0]["body"]["entries"];
            let mut entries = entries.as_array().expect("entries are an array").chunks(4);
            prop_assert!(entries.any(|own| own[0] == "n0" && own[2] == 5 && own[3] == 1));
        }
    }
}
