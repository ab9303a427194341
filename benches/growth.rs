//! How a counter's cost grows with nodes, clients and latency, at each level: a table, in virtual time. Its last columns
//! are of ten more runs, in which one in ten messages between nodes, and from and to the store, is lost.
//!
//! Clients ask as fast as they are answered, but no more than [`RATE_PER_S`] operations a second together: without
//! latency nothing else would hold them back. Each line is of ten runs, each from a fixed seed, so the table comes out the
//! same every time. Latencies spread exponentially around their mean. A node takes no time to think here: what it costs to
//! run is for `make bench` to say.

use std::time::Duration;

use eddy::node::Node;
use eddy::workbench::latency::Latency;
use eddy::workbench::nemesis::Fault;
use eddy::workbench::report::Figures;
use eddy::workbench::sim::{campaign, run, start};
use eddy::workbench::workload::GCounter;
use eddy::workbench::world::{Settings, node_names};
use eddy::workload::g_counter::{Consistency, Options};

const SEEDS: u64 = 10;
const RATE_PER_S: f64 = 2000.0;
const TIME_LIMIT: Duration = Duration::from_secs(10);
const LEVELS: [Consistency; 4] = [
    Consistency::Regular,
    Consistency::Linearizable,
    Consistency::Sequential,
    Consistency::Eventual,
];
const NODES: [usize; 4] = [3, 5, 10, 25];
const CLIENTS_A_NODE: [usize; 3] = [1, 20, 200];
const LATENCIES_MS: [u64; 3] = [0, 10, 100];

/// So long that a fault, which begins with the run, does not end before it.
const FAULT_INTERVAL: Duration = Duration::from_secs(1_000_000);

struct Line {
    level: Consistency,
    nodes: usize,
    clients_a_node: usize,
    latency_ms: u64,
}

fn main() {
    let mut lines = Vec::new();
    for level in LEVELS {
        for nodes in NODES {
            for clients_a_node in CLIENTS_A_NODE {
                lines.extend(LATENCIES_MS.map(|latency_ms| Line {
                    level,
                    nodes,
                    clients_a_node,
                    latency_ms,
                }));
            }
        }
    }
    println!(
        "| level | nodes | clients a node | latency ms | ok/s | failed % | p50 ms | p99 ms | messages an operation \
         | with loss: ok/s | failed % | p50 ms | p99 ms | messages an operation |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut told: Vec<Option<String>> = lines.iter().map(|_| None).collect();
    let mut next = 0;
    campaign::each_seed(
        0..lines.len() as u64,
        campaign::worker_count(),
        |index| tell(&lines[index as usize]),
        |index, line| {
            told[index as usize] = Some(line);
            while let Some(line) = told.get_mut(next).and_then(Option::take) {
                println!("{line}");
                next += 1;
            }
            true
        },
    );
}

fn tell(line: &Line) -> String {
    let level = format!("{:?}", line.level).to_lowercase();
    format!(
        "| {level} | {} | {} | {} |{}{}",
        line.nodes,
        line.clients_a_node,
        line.latency_ms,
        simulate(line, Vec::new()),
        simulate(line, vec![Fault::Loss])
    )
}

/// The figures of the runs, as columns.
fn simulate(line: &Line, faults: Vec<Fault>) -> String {
    let Line {
        level,
        nodes,
        clients_a_node,
        latency_ms,
    } = *line;
    let start = start(move |seed| {
        let options = Options {
            consistency: level,
            ..Options::default()
        };
        Node::new(eddy::workload::GCounter::new(options, seed))
    });
    let mut figures = Figures::default();
    for seed in 1..=SEEDS {
        let settings = Settings {
            client_count: nodes * clients_a_node,
            rate_per_s: RATE_PER_S,
            time_limit: TIME_LIMIT,
            recovery: Duration::from_secs(1),
            latency: Latency::exponential(Duration::from_millis(latency_ms)),
            faults: faults.clone(),
            services_suffer: true,
            fault_interval: FAULT_INTERVAL,
            seed,
            ..Settings::new(node_names(nodes))
        };
        let (record, ()) =
            run(GCounter::default(), settings.clone(), &start, ()).expect("our nodes answer init");
        figures.add(Figures::new(&record, &settings));
    }
    let counts = figures.counts();
    let failed = counts.failed + counts.indeterminate;
    let failed_percent = 100.0 * failed as f64 / counts.total() as f64;
    let (p50, p99) = figures
        .latency_ms()
        .map_or((f64::NAN, f64::NAN), |quantiles| {
            (quantiles.p50, quantiles.p99)
        });
    let per_second = figures.per_second();
    let [messages, _] = figures.messages_an_operation();
    format!(" {per_second:.0} | {failed_percent:.2} | {p50:.0} | {p99:.0} | {messages:.1} |")
}
