use super::*;
use crate::node::Node;
use crate::workbench::latency::Latency;
use crate::workbench::log::{LastLines, Log, Topics};
use crate::workbench::nemesis::Fault;
use crate::workbench::service::SequentialStore;
use crate::workbench::workload::GCounter;
use crate::workbench::world::node_names;
use crate::workload as node;

/// A node, made from a seed.
fn counter(seed: u64) -> Node<node::GCounter> {
    Node::new(node::GCounter::new(
        node::g_counter::Options::default(),
        seed,
    ))
}

fn settings(seed: u64) -> Settings {
    Settings {
        client_count: 6,
        rate_per_s: 100.0,
        time_limit: Duration::from_secs(10),
        latency: Latency::exponential(Duration::from_millis(10)),
        sequential_store: SequentialStore::Lazy,
        faults: vec![Fault::Partition, Fault::Kill, Fault::Loss, Fault::Ghost],
        services_suffer: true,
        fault_interval: Duration::from_secs(1),
        seed,
        ..Settings::new(node_names(3))
    }
}

#[test]
fn the_same_seed_gives_the_same_run_to_the_byte_and_another_seed_another() {
    let log_of = |seed| {
        let start = start(counter);
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
    assert_eq!(log_of(1), log_of(1));
    assert_ne!(log_of(1), log_of(2));
}

/// A node that rejects every request as no message, and answers it all the same.
struct Complaining(Box<dyn Machine>);

impl Machine for Complaining {
    fn receive(&mut self, line: &str, now: Duration) -> Result<(), serde_json::Error> {
        self.0.receive(line, now)?;
        serde_json::from_str("so it complains")
    }

    fn deadline(&self) -> Option<Duration> {
        self.0.deadline()
    }

    fn wake(&mut self, now: Duration) {
        self.0.wake(now);
    }

    fn output(&self) -> &[u8] {
        self.0.output()
    }

    fn written(&mut self, count: usize) {
        self.0.written(count);
    }
}

#[test]
fn what_a_node_would_print_on_stderr_is_in_the_log_with_its_virtual_time() {
    let node = start(counter);
    let start: Start = Box::new(move |seed| Box::new(Complaining(node(seed))));
    let topics = Topics {
        run: true,
        stderr: true,
        ..Topics::default()
    };
    let log = Log::new(topics, LastLines::default());
    let settings = Settings {
        time_limit: Duration::from_secs(1),
        faults: Vec::new(),
        ..settings(1)
    };
    let (_, log) = run(GCounter::default(), settings, &start, log).expect("a run");
    let log = log.into_sink().to_string();
    // A request arrives at once, so its time is also that of the line on stderr.
    let request = log
        .lines()
        .find(|line| line.ends_with("→ n1: read"))
        .expect("a request");
    let (time, _) = request.split_once(" s  ").expect("it has a time");
    let complaint = format!("{time} s  n1: not a message: expected value at line 1 column 1");
    assert!(log.lines().any(|line| line == complaint), "{log}");
}
