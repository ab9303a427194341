//! Nodes at their start. None sends to a node that has not joined the network, which on Maelstrom would silence it. A
//! node that restarts after a crash recovers its contents even if it gets no request.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use crate::world::World;
use eddy::gossip::{self, Topology};
use eddy::node::Workload;
use eddy::workload::g_counter::{self, Consistency};
use eddy::workload::{Broadcast, GCounter, TxnRwRegister};
use serde_json::{Value, json};

/// The number of numbers to add, from 0 on. Their powers of two fit into a counter.
const NUMBERS: u64 = 50;

/// The time from its start in which a node without requests recovers everything. Without a message from the others it
/// would begin to send after 10 s.
const CATCH_UP_MS: u64 = 6_000;

/// A workload in which nodes hold a set of numbers.
struct Kind<W> {
    make: Rc<dyn Fn(u64) -> W>,
    /// The body of a request that adds a number.
    add: fn(u64) -> Value,
    /// The body of a request that reads all numbers.
    read: fn() -> Value,
    /// The numbers in the reply to that.
    numbers: fn(&Value) -> BTreeSet<u64>,
}

fn elements(list: &Value) -> BTreeSet<u64> {
    let list = list.as_array().expect("a list");
    list.iter()
        .map(|element| element.as_u64().expect("a number"))
        .collect()
}

fn broadcast(topology: Topology) -> Kind<Broadcast> {
    Kind {
        make: Rc::new(move |seed| Broadcast::new(spread_over(topology), seed)),
        add: |number| json!({"type": "broadcast", "message": number, "msg_id": 1}),
        read: || json!({"type": "read", "msg_id": 1}),
        numbers: |answer| elements(&answer["messages"]),
    }
}

fn spread_over(topology: Topology) -> gossip::Options {
    gossip::Options {
        topology,
        ..gossip::Options::default()
    }
}

fn g_set() -> Kind<Broadcast> {
    Kind {
        make: Rc::new(|seed| Broadcast::g_set(spread_over(Topology::Star), seed)),
        add: |number| json!({"type": "add", "element": number, "msg_id": 1}),
        read: || json!({"type": "read", "msg_id": 1}),
        numbers: |answer| elements(&answer["value"]),
    }
}

fn txn_rw_register() -> Kind<TxnRwRegister> {
    Kind {
        make: Rc::new(|seed| TxnRwRegister::new(spread_over(Topology::Tree), seed)),
        add: |number| json!({"type": "txn", "txn": [["w", number, number]], "msg_id": 1}),
        read: || {
            let reads = (0..NUMBERS).map(|number| json!(["r", number, null]));
            json!({"type": "txn", "txn": reads.collect::<Vec<_>>(), "msg_id": 1})
        },
        numbers: |answer| {
            let reads = answer["txn"].as_array().expect("a list");
            reads.iter().filter_map(|read| read[2].as_u64()).collect()
        },
    }
}

fn counter(consistency: Consistency) -> Kind<GCounter> {
    let options = g_counter::Options {
        consistency,
        service: "lin-kv".into(),
        // Too short for a reply of a peer, so that reads show what the node received without asking.
        read_wait: Duration::from_millis(1),
        ..g_counter::Options::default()
    };
    Kind {
        make: Rc::new(move |seed| GCounter::new(options.clone(), seed)),
        add: |number| json!({"type": "add", "delta": 1_u64 << number, "msg_id": 1}),
        read: || json!({"type": "read", "msg_id": 1}),
        numbers: |answer| {
            let sum = answer["value"].as_u64().expect("a sum");
            (0..NUMBERS)
                .filter(|number| sum >> number & 1 == 1)
                .collect()
        },
    }
}

fn eventual() -> Kind<GCounter> {
    counter(Consistency::Eventual)
}

fn linearizable() -> Kind<GCounter> {
    counter(Consistency::Linearizable)
}

struct Run<W> {
    kind: Kind<W>,
    nodes: usize,
    world: World<W>,
}

