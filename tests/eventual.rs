//! The eventual level in whole clusters: it answers in every partition, converges to the exact sum, loses nothing that
//! a living node has heard, and says little.

mod cluster;

use std::time::Duration;

use cluster::{Network, Outcome, World};
use eddy::workload::g_counter::{Consistency, Options};

const FAULTS_END_MS: u64 = 4_000;
const LAST_ADD_MS: u64 = 5_000;
const FINAL_READ_MS: u64 = 9_000;
const READ_WAIT_MS: u64 = 200;

fn eventual() -> Options {
    Options {
        consistency: Consistency::Eventual,
        ..Options::default()
    }
}

/// Parts the nodes at random, or brings them together again.
fn part(world: &mut World) {
    for node in 0..world.sides.len() {
        world.sides[node] = world.random.below(2) as usize;
    }
    if world.random.below(3) == 0 {
        world.sides.fill(0);
    }
}

/// A run with bad messages and partitions, clients that do now and then what `invoke` says, rest, and a read by every
/// client at the end. The answer is the value that all of those read.
fn run(world: &mut World, invoke: impl Fn(&mut World, usize)) -> i64 {
    let clients = 2 * world.sides.len();
    while world.now_ms < LAST_ADD_MS {
        match world.now_ms {
            FAULTS_END_MS => {
                world.network = Network::good(0..20);
                world.sides.fill(0);
            }
            0..FAULTS_END_MS if world.now_ms.is_multiple_of(500) => part(world),
            _ => {}
        }
        if world.random.below(10) == 0 {
            let client = world.random.below(clients as u64) as usize;
            invoke(world, client);
        }
        world.step();
    }
    world.rest_until(FINAL_READ_MS);
    let finals = world.read_everywhere();
    assert!(
        finals.iter().all(|value| *value == finals[0]),
        "final reads differ: {finals:?}"
    );
    finals[0]
}

/// Every operation was answered in time, and well.
fn assert_available(world: &World) {
    for operation in &world.operations {
        let is_good = matches!(operation.outcome, Outcome::Added | Outcome::Read(_));
        assert!(is_good, "not answered: {operation:?}");
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
        println!("seed {seed}");
        let mut world = World::new(eventual(), 5, 10, seed);
        let value = run(&mut world, |world, client| {
            let delta = (world.random.below(2) == 0).then(|| world.random.below(5) as i64);
            world.invoke(client, delta);
        });
        assert_eq!(value, world.adds().map(|(_, delta)| delta).sum::<i64>());
        assert_available(&world);
        for (read, value) in world.reads() {
            let own = world
                .adds()
                .filter(|(add, _)| add.node == read.node && add.completed_ms < read.invoked_ms);
            assert!(
                own.map(|(_, delta)| delta).sum::<i64>() <= value,
                "{read:?}"
            );
            let began = world
                .adds()
                .filter(|(add, _)| add.invoked_ms <= read.completed_ms);
            assert!(
                began.map(|(_, delta)| delta).sum::<i64>() >= value,
                "{read:?}"
            );
        }
    }
}

