//! Whole clusters of counters at the eventual level: they answer in every partition, converge to the exact sum, lose
//! nothing that a running node has received, and send few messages.

use std::time::Duration;

use crate::world::Faults;
use crate::world::run::Run;
use eddy::node::Random;
use eddy::workload::GCounter;
use eddy::workload::g_counter::{Consistency, Options};

const FAULTS_END_MS: u64 = 4_000;
const LAST_ADD_MS: u64 = 5_000;
const FINAL_READ_MS: u64 = 9_000;
const READ_WAIT_MS: u64 = 200;

type Counters = Run<GCounter>;

fn eventual() -> Options {
    Options {
        consistency: Consistency::Eventual,
        ..Options::default()
    }
}

/// Partitions the nodes at random, or ends the partition.
fn part(run: &mut Counters) {
    for node in 0..run.nodes {
        run.world.sides[node] = run.world.random.below(2);
    }
    if run.world.random.below(3) == 0 {
        run.world.sides.fill(0);
    }
}

/// A run of five nodes with network faults and partitions, in which clients call `invoke` now and then. At the end all
/// clients rest and read. Returns the run and the value of those reads.
fn run(options: Options, seed: u64, invoke: impl Fn(&mut Counters, usize)) -> (Counters, i64) {
    println!("seed {seed}");
    let mut run = Run::counters(options, 5, 10, seed);
    run.world.faults = Faults::BAD;
    run.world.jitter_ms = 19;
    while run.world.now_ms < FAULTS_END_MS {
        part(&mut run);
        run.mix(500, 10, &invoke);
    }
    run.world.faults = Faults::default();
    run.world.sides.fill(0);
    run.mix(LAST_ADD_MS - FAULTS_END_MS, 10, &invoke);
    run.rest_until(FINAL_READ_MS);
    let value = run.read_everywhere();
    (run, value)
}

/// Asserts that every operation succeeded in time.
fn assert_available(run: &Counters) {
    for operation in &run.operations {
        assert!(operation.is_ok(), "not answered: {operation:?}");
        let took_ms = operation.completed_ms - operation.invoked_ms;
        let limit_ms = if operation.delta.is_some() {
            0
        } else {
            READ_WAIT_MS
        };
        assert!(took_ms <= limit_ms, "took {took_ms} ms: {operation:?}");
    }
}

#[test]
fn all_nodes_converge_to_the_exact_sum_whatever_is_lost_doubled_late_or_cut() {
    for seed in 0..1000 {
        let (run, value) = run(eventual(), seed, Run::count_any);
        assert_eq!(value, run.sum(|_| true));
        assert_available(&run);
        for (read, value) in run.reads() {
            let own = run.sum(|add| add.node == read.node && add.completed_ms < read.invoked_ms);
            assert!(own <= value, "{read:?}");
            let began = run.sum(|add| add.invoked_ms <= read.completed_ms);
            assert!(began >= value, "{read:?}");
        }
    }
}

/// The value of a read shows which adds it includes, and a node never loses one.
#[test]
fn counts_up_and_down_to_the_exact_sum_and_never_goes_back_to_an_older_state() {
    for seed in 0..1000 {
        let options = Options {
            decrements: true,
            ..eventual()
        };
        let invoke = |run: &mut Counters, client| run.count_apart(client, 5, true);
        let (run, value) = run(options, seed, invoke);
        assert_eq!(value, run.sum(|_| true));
        assert_available(&run);
        let reads = run.reads_apart();
        for (index, (read, counted)) in reads.iter().enumerate() {
            for (later, later_counted) in &reads[index..] {
                let follows = later.node == read.node && later.invoked_ms > read.completed_ms;
                let mut both = counted.iter().zip(later_counted);
                assert!(
                    !follows || both.all(|(before, after)| before <= after),
                    "went back: {read:?} then {later:?}"
                );
            }
        }
    }
}

