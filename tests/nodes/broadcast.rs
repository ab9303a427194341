//! Broadcast: every node gets every value through all faults, within limits on messages and latency.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::world::run::{Operation, Run};
use crate::world::{Faults, World};
use eddy::gossip::{Options, Topology};
use eddy::workload::Broadcast;
use serde_json::{Value, json};

fn options(topology: Topology, batch_ms: u64) -> Options {
    Options {
        topology,
        batch: Duration::from_millis(batch_ms),
        ..Options::default()
    }
}

/// The grid that Maelstrom offers.
fn grid(nodes: usize) -> Value {
    let side = (1..).find(|side| side * side >= nodes).expect("no end");
    let neighbours = |node: usize| {
        let mut ids = Vec::new();
        if !node.is_multiple_of(side) {
            ids.push(node - 1);
        }
        if node % side + 1 < side && node + 1 < nodes {
            ids.push(node + 1);
        }
        ids.extend(node.checked_sub(side));
        ids.extend(Some(node + side).filter(|below| *below < nodes));
        ids.into_iter().map(crate::world::name).collect::<Vec<_>>()
    };
    let rows = (0..nodes).map(|node| (crate::world::name(node), json!(neighbours(node))));
    Value::Object(rows.collect())
}

impl Run<Broadcast> {
    /// A cluster in which every node has been offered the grid.
    fn on_grid(nodes: usize, seed: u64, options: Options) -> Self {
        let mut run = Run::without_topology(nodes, seed, options);
        (0..nodes).for_each(|node| run.offer(node, grid(nodes)));
        run
    }

    /// A cluster with one client for each node.
    fn without_topology(nodes: usize, seed: u64, options: Options) -> Self {
        Run::new(nodes, nodes, seed, move |seed| {
            Broadcast::new(options.clone(), seed)
        })
    }

    fn offer(&mut self, node: usize, topology: Value) {
        self.invoke(node, json!({"type": "topology", "topology": topology}));
    }

    /// One hundred operations a second on random nodes, one half of them reads.
    fn load(&mut self, time_ms: u64) {
        for _ in 0..time_ms {
            if self.world.now_ms.is_multiple_of(10) {
                let is_read = self.world.random.below(2) == 1;
                let node = self.world.random.below(self.nodes as u64) as usize;
                let body = match is_read {
                    true => json!({"type": "read"}),
                    false => json!({"type": "broadcast", "message": self.operations.len()}),
                };
                self.invoke(node, body);
            }
            self.step();
        }
    }

    /// The acknowledged values, each with the time of its acknowledgement.
    fn acknowledged_ms(&self) -> BTreeMap<u64, u64> {
        let broadcasts = self.operations.iter();
        let broadcasts = broadcasts.filter(|operation| operation.ok("broadcast").is_some());
        broadcasts
            .map(|broadcast| (number(&broadcast.body["message"]), broadcast.completed_ms))
            .collect()
    }

    /// The values that each node returns to a last read.
    fn read_all(&mut self) -> Vec<BTreeSet<u64>> {
        let first = self.operations.len();
        (0..self.nodes).for_each(|node| self.invoke(node, json!({"type": "read"})));
        self.rest(5);
        let finals: Vec<_> = self.operations[first..].iter().filter_map(values).collect();
        assert_eq!(finals.len(), self.nodes);
        finals
    }

    fn assert_nothing_lost(&mut self) {
        let acknowledged: BTreeSet<u64> = self.acknowledged_ms().into_keys().collect();
        assert!(acknowledged.len() > 100, "hardly anything was broadcast");
        for (node, seen) in self.read_all().iter().enumerate() {
            let missing: Vec<_> = acknowledged.difference(seen).collect();
            assert!(missing.is_empty(), "n{node} lacks {missing:?}");
        }
    }

