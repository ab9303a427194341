//! Whatever happens to messages and nodes, every acknowledged add counts once and every read is as right as its level
//! promises: whole clusters of the real state machines in virtual time, one seed a run.

mod cluster;

use cluster::{Network, Outcome, World};
use eddy::workload::g_counter::{Consistency, Options};

const NODES: usize = 3;
const CLIENTS: usize = 6;
const FAULTS_END_MS: u64 = 8_000;
const LAST_ADD_MS: u64 = 10_000;
/// Between the last add and the final reads: longer than an operation and a late message take.
const REST_MS: u64 = 15_000;
const KILLS: u64 = 4;

/// A run with faults, clients that do now and then what `invoke` says, rest, and a read by every client at the end.
fn run(options: Options, network: Network, seed: u64, invoke: impl Fn(&mut World, usize)) -> World {
    println!("{options:?}, {network:?}, seed {seed}");
    let mut world = World::new(options.clone(), NODES, CLIENTS, seed);
    let final_read_ms = LAST_ADD_MS + REST_MS + 2 * network.late_ms.end;
    world.network = network;
    let mut kills: Vec<u64> = (0..KILLS)
        .map(|_| world.random.below(FAULTS_END_MS))
        .collect();
    kills.sort_unstable();
    while world.now_ms < LAST_ADD_MS {
        if world.now_ms == FAULTS_END_MS {
            world.network = Network::good(0..20);
        }
        if kills.first() == Some(&world.now_ms) {
            kills.remove(0);
            let node = world.random.below(NODES as u64) as usize;
            world.kill(node);
        }
        if world.random.below(10) == 0 {
            let client = world.random.below(CLIENTS as u64) as usize;
            invoke(&mut world, client);
        }
        world.step();
    }
    world.rest_until(final_read_ms);
    if options.consistency == Consistency::Sequential {
        // Its plain reads may be stale for ever, but a change brings its node up to date.
        (0..CLIENTS).for_each(|client| world.invoke(client, Some(0)));
        world.rest_until(final_read_ms + 1_000);
    }
    let finals = world.read_everywhere();
    assert!(
        finals.iter().all(|value| *value == finals[0]),
        "final reads differ: {finals:?}"
    );
    for operation in &world.operations {
        assert_ne!(
            operation.outcome,
            Outcome::UnderWay,
            "never answered: {operation:?}"
        );
    }
    world
}

/// Whether `later` must not show an older state than `read` did.
fn must_follow(
    consistency: Consistency,
    read: &cluster::Operation,
    later: &cluster::Operation,
) -> bool {
    later.invoked_ms > read.completed_ms
        && (consistency == Consistency::Linearizable || later.node == read.node)
}

/// Every read lies between what was acknowledged before it began and what was asked for before it ended, no node goes
/// back, and the final reads agree on a total that some of the indeterminate adds explain.
fn counts_every_add_once(consistency: Consistency, network: Network, seed: u64) {
    let options = Options {
        consistency,
        ..Options::default()
    };
    let world = run(options, network, seed, |world, client| {
        let delta = (world.random.below(2) == 0).then(|| world.random.below(5) as i64);
        world.invoke(client, delta);
    });
    for (read, value) in world.reads() {
        let acknowledged: i64 = world
            .adds()
            .filter(|(add, _)| add.outcome == Outcome::Added && add.completed_ms < read.invoked_ms)
            .map(|(_, delta)| delta)
            .sum();
        let asked_for: i64 = world
            .adds()
            .filter(|(add, _)| {
                add.outcome != Outcome::Failed && add.invoked_ms <= read.completed_ms
            })
            .map(|(_, delta)| delta)
            .sum();
        assert!(
            acknowledged <= value,
            "misses an acknowledged add ({acknowledged}): {read:?}"
        );
        assert!(
            value <= asked_for,
            "counts more than was added ({asked_for}): {read:?}"
        );
        for (later, later_value) in world.reads() {
            assert!(
                !must_follow(consistency, read, later) || later_value >= value,
                "went back: {read:?} then {later:?}"
            );
        }
    }
}

