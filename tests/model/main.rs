//! Model checks the linearizable counter: not a model of it, but the state machine that the binaries run, with every
//! order of messages and every reply of a sequentially consistent store, within bounds.
//!
//! | what can happen | how much of it |
//! |---|---|
//! | clients send requests | each client one, at any time; each node has two or more clients, so requests come one after the other and at the same time |
//! | messages between nodes and the store, and between nodes | arrive in any order, late, or never, so that the loss of a message needs no step of its own |
//! | a message arrives twice | [`Bounds::duplicates`] times in all |
//! | a node's timeout passes, even if a reply is in flight | [`Bounds::silences`] times in all |
//! | a node dies and starts again with another seed; its earlier messages may still arrive | [`Bounds::kills`] times in all |
//! | the store replies | every reply of a sequentially consistent store, see `store` |
//!
//! What nodes announce is always lost: a forwarded proposal that arrives late tells a peer the same.
//!
//! Only the last three bounds make the state space finite; retries and depth have no other bound. In every reachable
//! state: the store's total includes each acknowledged add once and no refused one; the replies to clients are
//! linearizable, by the tester of `stateright`; no client gets two replies; and if all messages in flight were lost
//! and no later ones, all clients would still get replies, even with the laziest store.
//!
//! A state holds the nodes by their [`Debug`](std::fmt::Debug) output and their clocks, see `nodes`, and everything
//! else by value. The checker remembers states by 64 bits of their hash.
//!
//! Nodes with one broken line, see `shim`, show that the checks can fail: each flaw is found, with the shortest trace
//! that shows it.

mod model;
mod nodes;
mod shim;
mod store;
mod world;

use std::time::{Duration, Instant};

use eddy::workload::g_counter::Consistency;
use stateright::{Checker, HasDiscoveries, Model};

use model::{Bounds, COUNTED_ONCE, Counters, LINEARIZABLE};
use shim::Flaw;
use world::Call::{self, Add, Read};

/// Longer than any step takes.
const NEVER: Duration = Duration::from_secs(3600);

/// The requests in the checks without faults.
fn without_faults<const N: usize>(calls: [&[Call]; N]) -> Bounds {
    Bounds {
        consistency: Consistency::Linearizable,
        calls: calls.map(Vec::from).into(),
        op_timeout: NEVER,
        silences: 0,
        duplicates: 0,
        kills: 0,
    }
}

/// Explores all states within the bounds, and asserts that each is right.
fn check(bounds: Bounds) {
    let started_at = Instant::now();
    let model = Counters::new(bounds.clone(), None);
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    println!(
        "{} states, {} steps deep, in {:.1} s: {bounds:?}",
        checker.unique_state_count(),
        checker.max_depth(),
        started_at.elapsed().as_secs_f64(),
    );
    checker.assert_properties();
}

/// Asserts that nodes with a flaw, or of another level, violate the property, and prints the shortest trace that shows
/// it.
fn assert_found(bounds: Bounds, flaw: Option<Flaw>, violated: &'static str) {
    let model = Counters::new(bounds.clone(), flaw).with_only(violated);
    let checker = model.checker().spawn_bfs().join();
    let path = checker.discovery(violated).expect("it is found");
    let story = path.into_actions();
    println!("{bounds:?} {flaw:?}: not so that {violated}: {story:#?}");
}

#[test]
fn without_faults_every_mix_of_two_operations_on_each_of_two_nodes_is_right() {
    check(without_faults([&[Add, Add], &[Add, Add]]));
    check(without_faults([&[Add, Add], &[Add, Read]]));
    check(without_faults([&[Add, Add], &[Read, Read]]));
    check(without_faults([&[Add, Read], &[Add, Read]]));
    check(without_faults([&[Add, Read], &[Read, Read]]));
}

#[test]
fn with_a_message_that_comes_twice_two_operations_on_each_of_two_nodes_are_right() {
    check(Bounds {
        duplicates: 1,
        ..without_faults([&[Add, Read], &[Add, Read]])
    });
}

#[test]
fn with_an_answer_that_is_late_or_lost_three_operations_on_two_nodes_are_right() {
    check(Bounds {
        silences: 1,
        ..without_faults([&[Add, Read], &[Add]])
    });
}

#[test]
fn operations_that_run_out_of_time_are_answered_truly() {
    for calls in [[&[Add, Read][..], &[Add, Read]], [&[Add, Add], &[Read]]] {
        check(Bounds {
            op_timeout: Duration::from_millis(1),
            silences: 1,
            ..without_faults(calls)
        });
    }
}

#[test]
fn with_a_node_that_dies_adds_count_once_and_reads_are_right() {
    check(Bounds {
        kills: 1,
        ..without_faults([&[Add, Add], &[Read]])
    });
}

#[test]
fn with_every_fault_at_once_an_add_and_a_read_are_right() {
    check(Bounds {
        silences: 1,
        duplicates: 1,
        kills: 1,
        ..without_faults([&[Add], &[Read]])
    });
}

#[test]
#[ignore = "minutes"]
fn within_larger_bounds_everything_is_right() {
    check(without_faults([&[Add], &[Add], &[Read]]));
    check(Bounds {
        kills: 1,
        ..without_faults([&[Add, Read], &[Add, Read]])
    });
    check(Bounds {
        silences: 1,
        kills: 1,
        ..without_faults([&[Add], &[Add, Read]])
    });
    check(Bounds {
        silences: 1,
        ..without_faults([&[Add, Read], &[Add, Read]])
    });
}

#[test]
#[ignore = "minutes"]
fn with_an_answer_that_is_lost_and_a_message_that_comes_twice_three_operations_are_right() {
    check(Bounds {
        silences: 1,
        duplicates: 1,
        ..without_faults([&[Add, Read], &[Add]])
    });
}

/// The states that `check` finds unreachable at the linearizable level.
#[test]
fn at_the_sequential_level_a_last_read_can_miss_an_acknowledged_add() {
    let bounds = Bounds {
        consistency: Consistency::Sequential,
        ..without_faults([&[Add], &[Read]])
    };
    assert_found(bounds, None, LINEARIZABLE);
}

#[test]
fn an_add_that_is_acknowledged_before_its_cas_is_found_to_be_missed_by_a_read() {
    let bounds = without_faults([&[Add], &[Read]]);
    assert_found(bounds, Some(Flaw::EarlyAcknowledgement), LINEARIZABLE);
}

#[test]
fn a_read_from_the_cache_is_found_to_miss_an_acknowledged_add() {
    let bounds = Bounds {
        silences: 1,
        ..without_faults([&[Add], &[Read, Read]])
    };
    assert_found(bounds, Some(Flaw::ReadsFromCache), LINEARIZABLE);
}

#[test]
fn reads_without_a_proposal_id_of_their_own_are_found_to_miss_an_acknowledged_add() {
    let bounds = Bounds {
        silences: 1,
        ..without_faults([&[Read, Read], &[Add, Add]])
    };
    assert_found(bounds, Some(Flaw::ReadsKeepProposalId), LINEARIZABLE);
}

#[test]
fn a_proposal_id_that_a_later_incarnation_uses_again_is_found_to_lose_an_add() {
    let bounds = Bounds {
        kills: 1,
        ..without_faults([&[Add, Add]])
    };
    assert_found(bounds, Some(Flaw::ProposalIdsStartAgain), COUNTED_ONCE);
}
