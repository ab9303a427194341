use std::collections::BTreeSet;

use super::*;
use crate::workbench::random::Stream;

const INTERVAL: Duration = Duration::from_secs(1);

fn targets(nodes: &[&str]) -> Targets {
    Targets {
        nodes: nodes.iter().map(|&node| String::from(node)).collect(),
        includes_services: false,
        etcd_members: 3,
    }
}

fn nemesis(faults: &[Fault]) -> Nemesis {
    Nemesis::new(
        faults,
        INTERVAL,
        targets(&["n0", "n1", "n2"]),
        &Stream::Nemesis.seeded(7),
    )
}

/// The first so many steps, each with its time.
fn steps(mut nemesis: Nemesis, count: usize) -> Vec<(Duration, Step)> {
    let step = |_| {
        let now = nemesis.next_at().expect("it never stops by itself");
        (now, nemesis.step(now).expect("one is due").0)
    };
    (0..count).map(step).collect()
}

#[test]
fn it_breaks_at_once_and_then_mends_and_breaks_in_turn() {
    for fault in Fault::value_variants() {
        let steps = steps(nemesis(&[*fault]), 100);
        assert_eq!(steps[0].0, Duration::ZERO);
        for (turn, (_, step)) in steps.iter().enumerate() {
            assert_eq!(*step == Step::End(*fault), turn % 2 == 1, "{fault:?}");
        }
        let last_at = steps[99].0.as_secs_f64();
        assert!(
            (80.0..120.0).contains(&last_at),
            "100 steps took {last_at} s"
        );
    }
}

#[test]
fn another_kind_of_fault_leaves_the_first_as_it_was() {
    let alone = steps(nemesis(&[Fault::Partition]), 20);
    let mut beside = steps(nemesis(&[Fault::Kill, Fault::Partition, Fault::Loss]), 200);
    beside.retain(|(_, step)| {
        matches!(
            step,
            Step::Begin(Fault::Partition, _) | Step::End(Fault::Partition)
        )
    });
    assert_eq!(alone[..], beside[..20]);
}

#[test]
fn now_one_node_is_killed_now_some_and_now_all() {
    let mut counts = BTreeSet::new();
    for (_, step) in steps(nemesis(&[Fault::Kill]), 100) {
        if let Step::Begin(_, Damage::Hit(nodes)) = step {
            assert!(nodes.is_sorted());
            counts.insert(nodes.len());
        }
    }
    assert_eq!(counts, BTreeSet::from([1, 2, 3]));
}

#[test]
fn it_does_nothing_before_its_time() {
    let mut nemesis = nemesis(&[Fault::Partition]);
    assert!(nemesis.step(Duration::ZERO).is_some());
    let next_at = nemesis.next_at().expect("it goes on");
    assert_eq!(nemesis.step(next_at - Duration::from_nanos(1)), None);
}

#[test]
fn its_end_mends_all_for_good() {
    let mut nemesis = nemesis(&[Fault::Partition, Fault::Kill]);
    assert!(nemesis.step(Duration::ZERO).is_some());
    assert!(nemesis.step(Duration::ZERO).is_some());
    assert_eq!(nemesis.under_way().count(), 2);
    let ends = [Step::End(Fault::Partition), Step::End(Fault::Kill)];
    assert_eq!(nemesis.end(INTERVAL), ends);
    assert_eq!(nemesis.under_way().count(), 0);
    assert!(
        nemesis
            .windows()
            .iter()
            .all(|window| window.ended_at == Some(INTERVAL))
    );
    assert_eq!(nemesis.step(1000 * INTERVAL), None);
    assert_eq!(nemesis.end(1000 * INTERVAL), []);
}

#[test]
fn without_faults_or_with_nothing_to_break_it_never_acts() {
    assert_eq!(nemesis(&[]).next_at(), None);
    let targets = targets(&["n0"]);
    let random = Stream::Nemesis.seeded(7);
    let mut alone = Nemesis::new(&[Fault::Partition], INTERVAL, targets, &random);
    assert_eq!(alone.step(1000 * INTERVAL), None);
    assert!(alone.windows().is_empty());
}

#[test]
fn a_partition_can_cut_services_off_where_they_are_to_suffer() {
    let targets = Targets {
        includes_services: true,
        ..targets(&["n0", "n1", "n2"])
    };
    let random = Stream::Nemesis.seeded(7);
    let nemesis = Nemesis::new(&[Fault::Partition], INTERVAL, targets, &random);
    let cuts_services = |(_, step): (Duration, Step)| match step {
        Step::Begin(_, Damage::Cut(partition)) => (0..3).any(|node| partition.cuts(node, 3)),
        _ => false,
    };
    assert!(steps(nemesis, 10).into_iter().any(cuts_services));
}

#[test]
fn who_is_hit_is_named_unless_they_are_many() {
    let mut targets = targets(&["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(targets.named(&[2, 0]), "a, c");
    assert_eq!(targets.named(&[0, 1, 2, 3, 4]), "5 of 7 nodes");
    assert_eq!(targets.named(&[0, 1, 2, 3, 4, 5, 6]), "all 7 nodes");
    targets.includes_services = true;
    assert_eq!(targets.named(&[7, 1]), "b, the services");
    assert_eq!(targets.named(&[0, 1, 2, 3, 4, 5, 6]), "all 7 nodes");
    targets.nodes.truncate(1);
    assert_eq!(targets.named(&[0]), "a");
}

#[test]
fn without_members_there_are_none_to_kill_or_pause() {
    for fault in [Fault::MemberKill, Fault::MemberPause] {
        let mut nemesis = nemesis(&[fault]);
        nemesis.set_etcd_members(0);
        assert_eq!(nemesis.step(Duration::from_secs(100)), None);
    }
}