/// One node is killed, twice. Each of its gossip messages with adds held all adds that the other node had not
/// acknowledged. So if it acknowledged an add before it sent a message that arrived, the final reads must include the
/// add. They must also include all adds of the nodes that run.
#[test]
fn a_killed_node_loses_at_most_what_no_other_has_heard_and_learns_the_rest_again() {
    const VICTIM: usize = 2;
    let (mut lost, mut kept) = (0, 0);
    for seed in 0..1000 {
        let mut random = Random::new(seed);
        let kills = [0, 1].map(|_| random.below(FAULTS_END_MS) / 20);
        let (run, value) = run(eventual(), seed, |run, client| {
            if kills.contains(&(run.world.now_ms / 20)) {
                run.kill(VICTIM);
            }
            run.count_apart(client, 5, false);
        });
        let counted = run.counted(value);
        let adds = run.operations.iter().zip(&counted);
        for (add, is_counted) in adds.filter(|(add, _)| add.delta.is_some()) {
            let mut kills_ms = run.kills.iter().map(|(_, at_ms)| *at_ms);
            let next_kill_ms = kills_ms.find(|at_ms| *at_ms > add.completed_ms);
            let sent_ms = add.completed_ms + 1..next_kill_ms.unwrap_or(u64::MAX);
            let mut heard = run.world.heard.iter();
            let is_heard = heard.any(|(node, at_ms)| *node == add.node && sent_ms.contains(at_ms));
            let must = add.node != VICTIM || is_heard;
            assert!(*is_counted || !must, "lost though heard: {add:?}");
            lost += u32::from(!is_counted);
            kept += u32::from(add.node == VICTIM && *is_counted);
        }
    }
    println!("{lost} adds lost, {kept} adds of the victim kept");
    assert!(
        lost > 0 && kept > 0,
        "these runs show nothing: {lost} {kept}"
    );
}

/// Random clients send requests, one every so many milliseconds.
fn count_steadily(run: &mut Counters, until_ms: u64, every_ms: u64) {
    while run.world.now_ms < until_ms {
        let client = run.world.random.below(run.clients() as u64) as usize;
        run.count_any(client);
        run.rest(every_ms);
    }
}

#[test]
fn a_node_cut_from_all_others_adds_and_reads_and_is_heard_within_two_seconds_after_heal() {
    let mut run = Run::counters(eventual(), 5, 5, 1);
    run.world.latency_ms = 10;
    run.rest_until(1_000);
    run.world.sides = vec![0, 1, 2, 3, 4];
    count_steadily(&mut run, 20_000, 50);
    assert_available(&run);
    // When the other nodes are known to be unreachable, reads do not wait for them.
    let waited = run
        .reads()
        .filter(|(read, _)| read.invoked_ms > 4_000 && read.completed_ms > read.invoked_ms);
    assert_eq!(waited.count(), 0);
    run.world.sides.fill(0);
    // A question is repeated every second; then the entries take one round trip.
    run.rest_until(22_000);
    assert_eq!(run.read_everywhere(), run.sum(|_| true));
}

/// A read that asks all peers among 25 nodes would cost 48 messages.
#[test]
fn twenty_five_nodes_converge_with_at_most_12_messages_an_operation() {
    let mut run = Run::counters(eventual(), 25, 25, 1);
    run.world.latency_ms = 100;
    count_steadily(&mut run, 20_000, 10);
    let operations = run.operations.len();
    let an_operation = run.world.messages_between_nodes as f64 / operations as f64;
    println!("{operations} operations, {an_operation:.1} messages between nodes each");
    assert!(operations > 1_500, "not busy");
    assert!(an_operation <= 12.0, "{an_operation} messages an operation");
    run.rest_until(22_000);
    assert_eq!(run.read_everywhere(), run.sum(|_| true));
}

#[test]
fn a_busy_cluster_of_five_shares_its_messages_among_many_reads() {
    let mut run = Run::counters(eventual(), 5, 50, 1);
    run.world.latency_ms = 50;
    count_steadily(&mut run, 10_000, 2);
    let an_operation = run.world.messages_between_nodes as f64 / run.operations.len() as f64;
    println!("{an_operation:.2} messages between nodes an operation");
    // A read that asks all peers would cost eight.
    assert!(an_operation <= 1.5, "{an_operation} messages an operation");
}

/// Each of 25 nodes has four neighbours, so there are 50 links between neighbours.
#[test]
fn an_idle_cluster_falls_to_one_heartbeat_a_link_every_three_seconds() {
    let mut run = Run::counters(eventual(), 25, 25, 1);
    run.world.latency_ms = 10;
    run.count(7, Some(1));
    run.rest_until(40_000);
    let before = run.world.messages_between_nodes;
    run.rest_until(100_000);
    let heartbeats = run.world.messages_between_nodes - before;
    assert!((50 * 19..=50 * 21).contains(&heartbeats), "{heartbeats}");
}

/// Each of 25 nodes has four neighbours, in the order of their names: these two are not neighbours.
#[test]
fn two_nodes_that_are_cut_from_all_their_neighbours_hear_of_each_other() {
    let options = Options {
        // Too short for any reply of a peer, so that reads show only what gossip has brought.
        read_wait: Duration::from_millis(1),
        ..eventual()
    };
    let mut run = Run::counters(options, 25, 25, 1);
    run.world.latency_ms = 10;
    run.world.sides[0] = 1;
    run.world.sides[12] = 1;
    run.count(0, Some(7));
    // Each second the node sends it to one of the 20 other nodes.
    run.rest_until(25_000);
    run.count(12, None);
    run.rest_until(25_010);
    assert_eq!(run.operations[1].value(), Some(7));
}
