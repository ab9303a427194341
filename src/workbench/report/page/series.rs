//! Latency and rate over time, computed from every operation.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::super::figures::quantile;
use crate::workbench::history::{Operation, Outcome};
use crate::workbench::workload::Workload;

/// The maximum number of intervals of a run.
const BINS_MAX: u64 = 150;

/// The mean number of operations per interval, if there are enough for ten intervals. Fewer operations have no
/// meaningful quantiles.
const OPERATIONS_PER_BIN: u64 = 50;

/// The figures of a run, by interval.
#[derive(Serialize)]
pub(super) struct Series {
    /// The length of each interval but the last.
    bin_us: u64,
    /// The end of the last interval, and of the run. The last interval is at least half and at most one and a half
    /// times as long as the others.
    end_us: u64,
    /// By type of operation; the key "" is for all types together.
    by_kind: BTreeMap<&'static str, Bins>,
}

/// Each list has an element for each interval.
#[derive(Clone, Default, Serialize)]
struct Bins {
    /// Successful operations per second, by the time of the reply.
    ok: Vec<f64>,
    /// Refused operations per second.
    failed: Vec<f64>,
    /// Operations of unknown outcome per second.
    indeterminate: Vec<f64>,
    /// The latencies of successful operations that were invoked in the interval.
    p50_us: Vec<Option<u64>>,
    p95_us: Vec<Option<u64>>,
    p99_us: Vec<Option<u64>>,
    max_us: Vec<Option<u64>>,
    #[serde(skip)]
    latencies: Vec<Vec<Duration>>,
}

impl Series {
    pub(super) fn new<W: Workload>(history: &[Operation<W::Call, W::Answer>]) -> Self {
        let ends = history.iter().map(|operation| operation.completed_at);
        let end_us = ends.max().unwrap_or_default().as_micros() as u64;
        let bins_max = (history.len() as u64 / OPERATIONS_PER_BIN).clamp(10, BINS_MAX);
        let bin_us = bin_us(end_us, bins_max);
        let count = ((end_us + bin_us / 2) / bin_us).max(1) as usize;
        let mut by_kind: BTreeMap<&'static str, Bins> = BTreeMap::new();
        for operation in history {
            for kind in ["", W::request_kind(&operation.call)] {
                let bins = by_kind.entry(kind).or_insert_with(|| Bins::new(count));
                bins.add(operation, bin_us);
            }
        }
        let last_us = end_us.max(1) - (count as u64 - 1) * bin_us;
        for bins in by_kind.values_mut() {
            bins.sum_up(bin_us, last_us);
        }
        Series {
            bin_us,
            end_us,
            by_kind,
        }
    }
}

/// The shortest round length that makes at most `bins_max` intervals.
fn bin_us(end_us: u64, bins_max: u64) -> u64 {
    let powers = (3..).map(|power| 10u64.pow(power));
    let mut lengths = powers.flat_map(|power| [power, 2 * power, 5 * power]);
    lengths
        .find(|length_us| end_us / length_us < bins_max)
        .expect("a run is shorter than all time")
}

impl Bins {
    fn new(count: usize) -> Self {
        Bins {
            ok: vec![0.0; count],
            failed: vec![0.0; count],
            indeterminate: vec![0.0; count],
            latencies: vec![Vec::new(); count],
            ..Bins::default()
        }
    }

    fn add<C, A>(&mut self, operation: &Operation<C, A>, bin_us: u64) {
        let last = self.ok.len() - 1;
        let bin = |at: Duration| last.min((at.as_micros() as u64 / bin_us) as usize);
        let counts = match operation.outcome {
            Outcome::Ok(_) => &mut self.ok,
            Outcome::Failed(_) => &mut self.failed,
            Outcome::Indeterminate(_) => &mut self.indeterminate,
        };
        counts[bin(operation.completed_at)] += 1.0;
        if operation.outcome.is_ok() {
            let latency = operation.completed_at - operation.invoked_at;
            self.latencies[bin(operation.invoked_at)].push(latency);
        }
    }

    /// Computes rates from counts, and quantiles from latencies. All intervals but the last are `bin_us` long.
    fn sum_up(&mut self, bin_us: u64, last_us: u64) {
        for counts in [&mut self.ok, &mut self.failed, &mut self.indeterminate] {
            let last = counts.len() - 1;
            for (bin, count) in counts.iter_mut().enumerate() {
                let width_us = if bin == last { last_us } else { bin_us };
                *count *= 1e6 / width_us as f64;
            }
        }
        for latencies in &mut self.latencies {
            latencies.sort_unstable();
        }
        let quantiles = |part: f64| {
            let of_bin = |latencies: &Vec<Duration>| {
                let latency = quantile(latencies, part)?;
                Some(latency.as_micros() as u64)
            };
            self.latencies.iter().map(of_bin).collect()
        };
        (self.p50_us, self.p95_us) = (quantiles(0.5), quantiles(0.95));
        (self.p99_us, self.max_us) = (quantiles(0.99), quantiles(1.0));
        self.latencies.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::check::counter::{Answer, Call};
    use crate::workbench::check::testing::operation;
    use crate::workbench::workload::GCounter;

    #[test]
    fn lengths_are_round_and_few() {
        assert_eq!(bin_us(0, 150), 1_000);
        assert_eq!(bin_us(20_000_000, 150), 200_000);
        assert_eq!(bin_us(60_000_000, 150), 500_000);
        for end_us in [1, 149_999, 150_000, 3_600_000_000] {
            assert!(end_us / bin_us(end_us, 150) < 150);
        }
    }

    #[test]
    fn an_operation_counts_where_it_ended_and_its_latency_where_it_began() {
        let history = [
            operation(0, 0..7500, Call::Read, Outcome::Ok(Answer::Value(0))),
            operation(1, 0..30_000, Call::Add(1), Outcome::Failed(String::new())),
        ];
        let series = Series::new::<GCounter>(&history);
        assert_eq!(series.bin_us, 5_000_000);
        let all = &series.by_kind[""];
        assert_eq!(all.ok, [0.0, 0.2, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(all.failed, [0.0, 0.0, 0.0, 0.0, 0.0, 0.2]);
        assert_eq!(
            (all.p50_us[0], all.max_us[0]),
            (Some(7_500_000), Some(7_500_000))
        );
        assert_eq!(all.p50_us[1], None);
        assert_eq!(series.by_kind["add"].ok, [0.0; 6]);
        assert_eq!(series.by_kind["read"].ok[1], 0.2);
    }

    #[test]
    fn the_rate_of_a_steady_run_is_level_to_its_end() {
        for operation_count in 990..1100 {
            let reads = (0..operation_count).map(|index| {
                let at_ms = 10 * index;
                let answer = Outcome::Ok(Answer::Value(0));
                operation(0, at_ms..at_ms + 10, Call::Read, answer)
            });
            let history: Vec<_> = reads.collect();
            let series = Series::new::<GCounter>(&history);
            let rates = &series.by_kind[""].ok;
            let is_level = |rate: &f64| (90.0..=111.0).contains(rate);
            assert!(rates.iter().all(is_level), "{operation_count}: {rates:?}");
        }
    }
}