    /// The time from the acknowledgement of a value to the last read that lacked it: the median and the maximum, in ms.
    fn stable_latencies(&self) -> (u64, u64) {
        let mut latencies_ms: BTreeMap<u64, u64> = BTreeMap::new();
        let acknowledged_ms = self.acknowledged_ms();
        for read in &self.operations {
            let Some(seen) = values(read) else { continue };
            for (value, at_ms) in &acknowledged_ms {
                let latency_ms = latencies_ms.entry(*value).or_default();
                if !seen.contains(value) {
                    *latency_ms = read.invoked_ms.saturating_sub(*at_ms);
                }
            }
        }
        let mut latencies_ms: Vec<u64> = latencies_ms.into_values().collect();
        latencies_ms.sort_unstable();
        (
            latencies_ms[latencies_ms.len() / 2],
            latencies_ms[latencies_ms.len() - 1],
        )
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("what was broadcast")
}

/// The values that a read returned, each once; `None` for any other operation.
fn values(operation: &Operation) -> Option<BTreeSet<u64>> {
    let values = operation.ok("read")?["messages"].as_array();
    let values = values.expect("an array");
    let seen: BTreeSet<u64> = values.iter().map(number).collect();
    assert_eq!(seen.len(), values.len(), "a value is there twice");
    Some(seen)
}

/// Median and maximum stable latency in ms, and messages between servers per operation, with the parameters of the
/// challenge: 25 nodes, 100 ms, 100 operations a second.
fn figures(options: Options) -> (u64, u64, f64) {
    let mut run = Run::on_grid(25, 1, options);
    run.world.latency_ms = 100;
    run.load(20_000);
    run.rest(5_000);
    run.assert_nothing_lost();
    let (median_ms, max_ms) = run.stable_latencies();
    let operations = run.operations.iter();
    let operations = operations.filter(|operation| operation.kind() != "topology");
    let messages_per_operation = run.world.messages as f64 / operations.count() as f64;
    println!(
        "median {median_ms} ms, maximum {max_ms} ms, {messages_per_operation:.2} messages an operation"
    );
    (median_ms, max_ms, messages_per_operation)
}

#[test]
fn the_fast_setting_keeps_to_its_figures() {
    let (median_ms, max_ms, messages) = figures(options(Topology::Star, 100));
    assert!(median_ms < 300);
    assert!(max_ms <= 400);
    assert!(messages < 4.0);
}

#[test]
fn the_frugal_setting_keeps_to_its_figures() {
    let (median_ms, max_ms, messages) = figures(options(Topology::Star, 700));
    assert!(median_ms < 1000);
    assert!(max_ms <= 1600);
    assert!(messages < 1.0);
}

#[test]
fn the_other_topologies_keep_to_the_challenge_too() {
    for (topology, batch_ms) in [(Topology::Tree, 50), (Topology::Offered, 50)] {
        let (_, _, messages) = figures(options(topology, batch_ms));
        assert!(messages < 30.0);
    }
}

#[test]
fn in_a_tree_no_value_is_sent_to_a_node_that_has_it() {
    for topology in [Topology::Star, Topology::Tree] {
        let mut run = Run::on_grid(25, 7, options(topology, 100));
        run.world.latency_ms = 100;
        run.world.is_tracing = true;
        run.load(5_000);
        run.rest(5_000);
        run.assert_nothing_lost();
        let mut times_sent = BTreeMap::new();
        for (_, dest, body) in &run.world.trace {
            for value in body["entries"].as_array().into_iter().flatten() {
                *times_sent
                    .entry((dest.clone(), value.to_string()))
                    .or_insert(0) += 1;
            }
        }
        assert!(times_sent.values().all(|times| *times == 1));
        assert_eq!(times_sent.len(), run.acknowledged_ms().len() * 24);
    }
}

#[test]
fn when_nothing_happens_one_heartbeat_is_sent_on_each_link_every_three_seconds() {
    for topology in [Topology::Star, Topology::Tree] {
        let mut run = Run::on_grid(25, 3, options(topology, 100));
        run.world.latency_ms = 100;
        run.load(5_000);
        run.rest(5_000);
        let before = run.world.messages;
        run.rest(60_000);
        let heartbeats = run.world.messages - before;
        assert!((24 * 19..=24 * 21).contains(&heartbeats), "{heartbeats}");
    }
}

#[test]
fn everything_arrives_within_six_seconds_of_a_partition_even_of_the_first_node() {
    for seed in 0..30 {
        for topology in [Topology::Star, Topology::Tree, Topology::Offered] {
            println!("{topology:?}, seed {seed}");
            let mut run = Run::on_grid(9, seed, options(topology, 100));
            run.world.latency_ms = 20;
            for _ in 0..3 {
                run.load(1_000);
                for node in 0..9 {
                    run.world.sides[node] = run.world.random.below(2);
                }
                run.load(4_000);
                run.world.sides.fill(0);
            }
            run.world.sides = (0..9).collect();
            run.load(3_000);
            run.world.sides.fill(0);
            run.rest(6_000);
            run.assert_nothing_lost();
        }
    }
}

#[test]
fn nothing_is_lost_while_messages_are_lost_doubled_and_late() {
    for seed in 0..150 {
        let topology = [Topology::Star, Topology::Tree, Topology::Offered][seed as usize % 3];
        println!("{topology:?}, seed {seed}");
        let mut run = Run::on_grid(5, seed, options(topology, 50));
        run.world.jitter_ms = 30;
        run.world.faults = Faults {
            lost: 20,
            doubled: 20,
            late: 10,
        };
        run.load(8_000);
        run.world.faults = Faults::default();
        run.rest(8_000);
        run.assert_nothing_lost();
    }
}

#[test]
fn a_killed_node_catches_up_and_all_agree() {
    for seed in 0..150 {
        let topology = [Topology::Star, Topology::Tree, Topology::Offered][seed as usize % 3];
        println!("{topology:?}, seed {seed}");
        let mut run = Run::on_grid(5, seed, options(topology, 50));
        run.world.jitter_ms = 30;
        run.load(2_000);
        run.rest(3_000);
        let spread = run.acknowledged_ms();
        run.world.faults = Faults {
            lost: 10,
            doubled: 10,
            late: 20,
        };
        for _ in 0..3 {
            run.load(1_000);
            run.kill_any();
        }
        run.world.faults = Faults::default();
        run.rest(10_000);
        let finals = run.read_all();
        assert!(
            finals.iter().all(|seen| *seen == finals[0]),
            "nodes disagree"
        );
        assert!(spread.keys().all(|value| finals[0].contains(value)));
    }
}

/// Maelstrom sends a topology once, and not again to a node that restarts. Here some nodes get it before the values,
/// some after them, some get one that does not name them, and some none.
#[test]
fn a_topology_that_comes_late_or_never_loses_nothing() {
    for seed in 0..100 {
        println!("seed {seed}");
        let options = options(Topology::Offered, 50);
        let mut run = Run::without_topology(9, seed, options);
        let mut late = Vec::new();
        for node in 0..9 {
            match run.world.random.below(4) {
                0 => run.offer(node, grid(9)),
                1 => late.push(node),
                2 => run.offer(node, json!({})),
                _ => {}
            }
        }
        run.load(3_000);
        late.into_iter().for_each(|node| run.offer(node, grid(9)));
        run.load(1_000);
        run.rest(6_000);
        let killed = run.world.random.below(9) as usize;
        run.kill(killed);
        run.rest(6_000);
        run.assert_nothing_lost();
    }
}

#[test]
fn values_are_any_json_returned_unchanged_and_compared_by_meaning() {
    let mut world = World::new(2, 1, |seed| Broadcast::g_set(Options::default(), seed));
    let elements = [
        json!(null),
        json!(0),
        json!("0"),
        json!(0.5),
        json!([1, {"b": [], "a": "ü\n"}]),
        json!(false),
        json!(-3),
    ];
    for element in &elements {
        world.send(
            "c1",
            0,
            json!({"type": "add", "element": element, "msg_id": 1}),
        );
        world.send(
            "c1",
            1,
            json!({"type": "add", "element": element, "msg_id": 1}),
        );
    }
    for _ in 0..2_000 {
        assert!(
            world
                .step()
                .iter()
                .all(|answer| answer.body["type"] == "add_ok")
        );
    }
    for node in 0..2 {
        world.send("c1", node, json!({"type": "read", "msg_id": 1}));
        assert_eq!(world.step()[0].body["value"], json!(elements));
    }
}

#[test]
fn gossip_that_is_wrong_does_no_harm() {
    let mut world = World::new(3, 1, |seed| Broadcast::new(Options::default(), seed));
    world.send(
        "c1",
        0,
        json!({"type": "broadcast", "message": 1, "msg_id": 1}),
    );
    let huge = u64::MAX;
    for src in ["n1", "n0", "n9", "c1", "lin-kv"] {
        for (gossip, entries) in [
            (json!(null), json!([7])),
            (json!({}), json!([])),
            (json!({"incarnation": 1}), json!(7)),
            (
                json!({"incarnation": 1, "after": 0, "end": huge, "peer": 2, "received": huge}),
                json!([]),
            ),
            (
                json!({"incarnation": 2, "after": huge, "end": 1}),
                json!([[], {}]),
            ),
            (
                json!({"incarnation": "x", "after": -1, "end": 0.5}),
                json!([8]),
            ),
        ] {
            let body = json!({"type": "gossip", "gossip": gossip, "entries": entries});
            let mut question = body.clone();
            question["msg_id"] = json!(5);
            let mut answer = body.clone();
            answer["type"] = json!("gossip_ok");
            answer["in_reply_to"] = json!(5);
            for body in [body, question, answer] {
                world.send(src, 0, body);
            }
        }
    }
    for _ in 0..20_000 {
        world.step();
    }
    for node in 0..3 {
        world.send("c1", node, json!({"type": "read", "msg_id": 1}));
        let answers = world.step();
        let messages = answers[0].body["messages"].as_array().expect("an array");
        assert!(messages.contains(&json!(1)), "n{node} lacks it");
    }
}
