//! Clients of a counter, and helpers that evaluate their reads.

use eddy::workload::GCounter;
use eddy::workload::g_counter::Options;
use serde_json::json;

use super::run::{Operation, Outcome, Run};

/// The maximum number of adds that a counter's value can distinguish, see [`Run::count_apart`].
const ADDS_APART_MAX: usize = 60;

impl Operation {
    /// The value that a read returned; `None` for other operations and reads without a successful reply.
    pub fn value(&self) -> Option<i64> {
        self.ok("read")?["value"].as_i64()
    }
}

impl Run<GCounter> {
    pub fn counters(options: Options, nodes: usize, clients: usize, seed: u64) -> Self {
        let make = move |seed| GCounter::new(options.clone(), seed);
        Run::new(nodes, clients, seed, make)
    }

    /// A client adds `delta`, or reads if there is none.
    pub fn count(&mut self, client: usize, delta: Option<i64>) {
        let body = match delta {
            Some(delta) => json!({"type": "add", "delta": delta}),
            None => json!({"type": "read"}),
        };
        self.invoke(client, body);
    }

    /// A client reads, or adds a number below 5.
    pub fn count_any(&mut self, client: usize) {
        let random = &mut self.world.random;
        let delta = (random.below(2) == 0).then(|| random.below(5) as i64);
        self.count(client, delta);
    }

    /// A client reads. Once in `once_in` times on average it instead adds a power of two that no other add uses, or
    /// subtracts it if `may_take_away`. So a value shows exactly which adds it includes, see
    /// [`counted`](Self::counted).
    pub fn count_apart(&mut self, client: usize, once_in: u64, may_take_away: bool) {
        if self.world.random.below(once_in) > 0 {
            return self.count(client, None);
        }
        let adds = self.adds().count();
        if adds < ADDS_APART_MAX {
            let takes_away = may_take_away && self.world.random.below(2) == 0;
            let sign = if takes_away { -1 } else { 1 };
            self.count(client, Some(sign << adds));
        }
    }

    /// For each operation, whether it is an add that `value` includes. All adds must come from
    /// [`count_apart`](Self::count_apart).
    pub fn counted(&self, value: i64) -> Vec<bool> {
        let deltas = || self.operations.iter().map(|it| it.delta.unwrap_or(0));
        let taken_away: i64 = deltas().filter(|delta| *delta < 0).sum();
        // In `bits`, an add has its bit set if it is included, and a subtraction if it is not.
        let bits = value - taken_away;
        deltas()
            .map(|delta| delta != 0 && (bits & delta.abs() != 0) == (delta > 0))
            .collect()
    }

    /// Every client reads. Returns the value, which must be the same for all.
    pub fn read_everywhere(&mut self) -> i64 {
        let first = self.operations.len();
        (0..self.clients()).for_each(|client| self.count(client, None));
        self.rest(5000);
        let reads = &self.operations[first..];
        assert_eq!(reads.len(), self.clients(), "someone still waits");
        let values = reads.iter().map(|read| {
            let value = read.value();
            value.unwrap_or_else(|| panic!("a final read failed: {read:?}"))
        });
        let values: Vec<i64> = values.collect();
        let is_same = values.iter().all(|value| *value == values[0]);
        assert!(is_same, "final reads differ: {values:?}");
        values[0]
    }

    /// The reads that were answered, with their values.
    pub fn reads(&self) -> impl Iterator<Item = (&Operation, i64)> + Clone {
        self.operations
            .iter()
            .filter_map(|operation| Some((operation, operation.value()?)))
    }

    /// The reads that were answered, each with the operations that are [counted](Self::counted) in it.
    pub fn reads_apart(&self) -> Vec<(&Operation, Vec<bool>)> {
        let reads = self.reads();
        reads
            .map(|(read, value)| (read, self.counted(value)))
            .collect()
    }

    /// The adds, with their deltas.
    pub fn adds(&self) -> impl Iterator<Item = (&Operation, i64)> + Clone {
        self.operations
            .iter()
            .filter_map(|operation| Some((operation, operation.delta?)))
    }

    /// The sum of the adds for which `is` returns true.
    pub fn sum(&self, is: impl Fn(&Operation) -> bool) -> i64 {
        let adds = self.adds().filter(|(add, _)| is(add));
        adds.map(|(_, delta)| delta).sum()
    }

    pub fn assert_answered(&self) {
        for operation in &self.operations {
            assert_ne!(operation.outcome, Outcome::UnderWay, "{operation:?}");
        }
    }
}
