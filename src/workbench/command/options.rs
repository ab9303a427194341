//! The flags of `eddy test`, with Maelstrom's names, defaults and meanings where Maelstrom has them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{EnumValueParser, StringValueParser};

use super::clients::ClientOptions;
use super::help::{self, EXIT_STATUS, FIGURES, MESSAGE_FIGURES, SHOWN_AND_KEPT};
use super::keep::KeepOptions;
use super::stores::{SequentialKv, SequentialKvParser, StoreOptions};
use super::values::{
    COUNT_MAX, Trimmed, count, milliseconds, not_negative, positive, some_seconds,
};
use crate::workbench::audit::Demands;
use crate::workbench::latency::{Distribution, Latency};
use crate::workbench::log::Topics;
use crate::workbench::nemesis::Fault;
use crate::workbench::world::{Settings, node_names};

fn after_help() -> String {
    let challenges = help::challenges();
    format!("{challenges}\n\n{FIGURES}\n{MESSAGE_FIGURES}\n\n{EXIT_STATUS}")
}

/// How `eddy test` is called. In an error, clap would show the flags that were given as if they were needed, too.
const USAGE: &str = "eddy test [OPTIONS] --bin <FILE> [NODE ARGS]...";

/// The flags of `eddy test`.
#[derive(Args)]
#[command(args_override_self = true, override_usage = USAGE, after_help = after_help())]
pub(super) struct TestOptions {
    /// The program of the nodes.
    #[arg(long, value_name = "FILE")]
    pub bin: PathBuf,

    /// How many runs to do one after the other, each with its own seed. The first run that is not valid is the last.
    #[arg(long, value_name = "N", default_value = "1", value_parser = positive)]
    pub test_count: usize,

    /// Run again, with the same seed, each time the program changes, until Ctrl-C. Each run is one line, with what has
    /// changed since the run before; eddy show shows all about the last.
    #[arg(long, conflicts_with = "test_count")]
    pub watch: bool,

    #[command(flatten)]
    pub run: RunOptions,

    #[command(flatten, next_help_heading = "A cluster as the store")]
    pub stores: StoreOptions,

    #[command(flatten)]
    pub output: OutputOptions,
}

/// The flags that decide what is printed and stored of a run.
#[derive(Args)]
#[command(next_help_heading = SHOWN_AND_KEPT)]
pub(super) struct OutputOptions {
    /// Print the nodes' stderr, with the time in the run.
    #[arg(long)]
    pub log_stderr: bool,

    #[command(flatten)]
    pub keep: KeepOptions,

    /// Print messages when they are sent, and write them to log.txt.
    #[arg(long)]
    pub log_net_send: bool,

    /// Print messages when they arrive or are lost, and write them to log.txt.
    #[arg(long)]
    pub log_net_recv: bool,
}

impl OutputOptions {
    /// The topics to print.
    pub(super) fn topics(&self) -> Topics {
        Topics {
            run: false,
            stderr: self.log_stderr,
            sent: self.log_net_send,
            received: self.log_net_recv,
        }
    }
}

/// The flags of every run, with real processes or simulated nodes.
#[derive(Args)]
pub(super) struct RunOptions {
    /// The arguments of each node. Arguments that begin with a dash go last, after --.
    #[arg(value_name = "NODE ARGS")]
    pub node_args: Vec<String>,

    #[command(flatten)]
    pub clients: ClientOptions,

    /// How many nodes to run, named n0, n1, and so on. Overrides --nodes.
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true)]
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

    /// How many seconds a node may take to answer init.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = some_seconds, allow_negative_numbers = true)]
    pub init_timeout: Duration,

    /// The mean latency of a message between nodes, or to and from a service, in milliseconds.
    #[arg(
        long,
        value_name = "MILLISECONDS",
        default_value = "0",
        value_parser = milliseconds,
        allow_negative_numbers = true
    )]
    pub latency: u64,

    /// The distribution of latencies.
    #[arg(long, value_name = "TYPE", value_enum, default_value = "constant")]
    pub latency_dist: Distribution,

    /// Which faults to inject, separated by commas. As upstream, a killed node gets init again after its restart, but
    /// not messages that were sent once before the run, such as topology.
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

    /// The mean time between the beginning and the end of faults, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = some_seconds, allow_negative_numbers = true)]
    pub nemesis_interval: Duration,

    /// Which store answers as seq-kv.
    #[arg(long, value_name = "STORE", value_parser = SequentialKvParser, default_value = "maelstrom")]
    pub seq_kv: SequentialKv,

    /// The maximum number of messages between servers per operation.
    #[arg(long, value_name = "N", value_parser = not_negative, allow_negative_numbers = true)]
    pub max_messages_per_op: Option<f64>,
}

