//! Latency and rate over time, counted from every operation.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::super::quantile;
use crate::workbench::history::{Operation, Outcome};
use crate::workbench::workload::Workload;

/// A run is cut into no more than so many stretches.
const BINS_MAX: u64 = 150;

/// So many operations are in a stretch on average, if there are enough for ten stretches: fewer have no quantiles.
const OPERATIONS_PER_BIN: u64 = 50;

/// Figures of a run, stretch by stretch.
#[derive(Serialize)]
pub(super) struct Series {
    /// How long each stretch is.
    bin_us: u64,
    /// By type of operation; under "" those of all types.
    by_kind: BTreeMap<&'static str, Bins>,
}

/// Each list has an element for each stretch.
#[derive(Clone, Default, Serialize)]
struct Bins {
    /// How many were answered well, by the time of the answer.
    ok: Vec<u32>,
    /// How many were refused.
    failed: Vec<u32>,
    /// Of how many nothing is known.
    indeterminate: Vec<u32>,
    /// How long those took that were asked in this stretch and answered well.
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
        let count = (end_us / bin_us + 1) as usize;
        let mut by_kind: BTreeMap<&'static str, Bins> = BTreeMap::new();
        for operation in history {
            for kind in ["", W::request_kind(&operation.call)] {
                let bins = by_kind.entry(kind).or_insert_with(|| Bins::new(count));
                bins.add(operation, bin_us);
            }
        }
        by_kind.values_mut().for_each(Bins::sum_up);
        Series { bin_us, by_kind }
    }
}

/// The shortest length that a person can count with and that makes no more than `bins_max` stretches.
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
            ok: vec![0; count],
            failed: vec![0; count],
            indeterminate: vec![0; count],
            latencies: vec![Vec::new(); count],
            ..Bins::default()
        }
    }

    fn add<C, A>(&mut self, operation: &Operation<C, A>, bin_us: u64) {
        let bin = |at: Duration| (at.as_micros() as u64 / bin_us) as usize;
        let counts = match operation.outcome {
            Outcome::Ok(_) => &mut self.ok,
            Outcome::Failed(_) => &mut self.failed,
            Outcome::Indeterminate(_) => &mut self.indeterminate,
        };
        counts[bin(operation.completed_at)] += 1;
        if operation.outcome.is_ok() {
            let latency = operation.completed_at - operation.invoked_at;
            self.latencies[bin(operation.invoked_at)].push(latency);
        }
    }

    fn sum_up(&mut self) {
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
        assert_eq!((all.ok[1], all.ok.iter().sum::<u32>()), (1, 1));
        assert_eq!((all.failed[6], all.failed.len()), (1, 7));
        assert_eq!(
            (all.p50_us[0], all.max_us[0]),
            (Some(7_500_000), Some(7_500_000))
        );
        assert_eq!(all.p50_us[1], None);
        assert_eq!(series.by_kind["add"].ok.iter().sum::<u32>(), 0);
        assert_eq!(series.by_kind["read"].ok[1], 1);
    }
}
