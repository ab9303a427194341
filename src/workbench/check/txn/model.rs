//! The consistency models for transactions, by upstream's names.
//!
//! A model is defined by the cycles of dependencies that it forbids, and by an order of the transactions that the
//! dependencies must agree with: after Adya ("Weak consistency", 1999) and, for snapshot isolation, Cerone & Gotsman
//! ("Analysing snapshot isolation", 2016).

use std::fmt;
use std::str::FromStr;

/// Which cycles of dependencies a model forbids. Each kind includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cycles {
    /// Cycles of write-write dependencies (G0).
    Writes,
    /// Cycles of write-write and write-read dependencies (G1c).
    Information,
    /// Cycles of any dependencies in which no read-write dependency follows another one (G-nonadjacent).
    Nonadjacent,
    /// Cycles of any dependencies (G2).
    Any,
}

/// Which order of transactions, beyond the data, the dependencies must agree with. Each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// None.
    Data,
    /// The order in which each client ran its transactions.
    Session,
    /// Real time: a transaction that completed before another was invoked comes before it.
    RealTime,
}

/// A consistency model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    name: &'static str,
    /// The cycles that it forbids.
    pub cycles: Cycles,
    /// The order that it keeps.
    pub order: Order,
}

/// Every model that can be checked, under the first of its names.
pub const MODELS: [Model; 12] = [
    Model::new("read-uncommitted", Cycles::Writes, Order::Data),
    Model::new("read-committed", Cycles::Information, Order::Data),
    Model::new("snapshot-isolation", Cycles::Nonadjacent, Order::Data),
    Model::new("repeatable-read", Cycles::Any, Order::Data),
    Model::new("serializable", Cycles::Any, Order::Data),
    Model::new(
        "strong-session-read-uncommitted",
        Cycles::Writes,
        Order::Session,
    ),
    Model::new(
        "strong-session-read-committed",
        Cycles::Information,
        Order::Session,
    ),
    Model::new(
        "strong-session-snapshot-isolation",
        Cycles::Nonadjacent,
        Order::Session,
    ),
    Model::new("strong-session-serializable", Cycles::Any, Order::Session),
    Model::new(
        "strong-read-committed",
        Cycles::Information,
        Order::RealTime,
    ),
    Model::new(
        "strong-snapshot-isolation",
        Cycles::Nonadjacent,
        Order::RealTime,
    ),
    Model::new("strict-serializable", Cycles::Any, Order::RealTime),
];

/// Other names of these models.
const ALIASES: [(&str, &str); 11] = [
    ("PL-1", "read-uncommitted"),
    ("PL-2", "read-committed"),
    ("PL-SI", "snapshot-isolation"),
    ("PL-2.99", "repeatable-read"),
    ("PL-3", "serializable"),
    ("PL-SS", "strict-serializable"),
    ("strong-session-PL-1", "strong-session-read-uncommitted"),
    ("strong-session-PL-2", "strong-session-read-committed"),
    ("strong-PL-2", "strong-read-committed"),
    ("conflict-serializable", "serializable"),
    ("strong-serializable", "strict-serializable"),
];

/// Models that Elle knows but that can't be checked here, by the weakest of the models above that is stronger in
/// Elle's order.
const WEAKER: [(&str, &[&str]); 4] = [
    (
        "snapshot-isolation",
        &[
            "causal-cerone",
            "consistent-view",
            "cursor-stability",
            "forward-consistent-view",
            "monotonic-atomic-view",
            "monotonic-snapshot-read",
            "monotonic-view",
            "parallel-snapshot-isolation",
            "PL-2+",
            "PL-2L",
            "PL-CS",
            "PL-FCV",
            "PL-MSR",
            "prefix",
            "read-atomic",
            "ROLA",
            "update-atomic",
        ],
    ),
    (
        "serializable",
        &["PL-3U", "update-serializable", "view-serializable"],
    ),
    (
        "strong-read-committed",
        &["strong-PL-1", "strong-read-uncommitted"],
    ),
    (
        "strict-serializable",
        &[
            "1SR",
            "causal",
            "linearizable",
            "monotonic-reads",
            "monotonic-writes",
            "PRAM",
            "read-your-writes",
            "sequential",
            "session-serializable",
            "writes-follow-reads",
        ],
    ),
];

impl Model {
    const fn new(name: &'static str, cycles: Cycles, order: Order) -> Self {
        Model {
            name,
            cycles,
            order,
        }
    }

    /// Whether Elle knows a model of that name, even if it can't be checked here.
    pub fn is_known(name: &str) -> bool {
        name.parse::<Model>().is_ok() || WEAKER.iter().any(|(_, weaker)| weaker.contains(&name))
    }

    /// Whether the model forbids reads of aborted (G1a) and of intermediate (G1b) writes, and all anomalies that imply
    /// such a read.
    pub fn forbids_dirty_reads(self) -> bool {
        self.cycles >= Cycles::Information
    }

    /// Whether the model requires repeatable reads and reads of own writes, and forbids lost updates.
    pub fn forbids_lost_updates(self) -> bool {
        self.cycles >= Cycles::Nonadjacent
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl FromStr for Model {
    type Err = String;

    /// Reads a name as `--consistency-models` takes it.
    fn from_str(name: &str) -> Result<Self, String> {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
        let canonical = alias.map_or(name, |(_, canonical)| canonical);
        MODELS
            .into_iter()
            .find(|model| model.name == canonical)
            .ok_or_else(|| {
                let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
                let stronger = WEAKER.iter().find(|(_, weaker)| weaker.contains(&name));
                let stronger = stronger.map_or_else(String::new, |(stronger, _)| {
                    format!(". The nearest that is stronger is {stronger}")
                });
                format!(
                    "{name:?} is no consistency model that can be checked; these can: {}{stronger}",
                    names.join(", ")
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_have_upstreams_names() {
        assert_eq!(
            "PL-2".parse::<Model>().unwrap(),
            "read-committed".parse().unwrap()
        );
        for model in MODELS {
            assert_eq!(model.to_string().parse::<Model>().unwrap(), model);
        }
        assert!(
            "sequential-ish"
                .parse::<Model>()
                .unwrap_err()
                .contains("strict-serializable")
        );
    }

    #[test]
    fn the_error_for_a_model_that_only_elle_knows_names_the_nearest_stronger_one() {
        for (stronger, weaker) in WEAKER {
            assert!(stronger.parse::<Model>().is_ok());
            for name in weaker {
                let error = name.parse::<Model>().unwrap_err();
                let expected = format!("The nearest that is stronger is {stronger}");
                assert!(error.ends_with(&expected), "{error}");
            }
        }
        assert!(!"dragons".parse::<Model>().unwrap_err().contains("nearest"));
        assert!(Model::is_known("PL-2+") && Model::is_known("PL-2") && !Model::is_known("dragons"));
    }
}
