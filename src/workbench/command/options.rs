//! The flags of `eddy test`: names, defaults and meaning are Maelstrom's where it has them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::EXIT_STATUS;
use crate::workbench::audit::Availability;
use crate::workbench::latency::{Distribution, Latency};
use crate::workbench::nemesis::Fault;
use crate::workbench::world::Settings;

const EXAMPLES: &str = "\
Examples:
  The echo challenge:
    eddy test -w echo --bin ./echo --node-count 1 --time-limit 10
  Unique ids, through partitions:
    eddy test -w unique-ids --bin ./ids --node-count 3 --rate 1000 --time-limit 30 \\
      --availability total --nemesis partition
  The grow-only counter, with an argument for the node:
    eddy test -w g-counter --bin ./counter --node-count 3 --rate 100 --time-limit 20 \\
      --nemesis partition -- --consistency linearizable";

#[derive(Args)]
#[command(args_override_self = true, after_help = format!("{EXAMPLES}\n\n{EXIT_STATUS}"))]
pub(super) struct TestOptions {
    /// What to test.
    #[arg(short, long, value_enum)]
    pub workload: WorkloadName,

    /// The program that a node runs.
    #[arg(long, value_name = "FILE")]
    pub bin: PathBuf,

    /// How many nodes to run, named n0, n1, and so on. Overrides --nodes.
    #[arg(long, value_name = "N", value_parser = positive)]
    pub node_count: Option<usize>,

    /// The names of the nodes.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "n1,n2,n3,n4,n5"
    )]
    pub nodes: Vec<String>,

    /// How many operations a second to ask for, about, all clients together.
    #[arg(long, value_name = "RATE", default_value = "5", value_parser = not_negative)]
    pub rate: f64,

    /// For how many seconds to ask, before faults end and clients ask their last.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub time_limit: Duration,

    /// How many clients there are: a number, or a number for each node, such as 4n.
    #[arg(long, value_name = "C|Cn", default_value = "1n", value_parser = concurrency)]
    pub concurrency: Concurrency,

    /// What a message between nodes, or to and from a service, takes on average, in milliseconds.
    #[arg(long, value_name = "MILLISECONDS", default_value = "0")]
    pub latency: u64,

    /// How latencies spread.
    #[arg(long, value_name = "TYPE", value_enum, default_value = "constant")]
    pub latency_dist: Distribution,

    /// Which faults to inject, separated by commas.
    #[arg(long, value_name = "FAULTS", value_enum, value_delimiter = ',')]
    pub nemesis: Vec<Fault>,

    /// How many seconds there are between the beginning and the end of faults, on average.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = some_seconds)]
    pub nemesis_interval: Duration,

    /// How many operations must succeed: total, or a fraction such as 0.9.
    #[arg(long, value_name = "total|FRACTION", value_parser = availability)]
    pub availability: Option<Availability>,

    /// Where all chance comes from. With real processes it repeats what is asked and what breaks, not the timing.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// How many seconds the network rests before clients ask their last.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub recovery: Duration,

    /// The folder in which each run leaves what is known of it, in a folder of its own: the page report.html to look at,
    /// results, history, messages, and what nodes logged.
    #[arg(long, value_name = "DIR", default_value = "store")]
    pub store: PathBuf,

    /// Leave nothing on disk.
    #[arg(long)]
    pub no_store: bool,

    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,

    /// Show what nodes print on stderr.
    #[arg(long)]
    pub log_stderr: bool,

    /// Show messages as they are sent.
    #[arg(long)]
    pub log_net_send: bool,

    /// Show messages as they arrive.
    #[arg(long)]
    pub log_net_recv: bool,

    /// What each node is given as its own arguments.
    #[arg(last = true, value_name = "NODE ARGS")]
    pub node_args: Vec<String>,
}

/// A workload that can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum WorkloadName {
    /// Nodes send back what they are sent.
    Echo,
    /// Nodes give out ids, none of them twice.
    UniqueIds,
    /// Nodes keep a sum together that only grows.
    GCounter,
}

/// How many clients there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Concurrency {
    InAll(usize),
    EachNode(usize),
}

impl TestOptions {
    /// What the run is like. `seed` stands in where none was given.
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
            rate_per_s: self.rate,
            time_limit: self.time_limit,
            recovery: self.recovery,
            latency: Latency {
                mean: Duration::from_millis(self.latency),
                distribution: self.latency_dist,
            },
            faults: self.nemesis.clone(),
            fault_interval: self.nemesis_interval,
            seed: self.seed.unwrap_or(seed),
        })
    }
}

fn check_names(nodes: &[String]) -> Result<(), String> {
    let mut known = BTreeSet::from(["seq-kv", "lin-kv", "lww-kv", "lin-tso"]);
    for name in nodes {
        let number = name.strip_prefix('c');
        let is_client =
            number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        if name.is_empty() || is_client || !known.insert(name) {
            return Err(format!(
                "--nodes: no node can be named {name:?}. Names differ from each other, from those of clients (c0, c1, \
                 ...) and from those of services"
            ));
        }
    }
    Ok(())
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(String::from("expected a number from 1 up")),
    }
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.0..=1e9).contains(&number) => Ok(number),
        _ => Err(String::from("expected a number from 0 to 1e9")),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    not_negative(text).map(Duration::from_secs_f64)
}

fn some_seconds(text: &str) -> Result<Duration, String> {
    seconds(text).and_then(|duration| match duration {
        Duration::ZERO => Err(String::from("expected more than no time")),
        _ => Ok(duration),
    })
}

fn concurrency(text: &str) -> Result<Concurrency, String> {
    match text.strip_suffix('n') {
        Some("") => Ok(Concurrency::EachNode(1)),
        Some(count) => positive(count).map(Concurrency::EachNode),
        None => positive(text).map(Concurrency::InAll),
    }
    .map_err(|error| format!("{error}, or one followed by n, such as 4n"))
}

fn availability(text: &str) -> Result<Availability, String> {
    match (text, text.parse()) {
        ("total", _) => Ok(Availability::Total),
        (_, Ok(fraction)) if (0.0..=1.0).contains(&fraction) => Ok(Availability::AtLeast(fraction)),
        _ => Err(String::from("expected total, or a fraction from 0 to 1")),
    }
}
