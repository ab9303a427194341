//! The flags of `eddy test` that say what clients ask for, and what the answers are held to.

use clap::Args;

use super::options::positive;
use super::repeat::flag_value;
use super::test::TestError;
use crate::workbench::check::consistency::Level;
use crate::workbench::check::txn::Model;
use crate::workbench::workload::{KeyLimits, Topology, TxnLimits, Workload};
use crate::workbench::world::Settings;

#[derive(Args)]
#[command(next_help_heading = "Options of single workloads")]
pub(super) struct LoadOptions {
    /// What neighbours nodes are shown: broadcast.
    #[arg(long, value_name = "SHAPE", value_enum, default_value = "grid")]
    pub topology: Topology,

    /// How many keys to use at a time: kafka and transactions.
    #[arg(long, value_name = "N", default_value = "10", value_parser = positive)]
    pub key_count: usize,

    /// How many steps a transaction has at most.
    #[arg(long, value_name = "N", default_value = "4", value_parser = positive)]
    pub max_txn_length: usize,

    /// How often to write to a key before another takes its place: kafka and transactions.
    #[arg(long, value_name = "N", default_value = "16", value_parser = positive)]
    pub max_writes_per_key: usize,

    /// What to hold answers to. Transactions: read-uncommitted, read-committed, serializable, and so on, if nothing is
    /// said strict-serializable. Counters: eventual, regular, sequential or linearizable, if nothing is said eventual.
    #[arg(long, value_name = "MODELS", value_delimiter = ',')]
    pub consistency_models: Vec<String>,
}

impl LoadOptions {
    /// The flags that say the same, without those that say what holds anyway.
    pub(super) fn words(&self) -> Vec<String> {
        let LoadOptions {
            topology,
            key_count,
            max_txn_length,
            max_writes_per_key,
            consistency_models,
        } = self;
        let mut words = Vec::new();
        if *topology != Topology::Grid {
            words.push(format!("--topology {}", flag_value(*topology)));
        }
        if *key_count != 10 {
            words.push(format!("--key-count {key_count}"));
        }
        if *max_txn_length != 4 {
            words.push(format!("--max-txn-length {max_txn_length}"));
        }
        if *max_writes_per_key != 16 {
            words.push(format!("--max-writes-per-key {max_writes_per_key}"));
        }
        if !consistency_models.is_empty() {
            let models = consistency_models.join(",");
            words.push(format!("--consistency-models {models}"));
        }
        words
    }

    /// How keys are used.
    pub(super) fn keys(&self) -> KeyLimits {
        KeyLimits {
            key_count: self.key_count,
            max_writes_per_key: self.max_writes_per_key as u64,
        }
    }

    /// Makes counters that are held to what was asked for.
    ///
    /// # Errors
    ///
    /// When counters know no such level.
    pub(super) fn counter<W>(
        &self,
        new: impl Fn(Vec<Level>) -> W,
    ) -> Result<impl Fn(&Settings) -> W, TestError> {
        let level = |name: &String| match name.trim() {
            "eventual" => Ok(Level::EventuallyRight),
            "regular" => Ok(Level::Regular),
            "sequential" => Ok(Level::Sequential),
            "linearizable" => Ok(Level::Linearizable),
            _ => Err(TestError::Options(format!(
                "--consistency-models: a counter can't be held to {name:?}, but to eventual, regular, sequential and \
                 linearizable"
            ))),
        };
        let levels = self.consistency_models.iter().map(level);
        let levels: Vec<Level> = levels.collect::<Result<_, _>>()?;
        Ok(move |_: &Settings| new(levels.clone()))
    }

    /// Makes transactions that are held to what was asked for.
    ///
    /// # Errors
    ///
    /// When transactions know no such model.
    pub(super) fn transactions<W>(
        &self,
        new: impl Fn(TxnLimits, Vec<Model>) -> W,
    ) -> Result<impl Fn(&Settings) -> W, TestError> {
        let limits = TxnLimits {
            keys: self.keys(),
            max_txn_length: self.max_txn_length,
        };
        let default = ["strict-serializable"];
        let default = default
            .into_iter()
            .filter(|_| self.consistency_models.is_empty());
        let names = self.consistency_models.iter().map(|name| name.trim());
        let models = names.chain(default).map(str::parse);
        let models: Result<Vec<Model>, String> = models.collect();
        let models =
            models.map_err(|error| TestError::Options(format!("--consistency-models: {error}")))?;
        Ok(move |_: &Settings| new(limits, models.clone()))
    }

    /// Makes a workload that knows only one model.
    ///
    /// # Errors
    ///
    /// When others were asked for.
    pub(super) fn plain<W: Workload, F: Fn(&Settings) -> W>(&self, new: F) -> Result<F, TestError> {
        if self.consistency_models.is_empty() {
            return Ok(new);
        }
        Err(TestError::Options(format!(
            "--consistency-models is for transactions and counters; {} is held to what it always promises",
            W::NAME
        )))
    }
}
