//! The flags that decide what clients request, and which guarantees the replies must keep.

use clap::Args;
use clap::builder::StringValueParser;

use super::console::say;
use super::error::CommandError;
use super::values::{Trimmed, count, flag_value, positive};
use crate::workbench::check::consistency::Level;
use crate::workbench::check::txn::Model;
use crate::workbench::workload::{KeyLimits, Topology, TxnLimits, Workload};
use crate::workbench::world::Settings;

#[derive(Args)]
#[command(next_help_heading = "Options of single workloads")]
pub(super) struct RequestOptions {
    /// Which nodes are neighbours of each other in broadcast.
    #[arg(long, value_name = "SHAPE", value_enum, default_value = "grid")]
    pub topology: Topology,

    /// How many keys logs and transactions use at a time.
    #[arg(long, value_name = "N", default_value = "10", value_parser = count)]
    pub key_count: usize,

    /// The maximum number of steps of a transaction.
    #[arg(long, value_name = "N", default_value = "4", value_parser = count)]
    pub max_txn_length: usize,

    /// How many writes to make to a key of logs and transactions before a new key replaces it.
    #[arg(long, value_name = "N", default_value = "16", value_parser = positive)]
    pub max_writes_per_key: usize,

    /// The guarantees that replies must keep. Transactions: read-uncommitted, read-committed, serializable and others
    /// (default: strict-serializable). Counters: eventual, regular, sequential or linearizable (default: eventual).
    /// Other workloads have fixed guarantees and ignore this.
    #[arg(
        long,
        value_name = "MODELS",
        value_parser = Trimmed(StringValueParser::new()),
        value_delimiter = ','
    )]
    pub consistency_models: Vec<String>,
}

impl RequestOptions {
    /// The flags with these values, without those that are defaults.
    pub(super) fn words(&self) -> Vec<String> {
        let RequestOptions {
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

    /// The parameters of the keys.
    pub(super) fn keys(&self) -> KeyLimits {
        KeyLimits {
            key_count: self.key_count,
            max_writes_per_key: self.max_writes_per_key as u64,
        }
    }

    /// Makes counters that must satisfy the named levels. Says which names are those of other models: as upstream, any
    /// known model may be named with any workload.
    ///
    /// # Errors
    ///
    /// When a name is unknown.
    pub(super) fn counter<W>(
        &self,
        new: impl Fn(Vec<Level>) -> W,
    ) -> Result<impl Fn(&Settings) -> W, CommandError> {
        self.check_models()?;
        let mut levels = Vec::new();
        for name in self.model_names() {
            match counter_level(name) {
                Some(level) => levels.push(level),
                None => say(format_args!(
                    "eddy: the model {name:?} says nothing of a counter, and is not checked. Those of counters are \
                     eventual, regular, sequential and linearizable."
                )),
            }
        }
        Ok(move |_: &Settings| new(levels.clone()))
    }

    /// Makes transactions that must satisfy the named models.
    ///
    /// # Errors
    ///
    /// When a name is not that of a transactional model.
    pub(super) fn transactions<W>(
        &self,
        new: impl Fn(TxnLimits, Vec<Model>) -> W,
    ) -> Result<impl Fn(&Settings) -> W, CommandError> {
        let limits = TxnLimits {
            keys: self.keys(),
            max_txn_length: self.max_txn_length,
        };
        let default = ["strict-serializable"];
        let default = default
            .into_iter()
            .filter(|_| self.consistency_models.is_empty());
        let models = self.model_names().chain(default).map(str::parse);
        let models: Result<Vec<Model>, String> = models.collect();
        let models = models
            .map_err(|error| CommandError::Options(format!("--consistency-models: {error}")))?;
        Ok(move |_: &Settings| new(limits, models.clone()))
    }

    /// Makes a workload with fixed guarantees.
    ///
    /// # Errors
    ///
    /// When the name of a model is unknown.
    pub(super) fn plain<W: Workload, F: Fn(&Settings) -> W>(
        &self,
        new: F,
    ) -> Result<F, CommandError> {
        self.check_models()?;
        Ok(new)
    }

    fn model_names(&self) -> impl Iterator<Item = &str> {
        self.consistency_models.iter().map(String::as_str)
    }

    /// Checks that each name is known. As upstream, any of them may be named with any workload.
    fn check_models(&self) -> Result<(), CommandError> {
        let is_known = |name: &str| counter_level(name).is_some() || Model::is_known(name);
        match self.model_names().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => Err(CommandError::Options(format!(
                "--consistency-models: the model {name:?} is unknown. Those of transactions are read-committed, serializable, \
                 strict-serializable and others, those of counters eventual, regular, sequential and linearizable"
            ))),
        }
    }
}

/// The level of a counter with that name.
fn counter_level(name: &str) -> Option<Level> {
    Some(match name {
        "eventual" => Level::EventuallyRight,
        "regular" => Level::Regular,
        "sequential" => Level::Sequential,
        "linearizable" => Level::Linearizable,
        _ => return None,
    })
}
