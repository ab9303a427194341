use super::*;
use crate::workbench::latency::{Distribution, Latency};
use crate::workbench::log::{LastLines, Log, Topics};
use crate::workbench::nemesis::Fault;
use crate::workbench::service::SequentialStore;
use crate::workbench::workload::GCounter;
use crate::workbench::world::INIT_TIMEOUT;
use crate::workload as node;

fn settings(seed: u64) -> Settings {
    Settings {
        nodes: (0..3).map(|node| format!("n{node}")).collect(),
        init_timeout: INIT_TIMEOUT,
        client_count: 6,
        rate_per_s: 100.0,
        time_limit: Duration::from_secs(10),
        recovery: Duration::from_secs(10),
        latency: Latency {
            mean: Duration::from_millis(10),
            distribution: Distribution::Exponential,
        },
        sequential_store: SequentialStore::Lazy,
        faults: vec![Fault::Partition, Fault::Kill, Fault::Loss, Fault::Ghost],
        services_suffer: true,
        fault_interval: Duration::from_secs(1),
        seed,
    }
}

#[test]
fn the_same_seed_gives_the_same_run_to_the_byte_and_another_seed_another() {
    let told = |seed| {
        let start = start(|seed| node::GCounter::new(node::g_counter::Options::default(), seed));
        let log = Log::new(
            Topics {
                run: true,
                received: true,
                ..Topics::default()
            },
            LastLines::default(),
        );
        let (record, log) = run(GCounter::default(), settings(seed), &start, log).expect("a run");
        format!(
            "{:?}{:?}{}",
            record.history,
            record.fault_windows,
            log.into_sink()
        )
    };
    assert_eq!(told(1), told(1));
    assert_ne!(told(1), told(2));
}
