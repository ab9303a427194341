//! The cost of an operation on an idle node at each level, in round trips to the store or the peers.

use crate::world::run::Run;
use eddy::workload::g_counter::{Consistency, Options};

const ROUND_TRIP_MS: u64 = 40;

/// The round trips of the first client's adds and reads, one after the other, on a node that has just been started. There is
/// no delta where it reads.
fn first_round_trips<const N: usize>(
    consistency: Consistency,
    deltas: [Option<i64>; N],
) -> [u64; N] {
    let options = Options {
        consistency,
        ..Options::default()
    };
    let mut run = Run::counters(options, 3, 3, 1);
    run.world.latency_ms = ROUND_TRIP_MS / 2;
    deltas.map(|delta| {
        run.count(0, delta);
        run.rest(1_000);
        let last = run.operations.last().expect("it was invoked");
        (last.completed_ms - last.invoked_ms) / ROUND_TRIP_MS
    })
}

/// Those of an add and a read on a node that has counted before.
fn round_trips(consistency: Consistency) -> (u64, u64) {
    let [.., add, read] = first_round_trips(consistency, [Some(1), None, Some(2), None]);
    (add, read)
}

#[test]
fn regular_adds_in_one_round_trip_and_reads_in_two() {
    assert_eq!(round_trips(Consistency::Regular), (1, 2));
}

#[test]
fn regular_reads_each_of_its_own_two_registers_once_before_it_changes_it() {
    let of = |deltas| first_round_trips(Consistency::Regular, deltas);
    assert_eq!(of([Some(1), None, None]), [2, 3, 2]);
    assert_eq!(of([None, None, None]), [3, 3, 2]);
    assert_eq!(of([None, Some(1), None]), [3, 1, 3]);
}

/// The median times of adds and reads of four clients of one node that ask again when answered.
fn busy_medians_ms(consistency: Consistency) -> [u64; 2] {
    const BUSY_CLIENTS: [usize; 4] = [0, 3, 6, 9];
    let options = Options {
        consistency,
        ..Options::default()
    };
    let mut run = Run::counters(options, 3, 12, 1);
    run.world.latency_ms = ROUND_TRIP_MS / 2;
    for _ in 0..2_000 {
        for client in BUSY_CLIENTS {
            if !run.is_waiting(client) {
                let is_add = run.operations.len().is_multiple_of(3);
                run.count(client, is_add.then_some(1));
            }
        }
        run.step();
    }
    ["add", "read"].map(|kind| {
        let operations = run.operations.iter();
        let done = operations.filter(|operation| operation.kind() == kind && operation.is_ok());
        let mut took: Vec<u64> = done
            .map(|done| done.completed_ms - done.invoked_ms)
            .collect();
        took.sort_unstable();
        took[took.len() / 2]
    })
}

#[test]
fn regular_takes_1_3_and_2_2_round_trips_at_most_for_clients_that_ask_again_when_answered() {
    let [add_ms, read_ms] = busy_medians_ms(Consistency::Regular);
    assert!(10 * add_ms <= 13 * ROUND_TRIP_MS, "{add_ms}");
    assert!(10 * read_ms <= 22 * ROUND_TRIP_MS, "{read_ms}");
}

#[test]
fn linearizable_takes_1_2_round_trips_at_most_for_clients_that_ask_again_when_answered() {
    for median_ms in busy_medians_ms(Consistency::Linearizable) {
        assert!(10 * median_ms <= 12 * ROUND_TRIP_MS, "{median_ms}");
    }
}

#[test]
fn linearizable_adds_and_reads_in_one_round_trip_when_it_is_alone() {
    assert_eq!(round_trips(Consistency::Linearizable), (1, 1));
}

#[test]
fn linearizable_keeps_no_node_waiting_that_is_cut_off_from_the_one_that_changes_the_register_all_the_time()
 {
    let options = Options {
        consistency: Consistency::Linearizable,
        ..Options::default()
    };
    let mut run = Run::counters(options, 2, 8, 1);
    run.world.latency_ms = ROUND_TRIP_MS / 2;
    run.world.sides = vec![0, 1];
    for step in 0..20_000usize {
        for client in 0..8 {
            let comes_now = (step + 31 * client).is_multiple_of(97);
            if comes_now && !run.is_waiting(client) {
                run.count(client, Some(1));
            }
        }
        run.step();
    }
    run.rest(5_000);
    let of_the_other = run.operations.iter().filter(|done| done.node == 1);
    let took = of_the_other.map(|done| (done.completed_ms - done.invoked_ms) / ROUND_TRIP_MS);
    let took: Vec<_> = took.collect();
    let (longest, sum) = (took.iter().max(), took.iter().sum::<u64>());
    assert!(longest <= Some(&18), "{longest:?} round trips");
    assert!(10 * sum <= 45 * took.len() as u64, "{sum} round trips");
}

#[test]
fn sequential_adds_in_one_round_trip_when_it_is_alone_and_reads_in_one() {
    assert_eq!(round_trips(Consistency::Sequential), (1, 1));
}

#[test]
fn eventual_adds_at_once_and_reads_in_one_round_trip_to_its_peers() {
    assert_eq!(round_trips(Consistency::Eventual), (0, 1));
}