impl<W: Workload + 'static> Run<W> {
    /// Nodes that join the network one after the other, in any order and up to 400 ms apart.
    fn start(kind: Kind<W>, nodes: usize, seed: u64) -> Self {
        let make = kind.make.clone();
        let mut world = World::before_start(nodes, seed, move |seed| make(seed));
        world.latency_ms = 20;
        world.is_tracing = true;
        let mut to_join: Vec<usize> = (0..nodes).collect();
        while !to_join.is_empty() {
            let next = world.random.below(to_join.len() as u64) as usize;
            world.join(to_join.swap_remove(next));
            for _ in 0..world.random.below(400) {
                world.step();
            }
        }
        Run { kind, nodes, world }
    }

    fn rest(&mut self, time_ms: u64) {
        for _ in 0..time_ms {
            self.world.step();
        }
    }

    /// Adds the numbers on all nodes, several at a time, and waits until every node has all of them.
    fn add_all(&mut self) {
        for number in 0..NUMBERS {
            let node = self.world.random.below(self.nodes as u64) as usize;
            self.world.send("c1", node, (self.kind.add)(number));
            self.rest(10);
        }
        self.rest(3_000);
    }

    #[track_caller]
    fn assert_complete(&mut self, node: usize) {
        self.world.send("c2", node, (self.kind.read)());
        let answer = (0..5_000).find_map(|_| {
            let answers = self.world.step();
            answers.into_iter().find(|answer| answer.client == "c2")
        });
        let answer = answer.expect("every read is answered").body;
        let all: BTreeSet<u64> = (0..NUMBERS).collect();
        assert_eq!((self.kind.numbers)(&answer), all, "n{node}");
    }
}

fn nodes_that_join_one_after_the_other_speak_to_none_too_early<W: Workload + 'static>(
    kind: fn() -> Kind<W>,
) {
    for seed in 0..20 {
        println!("seed {seed}");
        let mut run = Run::start(kind(), 5, seed);
        // All nodes have answered their `init`; only now clients begin.
        run.add_all();
        (0..5).for_each(|node| run.assert_complete(node));
        assert!(!run.world.trace.is_empty(), "no node speaks to another");
    }
}

#[test]
fn broadcasting_nodes_speak_to_none_that_has_not_joined() {
    nodes_that_join_one_after_the_other_speak_to_none_too_early(|| broadcast(Topology::Star));
    nodes_that_join_one_after_the_other_speak_to_none_too_early(|| broadcast(Topology::Tree));
    nodes_that_join_one_after_the_other_speak_to_none_too_early(|| broadcast(Topology::Offered));
}

#[test]
fn nodes_with_a_set_speak_to_none_that_has_not_joined() {
    nodes_that_join_one_after_the_other_speak_to_none_too_early(g_set);
}

#[test]
fn nodes_with_registers_speak_to_none_that_has_not_joined() {
    nodes_that_join_one_after_the_other_speak_to_none_too_early(txn_rw_register);
}

#[test]
fn eventual_counters_speak_to_none_that_has_not_joined() {
    nodes_that_join_one_after_the_other_speak_to_none_too_early(eventual);
}

#[test]
fn linearizable_counters_speak_to_none_that_has_not_joined() {
    nodes_that_join_one_after_the_other_speak_to_none_too_early(linearizable);
}

/// Kills one node, or two at once, so that the first message to one of them comes from one that knows nothing.
fn a_node_that_is_started_again_and_asked_nothing_learns_everything<W: Workload + 'static>(
    kind: fn() -> Kind<W>,
) {
    for seed in 0..20 {
        println!("seed {seed}");
        let mut run = Run::start(kind(), 5, seed);
        run.add_all();
        run.rest(5_000);
        let killed = [0, 1].map(|_| run.world.random.below(5) as usize);
        killed.into_iter().for_each(|node| run.world.kill(node));
        run.rest(CATCH_UP_MS);
        killed
            .into_iter()
            .for_each(|node| run.assert_complete(node));
    }
}

#[test]
fn a_broadcasting_node_that_is_started_again_learns_everything_unasked() {
    a_node_that_is_started_again_and_asked_nothing_learns_everything(|| broadcast(Topology::Star));
    a_node_that_is_started_again_and_asked_nothing_learns_everything(|| broadcast(Topology::Tree));
    a_node_that_is_started_again_and_asked_nothing_learns_everything(|| {
        broadcast(Topology::Offered)
    });
}

#[test]
fn a_node_with_a_set_that_is_started_again_learns_everything_unasked() {
    a_node_that_is_started_again_and_asked_nothing_learns_everything(g_set);
}

#[test]
fn a_node_with_registers_that_is_started_again_learns_everything_unasked() {
    a_node_that_is_started_again_and_asked_nothing_learns_everything(txn_rw_register);
}

#[test]
fn an_eventual_counter_that_is_started_again_learns_everything_unasked() {
    a_node_that_is_started_again_and_asked_nothing_learns_everything(eventual);
}

#[test]
fn a_node_that_hears_nothing_begins_to_speak_after_ten_seconds() {
    let mut run = Run::start(g_set(), 3, 1);
    run.rest(8_000);
    assert_eq!(run.world.messages, 0);
    run.rest(2_000);
    assert!(run.world.messages > 0);
}
