//! The flags of `eddy test` that say what clients ask for, and what the answers are held to.

use clap::Args;

use super::options::positive;
use super::repeat::flag_value;
use crate::workbench::check::consistency::Level;
use crate::workbench::check::txn::Model;
use crate::workbench::workload::{KeyLimits, Topology, TxnLimits, Workload};

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

    pub(super) fn transactions(&self) -> TxnLimits {
        TxnLimits {
            keys: self.keys(),
            max_txn_length: self.max_txn_length,
        }
    }

    pub(super) fn keys(&self) -> KeyLimits {
        KeyLimits {
            key_count: self.key_count,
            max_writes_per_key: self.max_writes_per_key as u64,
        }
    }

    /// What a counter is held to.
    ///
    /// # Errors
    ///
    /// When there is no such level.
    pub(super) fn levels(&self) -> Result<Vec<Level>, String> {
        let level = |name: &String| match name.trim() {
            "eventual" => Ok(Level::EventuallyRight),
            "regular" => Ok(Level::Regular),
            "sequential" => Ok(Level::Sequential),
            "linearizable" => Ok(Level::Linearizable),
            _ => Err(format!(
                "--consistency-models: a counter can't be held to {name:?}, but to eventual, regular, sequential and \
                 linearizable"
            )),
        };
        self.consistency_models.iter().map(level).collect()
    }

    /// What transactions are held to.
    ///
    /// # Errors
    ///
    /// When there is no such model.
    pub(super) fn models(&self) -> Result<Vec<Model>, String> {
        let names = self.consistency_models.iter();
        let names = names.map(|name| name.trim());
        let default = ["strict-serializable"];
        let default = default
            .into_iter()
            .filter(|_| self.consistency_models.is_empty());
        let models = names.chain(default).map(str::parse);
        let models: Result<_, String> = models.collect();
        models.map_err(|error| format!("--consistency-models: {error}"))
    }

    /// A workload that knows only one model.
    ///
    /// # Errors
    ///
    /// When others were asked for.
    pub(super) fn plain<W: Workload>(&self, workload: W) -> Result<W, String> {
        if self.consistency_models.is_empty() {
            return Ok(workload);
        }
        Err(format!(
            "--consistency-models is for transactions and counters; {} is held to what it always promises",
            W::NAME
        ))
    }
}