/// Which adds a read has counted is plain from its value here, and a node never forgets one.
#[test]
fn counts_up_and_down_to_the_exact_sum_and_never_goes_back_to_an_older_state() {
    for seed in 0..1000 {
        println!("seed {seed}");
        let options = Options {
            decrements: true,
            ..eventual()
        };
        let mut world = World::new(options, 5, 10, seed);
        let value = run(&mut world, |world, client| match world.random.below(5) {
            0 => world.add_apart(client),
            _ => world.invoke(client, None),
        });
        assert_eq!(value, world.adds().map(|(_, delta)| delta).sum::<i64>());
        assert_available(&world);
        let reads: Vec<_> = world
            .reads()
            .map(|(read, value)| (read, world.counted(value)))
            .collect();
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

/// One node dies, twice. Each message that it sent told all it knew, so an add that it acknowledged before it sent one
/// that arrived has been heard, and must be in the final reads; so must all adds of the nodes that live.
#[test]
fn a_killed_node_loses_at_most_what_no_other_has_heard_and_learns_the_rest_again() {
    const VICTIM: usize = 2;
    let (mut lost, mut kept) = (0, 0);
    for seed in 0..1000 {
        println!("seed {seed}");
        let mut world = World::new(eventual(), 5, 10, seed);
        let kills = [0, 1].map(|_| world.random.below(FAULTS_END_MS));
        let value = run(&mut world, |world, client| {
            if kills
                .iter()
                .any(|kill_ms| world.now_ms / 20 == kill_ms / 20)
            {
                world.kill(VICTIM);
            }
            match world.random.below(5) {
                0 => world.add_apart(client),
                _ => world.invoke(client, None),
            }
        });
        let counted = world.counted(value);
        let adds = world.operations.iter().zip(&counted);
        for (add, is_counted) in adds.filter(|(add, _)| add.delta.is_some()) {
            let life_ends_ms = world
                .kills
                .iter()
                .map(|(_, at_ms)| *at_ms)
                .find(|at_ms| *at_ms > add.completed_ms);
            let life_ends_ms = life_ends_ms.unwrap_or(u64::MAX);
            let is_heard = world.heard.iter().any(|(node, sent_ms)| {
                *node == add.node && (add.completed_ms + 1..life_ends_ms).contains(sent_ms)
            });
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

#[test]
fn a_node_cut_from_all_others_adds_and_reads_and_is_heard_within_two_seconds_after_heal() {
    let mut world = World::new(eventual(), 5, 5, 1);
    world.network = Network::good(10..11);
    world.rest_until(1_000);
    world.sides = vec![0, 1, 2, 3, 4];
    while world.now_ms < 20_000 {
        if world.now_ms.is_multiple_of(50) {
            let client = world.random.below(5) as usize;
            let delta = (world.random.below(2) == 0).then_some(1);
            world.invoke(client, delta);
        }
        world.step();
    }
    assert_available(&world);
    // Once the others are known to be out of reach, nobody waits for them.
    let waited = world
        .reads()
        .filter(|(read, _)| read.invoked_ms > 4_000 && read.completed_ms > read.invoked_ms);
    assert_eq!(waited.count(), 0);
    let sum: i64 = world.adds().map(|(_, delta)| delta).sum();
    world.sides.fill(0);
    // A question is repeated every second; news then takes a round trip.
    world.rest_until(22_000);
    assert_eq!(world.read_everywhere(), [sum; 5]);
}

/// 48 messages would be the price of one read of all peers among 25 nodes.
#[test]
fn twenty_five_nodes_converge_with_at_most_12_messages_an_operation() {
    let mut world = World::new(eventual(), 25, 25, 1);
    world.network = Network::good(100..101);
    while world.now_ms < 20_000 {
        if world.now_ms.is_multiple_of(10) {
            let client = world.random.below(25) as usize;
            let delta = (world.random.below(2) == 0).then(|| world.random.below(5) as i64);
            world.invoke(client, delta);
        }
        world.step();
    }
    let operations = world.operations.len();
    let an_operation = world.between_nodes as f64 / operations as f64;
    println!("{operations} operations, {an_operation:.1} messages between nodes each");
    assert!(operations > 1_500, "not busy");
    assert!(an_operation <= 12.0, "{an_operation} messages an operation");
    let sum: i64 = world.adds().map(|(_, delta)| delta).sum();
    world.rest_until(22_000);
    assert_eq!(world.read_everywhere(), [sum; 25]);
}

#[test]
fn a_busy_cluster_of_five_shares_its_messages_among_many_reads() {
    let mut world = World::new(eventual(), 5, 50, 1);
    world.network = Network::good(50..51);
    while world.now_ms < 10_000 {
        if world.now_ms.is_multiple_of(2) {
            let client = world.random.below(50) as usize;
            let delta = (world.random.below(2) == 0).then_some(1);
            world.invoke(client, delta);
        }
        world.step();
    }
    let an_operation = world.between_nodes as f64 / world.operations.len() as f64;
    println!("{an_operation:.2} messages between nodes an operation");
    // Eight would be the price of one read of all peers.
    assert!(an_operation <= 1.5, "{an_operation} messages an operation");
}

#[test]
fn an_idle_cluster_falls_to_one_exchange_a_node_and_second() {
    let mut world = World::new(eventual(), 25, 25, 1);
    world.network = Network::good(10..11);
    world.invoke(7, Some(1));
    world.rest_until(5_000);
    let before = world.between_nodes;
    world.rest_until(15_000);
    assert_eq!(world.between_nodes - before, 10 * 25 * 2);
}

/// Of 25 nodes each has four neighbours, in the order of their names: these two are none of each other.
#[test]
fn two_nodes_that_are_cut_from_all_their_neighbours_hear_of_each_other() {
    let options = Options {
        // Too short for any answer, so that reads tell only what gossip has brought.
        read_wait: Duration::from_millis(1),
        ..eventual()
    };
    let mut world = World::new(options, 25, 25, 1);
    world.network = Network::good(10..11);
    world.sides[0] = 1;
    world.sides[12] = 1;
    world.invoke(0, Some(7));
    // A heartbeat goes to one of 24 peers each second.
    world.rest_until(25_000);
    world.invoke(12, None);
    world.rest_until(25_010);
    assert_eq!(world.operations[1].outcome, Outcome::Read(7));
}
