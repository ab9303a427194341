//! The flags of `eddy test`: names, defaults and meaning are Maelstrom's where it has them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{EnumValueParser, StringValueParser};

use super::help::{self, EXIT_STATUS};
use super::keep::KeepOptions;
use super::load::LoadOptions;
use super::stores::{SequentialKv, SequentialKvParser, StoreOptions};
use super::values::{Trimmed, milliseconds, not_negative, positive, seconds, some_seconds};
use super::workloads::WorkloadName;
use crate::workbench::audit::Demands;
use crate::workbench::check::availability::Availability;
use crate::workbench::check::limits::{Limits, StableLatency};
use crate::workbench::latency::{Distribution, Latency};
use crate::workbench::log::Topics;
use crate::workbench::nemesis::Fault;
use crate::workbench::world::Settings;

/// The flags of `eddy test`.
#[derive(Args)]
#[command(args_override_self = true, after_help = format!("{}\n\n{EXIT_STATUS}", help::challenges()))]
pub(super) struct TestOptions {
    /// The program that a node runs.
    #[arg(long, value_name = "FILE")]
    pub bin: PathBuf,

    /// How many runs to do one after the other, each with a seed of its own. The first that is not valid is the last.
    #[arg(long, value_name = "N", default_value = "1", value_parser = positive)]
    pub test_count: usize,

    #[command(flatten)]
    pub run: RunOptions,

    #[command(flatten, next_help_heading = "A cluster as the store")]
    pub stores: StoreOptions,

    #[command(flatten)]
    pub output: OutputOptions,
}

/// The flags that say what is shown and kept of a run.
#[derive(Args)]
#[command(next_help_heading = "What is shown and kept")]
pub(super) struct OutputOptions {
    /// Show what nodes print on stderr, with its time in the run.
    #[arg(long)]
    pub log_stderr: bool,

    #[command(flatten)]
    pub keep: KeepOptions,

    /// Show messages as they are sent, and write them to log.txt.
    #[arg(long)]
    pub log_net_send: bool,

    /// Show messages as they arrive or are lost, and write them to log.txt.
    #[arg(long)]
    pub log_net_recv: bool,
}

impl OutputOptions {
    /// What is shown of a run.
    pub(super) fn topics(&self) -> Topics {
        Topics {
            run: false,
            stderr: self.log_stderr,
            sent: self.log_net_send,
            received: self.log_net_recv,
        }
    }
}

/// The flags of every run, whoever runs the nodes.
#[derive(Args)]
pub(super) struct RunOptions {
    /// What each node is given as its own arguments. Those that begin with a dash go last, after --.
    #[arg(value_name = "NODE ARGS")]
    pub node_args: Vec<String>,

    /// What to test.
    #[arg(short, long, value_enum, default_value = "lin-kv")]
    pub workload: WorkloadName,

    /// How many nodes to run, named n0, n1, and so on. Overrides --nodes.
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true)]
    pub node_count: Option<usize>,

    /// The names of the nodes.
    #[arg(
        long,
        value_name = "NAMES",
        value_parser = Trimmed(StringValueParser::new()),
        value_delimiter = ',',
        default_value = "n1,n2,n3,n4,n5"
    )]
    pub nodes: Vec<String>,

    /// How many seconds a node may take to answer init, and what it is told once before clients begin.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = some_seconds, allow_negative_numbers = true)]
    pub init_timeout: Duration,

    /// How many operations a second to ask for, about, all clients together.
    #[arg(long, value_name = "RATE", default_value = "5", value_parser = not_negative, allow_negative_numbers = true)]
    pub rate: f64,

    /// For how many seconds to ask, before faults end and clients ask their last.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, allow_negative_numbers = true)]
    pub time_limit: Duration,

    /// How many clients there are: a number, or a number for each node, such as 4n.
    #[arg(long, value_name = "C|Cn", default_value = "1n", value_parser = concurrency)]
    pub concurrency: Concurrency,

    /// What a message between nodes, or to and from a service, takes on average, in milliseconds.
    #[arg(
        long,
        value_name = "MILLISECONDS",
        default_value = "0",
        value_parser = milliseconds,
        allow_negative_numbers = true
    )]
    pub latency: u64,

    /// How latencies spread.
    #[arg(long, value_name = "TYPE", value_enum, default_value = "constant")]
    pub latency_dist: Distribution,

    /// Which faults to inject, separated by commas. A killed node that is started again gets init and nothing else: what
    /// it was told once before the run, such as topology, it has lost, as upstream.
    #[arg(
        long,
        value_name = "FAULTS",
        value_parser = Trimmed(EnumValueParser::<Fault>::new()),
        value_delimiter = ','
    )]
    pub nemesis: Vec<Fault>,

    /// Let faults hit messages to and from services too, and partitions cut services off. Upstream never does.
    #[arg(long)]
    pub nemesis_services: bool,

    /// How many seconds there are between the beginning and the end of faults, on average.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = some_seconds, allow_negative_numbers = true)]
    pub nemesis_interval: Duration,

    /// Which store answers as seq-kv.
    #[arg(long, value_name = "STORE", value_parser = SequentialKvParser, default_value = "maelstrom")]
    pub seq_kv: SequentialKv,

    /// How many operations must succeed: total, or a fraction such as 0.9.
    #[arg(long, value_name = "total|FRACTION")]
    pub availability: Option<Availability>,

    /// How many messages between servers there may be for each operation.
    #[arg(long, value_name = "N", value_parser = not_negative, allow_negative_numbers = true)]
    pub max_messages_per_op: Option<f64>,

    /// How long values may take from their acknowledgement until every node has them, in milliseconds, in the median and
    /// at most: median=400,max=600, or one of them. Broadcast and g-set.
    #[arg(long, value_name = "LIMITS")]
    pub max_stable_latency: Option<StableLatency>,

    /// Let warnings make a run invalid: what Maelstrom lets pass, and most would call a fault.
    #[arg(long)]
    pub strict: bool,

    /// Where all chance comes from. With real processes it repeats what is asked and what breaks, not the timing.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// How many seconds the network rests before clients ask their last.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, allow_negative_numbers = true)]
    pub recovery: Duration,

    #[command(flatten)]
    pub load: LoadOptions,
}

