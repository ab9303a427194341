//! Every acknowledged add counts once, and every read is as right as its level promises, through all faults of
//! messages and nodes: whole clusters of the real state machines in virtual time, one seed per run.

use crate::world::run::{Operation, Outcome, Run};
use crate::world::{Faults, World};
use eddy::workload::GCounter;
use eddy::workload::g_counter::{Consistency, Options};

const NODES: usize = 3;
const CLIENTS: usize = 6;
const FAULTS_END_MS: u64 = 8_000;
const LAST_ADD_MS: u64 = 10_000;
/// The time between the last add and the final reads: longer than an operation and a late message take.
const REST_MS: u64 = 20_000;
const KILLS: u64 = 4;

/// A run in which `network` sets the faults, nodes are killed, and clients call `invoke` now and then. At the end all
/// clients rest and read.
fn run(
    options: Options,
    network: impl Fn(&mut World<GCounter>),
    seed: u64,
    invoke: impl Fn(&mut Run<GCounter>, usize),
) -> Run<GCounter> {
    println!("{options:?}, seed {seed}");
    let mut run = Run::counters(options.clone(), NODES, CLIENTS, seed);
    network(&mut run.world);
    let final_read_ms = LAST_ADD_MS + REST_MS + 2 * run.world.latency_ms;
    let mut kills: Vec<u64> = (0..KILLS)
        .map(|_| run.world.random.below(FAULTS_END_MS))
        .collect();
    kills.sort_unstable();
    for kill_ms in kills {
        let time_ms = kill_ms.saturating_sub(run.world.now_ms);
        run.mix(time_ms, 10, &invoke);
        run.kill_any();
    }
    run.mix(FAULTS_END_MS - run.world.now_ms, 10, &invoke);
    run.world.faults = Faults::default();
    (run.world.latency_ms, run.world.jitter_ms) = (0, 19);
    run.mix(LAST_ADD_MS - FAULTS_END_MS, 10, &invoke);
    run.rest_until(final_read_ms);
    if options.consistency == Consistency::Sequential {
        // Plain reads of this level may be stale for ever, but a change brings the node up to date.
        (0..CLIENTS).for_each(|client| run.count(client, Some(0)));
        run.rest(1_000);
    }
    run.read_everywhere();
    run.assert_answered();
    run
}

/// One message in ten is lost, one in ten is repeated, one in ten is up to two seconds late.
fn bad(world: &mut World<GCounter>) {
    world.faults = Faults::BAD;
    world.jitter_ms = 19;
}

/// Whether `later` must not return an older state than `read`.
fn must_follow(consistency: Consistency, read: &Operation, later: &Operation) -> bool {
    later.invoked_ms > read.completed_ms
        && (consistency == Consistency::Linearizable || later.node == read.node)
}

/// Every read returns at least the adds acknowledged before it began and at most those invoked before it ended, the
/// values of one node never decrease, and the final reads agree on a total that some of the indeterminate adds
/// explain.
fn counts_every_add_once(
    consistency: Consistency,
    network: impl Fn(&mut World<GCounter>),
    seed: u64,
) {
    let options = Options {
        consistency,
        ..Options::default()
    };
    let run = run(options, network, seed, Run::count_any);
    let reads: Vec<_> = run.reads().collect();
    for &(read, value) in &reads {
        let acknowledged = run.sum(|add| add.is_ok() && add.completed_ms < read.invoked_ms);
        let asked_for = run.sum(|add| may_be_in(add, read));
        assert!(
            acknowledged <= value,
            "misses an acknowledged add ({acknowledged}): {read:?}"
        );
        assert!(
            value <= asked_for,
            "counts more than was added ({asked_for}): {read:?}"
        );
        for &(later, later_value) in &reads {
            assert!(
                !must_follow(consistency, read, later) || later_value >= value,
                "went back: {read:?} then {later:?}"
            );
        }
    }
}

/// Whether a read may include an add.
fn may_be_in(add: &Operation, read: &Operation) -> bool {
    !matches!(add.outcome, Outcome::Failed(_)) && add.invoked_ms <= read.completed_ms
}

/// Whether a read must include an add.
fn must_be_in(consistency: Consistency, add: &Operation, read: &Operation) -> bool {
    let is_shared = consistency != Consistency::Sequential || add.node == read.node;
    is_shared && add.is_ok() && add.completed_ms < read.invoked_ms
}

/// With decrements a value does not show the age of the state, so here every read shows which adds it includes. It
/// must include all that were acknowledged before it began (at the sequential level, by its node), and none that
/// failed or were invoked later. Later reads of a node must not include fewer.
fn counts_every_add_and_subtraction_once(consistency: Consistency, seed: u64) {
    let options = Options {
        consistency,
        decrements: true,
        ..Options::default()
    };
    let invoke = |run: &mut Run<GCounter>, client| run.count_apart(client, 10, true);
    let run = run(options, bad, seed, invoke);
    let reads = run.reads_apart();
    for (read, counted) in &reads {
        for (add, is_counted) in run.operations.iter().zip(counted) {
            let is_add = add.delta.is_some_and(|delta| delta != 0);
            let must = is_add && must_be_in(consistency, add, read);
            assert!(*is_counted || !must, "misses {add:?}: {read:?}");
            assert!(
                may_be_in(add, read) || !is_counted,
                "should not have {add:?}: {read:?}"
            );
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
    (0..1000).for_each(|seed| counts_every_add_once(Consistency::Regular, bad, seed));
}

#[test]
fn linearizable_counts_every_add_once_while_messages_are_lost_doubled_and_late_and_nodes_die() {
    (0..1000).for_each(|seed| counts_every_add_once(Consistency::Linearizable, bad, seed));
}

/// Levels whose reads during the run are as right as the final ones.
const UP_TO_DATE: [Consistency; 2] = [Consistency::Regular, Consistency::Linearizable];

#[test]
fn a_store_that_answers_after_half_a_minute_loses_and_doubles_nothing() {
    for consistency in UP_TO_DATE {
        let slow = |world: &mut World<GCounter>| world.latency_ms = 15_000;
        (0..10).for_each(|seed| counts_every_add_once(consistency, slow, seed));
    }
}

#[test]
fn a_store_that_is_asked_and_answers_everything_twice_counts_once() {
    for consistency in UP_TO_DATE {
        let doubling = |world: &mut World<GCounter>| {
            world.jitter_ms = 19;
            world.faults.doubled = 100;
        };
        (0..50).for_each(|seed| counts_every_add_once(consistency, doubling, seed));
    }
}

#[test]
fn questions_and_answers_may_overtake_each_other() {
    for consistency in UP_TO_DATE {
        let overtaking = |world: &mut World<GCounter>| world.jitter_ms = 499;
        (0..50).for_each(|seed| counts_every_add_once(consistency, overtaking, seed));
    }
}

#[test]
fn regular_counts_up_and_down_once_and_never_goes_back_to_an_older_state() {
    (0..300).for_each(|seed| counts_every_add_and_subtraction_once(Consistency::Regular, seed));
}

#[test]
fn linearizable_counts_up_and_down_once_and_never_goes_back_to_an_older_state() {
    (0..300)
        .for_each(|seed| counts_every_add_and_subtraction_once(Consistency::Linearizable, seed));
}

#[test]
fn sequential_counts_up_and_down_once_and_never_goes_back_to_an_older_state() {
    (0..300).for_each(|seed| counts_every_add_and_subtraction_once(Consistency::Sequential, seed));
}
