//! The throughput, latency and message figures of one run or of several together.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::text::Milliseconds;
use crate::workbench::audit::Counts;
use crate::workbench::history::Operation;
use crate::workbench::workload::Workload;
use crate::workbench::world::{Record, Settings};

/// Throughput, latency and message counts.
#[derive(Default)]
pub struct Figures {
    counts: Counts,
    /// How long clients sent requests, the sum of all runs.
    asked_for: Duration,
    /// The number of successful operations in that time.
    ok_in_time: usize,
    latencies: Vec<Duration>,
    /// The number of messages, and of those that neither come from nor go to a client.
    messages: u64,
    messages_of_servers: u64,
}

/// The latencies of successful operations.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Quantiles {
    /// The median, in milliseconds like the others.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The maximum.
    pub max: f64,
}

impl Figures {
    /// The figures of one run.
    pub fn new<W: Workload>(record: &Record<W>, settings: &Settings) -> Self {
        let history = &record.history;
        Figures {
            counts: Counts::sum(Counts::by_kind::<W>(history).values()),
            asked_for: record.asked_for(settings.time_limit),
            ok_in_time: ok_in_time(history),
            latencies: latencies(history),
            messages: record.sent.all,
            messages_of_servers: record.sent.servers,
        }
    }

    /// Adds the figures of other runs.
    pub fn add(&mut self, other: Figures) {
        self.counts = Counts::sum([self.counts, other.counts].iter());
        self.asked_for += other.asked_for;
        self.ok_in_time += other.ok_in_time;
        self.latencies.extend(other.latencies);
        self.messages += other.messages;
        self.messages_of_servers += other.messages_of_servers;
    }

    /// The number of operations by outcome.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The successful operations per second, while clients sent requests. 0 if they had no time.
    pub fn per_second(&self) -> f64 {
        ratio(self.ok_in_time as f64, self.asked_for.as_secs_f64())
    }

    /// The latencies of successful operations; `None` if there are none.
    pub fn latency_ms(&mut self) -> Option<Quantiles> {
        Quantiles::of(&mut self.latencies)
    }

    /// The messages per operation: all, and those that neither come from nor go to a client.
    pub fn messages_an_operation(&self) -> [f64; 2] {
        let total = self.counts.total() as f64;
        [self.messages, self.messages_of_servers].map(|count| ratio(count as f64, total))
    }
}

/// The share of `count` for one of `total`; 0 if there is none.
pub(super) fn ratio(count: f64, total: f64) -> f64 {
    if total == 0.0 { 0.0 } else { count / total }
}

/// The number of successful operations in the time in which clients sent requests, which is before the final reads.
pub(super) fn ok_in_time<C, A>(history: &[Operation<C, A>]) -> usize {
    let in_time = history.iter().filter(|operation| !operation.is_final);
    in_time
        .filter(|operation| operation.outcome.is_ok())
        .count()
}

/// The latency of each of these operations that was successful.
pub(super) fn latencies<'a, C: 'a, A: 'a>(
    operations: impl IntoIterator<Item = &'a Operation<C, A>>,
) -> Vec<Duration> {
    let operations = operations.into_iter();
    operations
        .filter(|operation| operation.outcome.is_ok())
        .map(|operation| operation.completed_at - operation.invoked_at)
        .collect()
}

impl Quantiles {
    /// The quantiles of these latencies; `None` if there are none.
    pub(super) fn of(latencies: &mut [Duration]) -> Option<Self> {
        latencies.sort_unstable();
        let quantile = |part| quantile(latencies, part).map(milliseconds);
        Some(Quantiles {
            p50: quantile(0.5)?,
            p95: quantile(0.95)?,
            p99: quantile(0.99)?,
            max: quantile(1.0)?,
        })
    }
}

/// The smallest of the sorted `latencies` that at least `part` of them do not exceed; `None` if there are none.
pub(super) fn quantile(latencies: &[Duration], part: f64) -> Option<Duration> {
    let rank = (part * latencies.len() as f64).ceil() as usize;
    latencies.get(rank.saturating_sub(1)).copied()
}

/// A time in milliseconds, to the microsecond.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p95, p99, max] = [self.p50, self.p95, self.p99, self.max].map(Milliseconds);
        write!(f, "p50 {p50}, p95 {p95}, p99 {p99}, max {max}")
    }
}
