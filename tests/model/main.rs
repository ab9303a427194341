//! The linearizable counter, model-checked: not a model of it, but the state machine that the binaries run, given
//! every order of messages and every answer of a sequentially consistent store, within bounds.
//!
//! | what can happen | how much of it |
//! |---|---|
//! | clients ask | each once, at any time; two or more of each node, so one after the other and at the same time |
//! | messages between nodes and the store, and between nodes | come in any order, late, or never: so losing one needs no step of its own |
//! | a message comes twice | [`Bounds::duplicates`] times in all |
//! | a node's time-out passes, whether or not an answer is on its way | [`Bounds::silences`] times in all |
//! | a node dies and starts again under another seed; what it said before may still come | [`Bounds::kills`] times in all |
//! | the store answers | whatever a sequentially consistent one may, see `store` |
//!
//! Only the last three bounds make it finite; retries and depth are not bounded by anything else. In every state that
//! can be reached: the store's total holds each acknowledged add once and no refused one; what clients were answered
//! is linearizable, by the tester of `stateright`; nobody is answered twice; and if all that is under way were lost,
//! but nothing after that, everybody would still be answered, by the laziest store too.
//!
//! A state holds the nodes by their [`Debug`](std::fmt::Debug) pictures and their clocks, see `nodes`, and everything
//! else by value; the checker remembers states by 64 bits of their hash.
//!
//! That the checks can fail is seen from nodes with one line broken, see `shim`: each is found out, by the shortest
//! story there is.

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

/// Longer than anything here takes.
const NEVER: Duration = Duration::from_secs(3600);

/// Nodes of which that is asked, without any fault.
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

/// Goes through all states within the bounds, and sees to it that nothing is wrong in any.
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

/// Asserts that nodes with a flaw, or of another level, violate that, and prints the shortest story that shows it.
fn assert_found(bounds: Bounds, flaw: Option<Flaw>, violated: &'static str) {
    let model = Counters::new(bounds.clone(), flaw);
    let until = HasDiscoveries::AnyOf([violated].into());
    let checker = model.checker().finish_when(until).spawn_bfs().join();
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
    check(Bounds {
        op_timeout: Duration::from_millis(1),
        silences: 1,
        ..without_faults([&[Add, Read], &[Add, Read]])
    });
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

/// What `check` finds to be unreachable at the linearizable level.
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
    let bounds = without_faults([&[Add], &[Read, Read]]);
    assert_found(bounds, Some(Flaw::ReadsFromCache), LINEARIZABLE);
}

#[test]
fn reads_without_a_proposal_id_of_their_own_are_found_to_miss_an_acknowledged_add() {
    let bounds = without_faults([&[Read, Read], &[Add, Add]]);
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