/// How many clients there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Concurrency {
    InAll(usize),
    EachNode(usize),
}

impl RunOptions {
    /// What a run is held to besides what its workload promises.
    pub(super) fn demands(&self) -> Demands {
        Demands {
            availability: self.availability,
            limits: Limits {
                messages_per_op_max: self.max_messages_per_op,
                stable_latency_max: self.max_stable_latency,
            },
            is_strict: self.strict,
        }
    }

    /// What the run with that seed is like.
    ///
    /// # Errors
    ///
    /// When names of nodes can't be told from each other or from what else has a name.
    pub(super) fn settings(&self, seed: u64) -> Result<Settings, String> {
        let nodes = match self.node_count {
            Some(count) => (0..count).map(|index| format!("n{index}")).collect(),
            None => self.nodes.clone(),
        };
        check_names(&nodes)?;
        Ok(Settings {
            client_count: match self.concurrency {
                Concurrency::InAll(count) => count,
                Concurrency::EachNode(count) => count * nodes.len(),
            },
            nodes,
            init_timeout: self.init_timeout,
            rate_per_s: self.rate,
            time_limit: self.time_limit,
            recovery: self.recovery,
            latency: Latency {
                mean: Duration::from_millis(self.latency),
                distribution: self.latency_dist,
            },
            sequential_store: self.seq_kv.own(),
            faults: self.nemesis.clone(),
            services_suffer: self.nemesis_services,
            fault_interval: self.nemesis_interval,
            seed,
        })
    }
}

fn check_names(nodes: &[String]) -> Result<(), String> {
    let mut known = BTreeSet::from(["seq-kv", "lin-kv", "lww-kv", "lin-tso"]);
    for name in nodes {
        let number = name.strip_prefix('c');
        let is_number =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_client = number.is_some_and(is_number);
        if name.is_empty() || is_client || !known.insert(name) {
            return Err(format!(
                "--nodes: no node can be named {name:?}. Names differ from each other, from those of clients (c0, c1, \
                 ...) and from those of services"
            ));
        }
    }
    Ok(())
}

fn concurrency(text: &str) -> Result<Concurrency, String> {
    match text.strip_suffix('n') {
        Some("") => Ok(Concurrency::EachNode(1)),
        Some(count) => positive(count).map(Concurrency::EachNode),
        None => positive(text).map(Concurrency::InAll),
    }
    .map_err(|error| format!("{error}, or one followed by n, such as 4n"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: TestOptions,
    }

    /// Those of upstream's `core.clj`, and of the command line of Jepsen below it.
    #[test]
    fn what_is_left_out_is_as_upstream() {
        let Ok(line) = Line::try_parse_from(["test", "--bin", "node"]) else {
            panic!("nothing else is needed");
        };
        let TestOptions {
            run, test_count, ..
        } = line.options;
        assert_eq!(test_count, 1);
        assert_eq!(run.workload, WorkloadName::LinKv);
        assert!(run.nemesis.is_empty() && run.availability.is_none());
        let settings = run.settings(1).expect("good names");
        assert_eq!(settings.nodes, ["n1", "n2", "n3", "n4", "n5"]);
        assert_eq!(settings.init_timeout, Duration::from_secs(10));
        assert_eq!(settings.client_count, 5);
        assert_eq!(settings.rate_per_s, 5.0);
        assert_eq!(settings.time_limit, Duration::from_secs(60));
        assert_eq!(settings.recovery, Duration::from_secs(10));
        assert_eq!(settings.latency.mean, Duration::ZERO);
        assert_eq!(settings.latency.distribution, Distribution::Constant);
        assert_eq!(settings.fault_interval, Duration::from_secs(10));
        let load = &run.load;
        assert!(load.words().is_empty() && load.consistency_models.is_empty());
        assert_eq!((load.key_count, load.max_txn_length), (10, 4));
        assert_eq!(load.max_writes_per_key, 16);
    }

    #[test]
    fn words_that_are_no_flags_are_the_nodes_as_upstream() {
        let words = "test --bin node broadcast --rate 7 fast -- --seed 3";
        let Ok(line) = Line::try_parse_from(words.split(' ')) else {
            panic!("all of it is known");
        };
        let run = line.options.run;
        assert_eq!(run.node_args, ["broadcast", "fast", "--seed", "3"]);
        assert_eq!((run.rate, run.seed), (7.0, None));
    }

    #[test]
    fn lists_may_have_spaces_beside_their_commas() {
        let (faults, names) = ("partition, kill", "a ,b");
        let words = [
            "test",
            "--bin",
            "node",
            "--nemesis",
            faults,
            "--nodes",
            names,
        ];
        let Ok(line) = Line::try_parse_from(words) else {
            panic!("they are good lists");
        };
        let run = line.options.run;
        assert_eq!(run.nemesis, [Fault::Partition, Fault::Kill]);
        assert_eq!(run.nodes, ["a", "b"]);
    }
}