impl RunOptions {
    /// The limits on a run besides the guarantees of its workload.
    pub(super) fn demands(&self) -> Demands {
        let mut demands = self.clients.demands();
        demands.limits.messages_per_op_max = self.max_messages_per_op;
        demands
    }

    /// The settings of the run with that seed.
    ///
    /// # Errors
    ///
    /// When two nodes have the same name, or a node has the name of a client or service, or there are too many clients.
    pub(super) fn settings(&self, seed: u64) -> Result<Settings, String> {
        let nodes: Vec<String> = match self.node_count {
            Some(count) => node_names(count),
            None => self.nodes.clone(),
        };
        check_names(&nodes).map_err(|error| format!("--nodes: {error}"))?;
        let clients = self.clients.settings(nodes, seed);
        if clients.client_count > COUNT_MAX {
            return Err(format!(
                "--concurrency: {} clients are more than {COUNT_MAX}",
                clients.client_count
            ));
        }
        Ok(Settings {
            init_timeout: self.init_timeout,
            latency: Latency {
                mean: Duration::from_millis(self.latency),
                distribution: self.latency_dist,
            },
            sequential_store: self.seq_kv.own(),
            faults: self.nemesis.clone(),
            services_suffer: self.nemesis_services,
            fault_interval: self.nemesis_interval,
            ..clients
        })
    }
}

/// Checks that the names of nodes can be told from each other and from all other names.
///
/// # Errors
///
/// Which name can't.
pub(super) fn check_names(nodes: &[String]) -> Result<(), String> {
    let mut known = BTreeSet::from(["seq-kv", "lin-kv", "lww-kv", "lin-tso"]);
    for name in nodes {
        let number = name.strip_prefix('c');
        let is_number =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_client = number.is_some_and(is_number);
        if name.is_empty() || is_client || !known.insert(name) {
            return Err(format!(
                "no node can be named {name:?}. Names differ from each other, from those of clients (c0, c1, \
                 ...) and from those of services"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::workloads::WorkloadName;
    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: TestOptions,
    }

    /// The defaults are those of upstream's `core.clj`, and of Jepsen's command line below it.
    #[test]
    fn what_is_left_out_is_as_upstream() {
        let Ok(line) = Line::try_parse_from(["test", "--bin", "node"]) else {
            panic!("nothing else is needed");
        };
        let TestOptions {
            run, test_count, ..
        } = line.options;
        assert_eq!(test_count, 1);
        assert_eq!(run.clients.workload, WorkloadName::LinKv);
        assert!(run.nemesis.is_empty() && run.clients.availability.is_none());
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
        let default = Settings::new(settings.nodes.clone());
        assert_eq!(format!("{settings:?}"), format!("{default:?}"));
        let requests = &run.clients.requests;
        assert!(requests.words().is_empty() && requests.consistency_models.is_empty());
        assert_eq!((requests.key_count, requests.max_txn_length), (10, 4));
        assert_eq!(requests.max_writes_per_key, 16);
    }

    #[test]
    fn words_that_are_no_flags_are_the_nodes_as_upstream() {
        let words = "test --bin node broadcast --rate 7 fast -- --seed 3";
        let Ok(line) = Line::try_parse_from(words.split(' ')) else {
            panic!("all of it is known");
        };
        let run = line.options.run;
        assert_eq!(run.node_args, ["broadcast", "fast", "--seed", "3"]);
        assert_eq!((run.clients.rate, run.clients.seed), (7.0, None));
    }

    #[test]
    fn more_clients_than_there_is_memory_for_are_refused() {
        let clients = |node_count: &str| {
            let words = [
                "test",
                "--bin",
                "node",
                "--concurrency",
                "400000n",
                "--node-count",
                node_count,
            ];
            let Ok(line) = Line::try_parse_from(words) else {
                panic!("each flag is good");
            };
            line.options
                .run
                .settings(1)
                .map(|settings| settings.client_count)
        };
        assert_eq!(clients("2"), Ok(800_000));
        let error = clients("3").expect_err("too many in all");
        assert!(
            error.contains("1200000 clients are more than 1000000"),
            "{error}"
        );
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
