//! Where a run is stored, and how its report is printed.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::console::{harmless, say};
use crate::workbench::log::Topics;
use crate::workbench::store::Store;

/// The flags that say where a run is stored and how its result is printed.
#[derive(Args)]
pub(super) struct KeepOptions {
    /// The folder in which each run makes a folder for its page report.html, its results, history, messages, the log
    /// log.txt, and the logs of its nodes.
    #[arg(long, value_name = "DIR", default_value = "store")]
    pub store: PathBuf,

    /// Store nothing.
    #[arg(long)]
    pub no_store: bool,

    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,
}

impl KeepOptions {
    /// The folder of a run, unless it is not to be stored or can't be created. Its log has these topics, and
    /// operations, faults and the stderr of nodes.
    pub(super) fn new_store(
        &self,
        workload: &str,
        nodes: &[String],
        topics: Topics,
    ) -> Option<Store> {
        if self.no_store {
            return None;
        }
        let topics = Topics {
            run: true,
            stderr: true,
            ..topics
        };
        match Store::create(&self.store, workload, nodes, topics) {
            Ok(store) => Some(store),
            Err(error) => {
                say(format_args!(
                    "eddy: this run will not be stored: {error}. Choose another folder with --store, or none with \
                     --no-store"
                ));
                None
            }
        }
    }

    /// Prints a report, as JSON if requested.
    pub(super) fn print(&self, result: &(impl Display + Serialize)) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            let json = serde_json::to_string(result).map_err(io::Error::from)?;
            return writeln!(out, "{json}");
        }
        writeln!(out, "{}", harmless(&result.to_string()))
    }
}
