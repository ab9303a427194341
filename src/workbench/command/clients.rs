//! The flags about the clients of a run, which are the same wherever its nodes are.

use std::time::Duration;

use clap::Args;

use super::requests::RequestOptions;
use super::values::{count, not_negative, seconds, whole};
use super::workloads::WorkloadName;
use crate::stdio::random_seed;
use crate::workbench::audit::Demands;
use crate::workbench::check::availability::Availability;
use crate::workbench::check::limits::{Limits, StableLatency};
use crate::workbench::world::Settings;

/// The flags of every run that are about its clients, and about what the run must keep.
#[derive(Args)]
pub(super) struct ClientOptions {
    /// The workload to test.
    #[arg(short, long, value_enum, default_value = "lin-kv")]
    pub workload: WorkloadName,

    /// The approximate number of operations per second, of all clients together.
    #[arg(long, value_name = "RATE", default_value = "5", value_parser = not_negative, allow_negative_numbers = true)]
    pub rate: f64,

    /// How many seconds clients send requests, before faults end and the last requests are sent.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, allow_negative_numbers = true)]
    pub time_limit: Duration,

    /// The number of clients, in all or for each node, such as 4n.
    #[arg(long, value_name = "C|Cn", default_value = "1n", value_parser = concurrency)]
    pub concurrency: Concurrency,

    /// The share of operations that must succeed: total, or a fraction such as 0.9.
    #[arg(long, value_name = "total|FRACTION")]
    pub availability: Option<Availability>,

    /// The maximum time from the acknowledgement of a value until every node has it, in milliseconds, for the median
    /// and the maximum: median=400,max=600, or one of them. Broadcast and g-set.
    #[arg(long, value_name = "LIMITS")]
    pub max_stable_latency: Option<StableLatency>,

    /// Let warnings make a run invalid. A warning is about something that Maelstrom accepts but that most would call a
    /// fault.
    #[arg(long)]
    pub strict: bool,

    /// The seed of all random choices. With real processes it repeats the requests and the faults, not the timing.
    #[arg(long, value_name = "N", value_parser = whole::<u64>)]
    pub seed: Option<u64>,

    /// How many seconds the network rests before the last requests.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, allow_negative_numbers = true)]
    pub recovery: Duration,

    #[command(flatten)]
    pub requests: RequestOptions,
}

/// The number of clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Concurrency {
    InAll(usize),
    EachNode(usize),
}

impl ClientOptions {
    /// The limits on a run besides the guarantees of its workload.
    pub(super) fn demands(&self) -> Demands {
        Demands {
            availability: self.availability,
            limits: Limits {
                messages_per_op_max: None,
                stable_latency_max: self.max_stable_latency,
            },
            is_strict: self.strict,
        }
    }

    /// The seed that was given, or one of the operating system's that is short enough to be typed.
    pub(super) fn first_seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| random_seed() >> 32)
    }

    /// The settings of a run on these nodes with that seed, without latency and faults.
    pub(super) fn settings(&self, nodes: Vec<String>, seed: u64) -> Settings {
        Settings {
            client_count: match self.concurrency {
                Concurrency::InAll(count) => count,
                Concurrency::EachNode(count) => count.saturating_mul(nodes.len()),
            },
            rate_per_s: self.rate,
            time_limit: self.time_limit,
            recovery: self.recovery,
            seed,
            ..Settings::new(nodes)
        }
    }
}

fn concurrency(text: &str) -> Result<Concurrency, String> {
    match text.strip_suffix('n') {
        Some("") => Ok(Concurrency::EachNode(1)),
        Some(each) => count(each).map(Concurrency::EachNode),
        None => count(text).map(Concurrency::InAll),
    }
    .map_err(|error| format!("{error}, or one followed by n, such as 4n"))
}