/// Whether `read`, which began after `add` was acknowledged, must have counted it.
fn must_count(
    consistency: Consistency,
    add: &cluster::Operation,
    read: &cluster::Operation,
) -> bool {
    consistency != Consistency::Sequential || add.node == read.node
}

/// With decrements a value says nothing of the age of the state, so here every read tells which adds are in it: all
/// that were acknowledged before it began (at the sequential level, by its node), none that failed or came later, and
/// no node goes back to fewer.
fn counts_every_add_and_taking_away_once(consistency: Consistency, seed: u64) {
    let options = Options {
        consistency,
        decrements: true,
        ..Options::default()
    };
    let world = run(options, Network::BAD, seed, |world, client| {
        match world.random.below(10) {
            0 => world.add_apart(client),
            _ => world.invoke(client, None),
        };
    });
    let reads: Vec<_> = world
        .reads()
        .map(|(read, value)| (read, world.counted(value)))
        .collect();
    for (read, counted) in &reads {
        for (add, is_counted) in world.operations.iter().zip(counted) {
            let must = add.outcome == Outcome::Added
                && add.completed_ms < read.invoked_ms
                && must_count(consistency, add, read);
            let may = add.outcome != Outcome::Failed && add.invoked_ms <= read.completed_ms;
            let is_add = add.delta.is_some_and(|delta| delta != 0);
            assert!(*is_counted || !(must && is_add), "misses {add:?}: {read:?}");
            assert!(may || !is_counted, "should not have {add:?}: {read:?}");
        }
        for (later, later_counted) in &reads {
            let mut both = counted.iter().zip(later_counted);
            assert!(
                !must_follow(consistency, read, later)
                    || both.all(|(before, after)| before <= after),
                "went back: {read:?} then {later:?}"
            );
        }
    }
}

#[test]
fn regular_counts_every_add_once_while_messages_are_lost_doubled_and_late_and_nodes_die() {
    (0..1000).for_each(|seed| counts_every_add_once(Consistency::Regular, Network::BAD, seed));
}

#[test]
fn linearizable_counts_every_add_once_while_messages_are_lost_doubled_and_late_and_nodes_die() {
    (0..1000).for_each(|seed| counts_every_add_once(Consistency::Linearizable, Network::BAD, seed));
}

/// Levels whose reads during the run are as right as the final ones.
const UP_TO_DATE: [Consistency; 2] = [Consistency::Regular, Consistency::Linearizable];

#[test]
fn a_store_that_answers_after_half_a_minute_loses_and_doubles_nothing() {
    let network = Network {
        late_percent: 100,
        late_ms: 15_000..15_001,
        ..Network::good(0..20)
    };
    for consistency in UP_TO_DATE {
        (0..10).for_each(|seed| counts_every_add_once(consistency, network.clone(), seed));
    }
}

#[test]
fn a_store_that_is_asked_and_answers_everything_twice_counts_once() {
    let network = Network {
        doubled_percent: 100,
        ..Network::good(0..20)
    };
    for consistency in UP_TO_DATE {
        (0..50).for_each(|seed| counts_every_add_once(consistency, network.clone(), seed));
    }
}

#[test]
fn questions_and_answers_may_overtake_each_other() {
    for consistency in UP_TO_DATE {
        (0..50).for_each(|seed| counts_every_add_once(consistency, Network::good(0..500), seed));
    }
}

#[test]
fn regular_counts_up_and_down_once_and_never_goes_back_to_an_older_state() {
    (0..300).for_each(|seed| counts_every_add_and_taking_away_once(Consistency::Regular, seed));
}

#[test]
fn linearizable_counts_up_and_down_once_and_never_goes_back_to_an_older_state() {
    (0..300)
        .for_each(|seed| counts_every_add_and_taking_away_once(Consistency::Linearizable, seed));
}

#[test]
fn sequential_counts_up_and_down_once_and_never_goes_back_to_an_older_state() {
    (0..300).for_each(|seed| counts_every_add_and_taking_away_once(Consistency::Sequential, seed));
}
