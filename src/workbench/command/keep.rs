//! What a run leaves, and how its report is printed.

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
    /// The folder in which each run leaves what is known of it, in a folder of its own: the page report.html to look at,
    /// results, history, messages, the log log.txt, and what nodes logged.
    #[arg(long, value_name = "DIR", default_value = "store")]
    pub store: PathBuf,

    /// Leave nothing on disk.
    #[arg(long)]
    pub no_store: bool,

    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,
}

impl KeepOptions {
    /// The folder of a run, if there is to be one and can be one. Its log has these topics, and operations, faults and
    /// stderr of nodes.
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

    /// Prints a result, as JSON if that is asked for.
    pub(super) fn print(&self, result: &(impl Display + Serialize)) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            let json = serde_json::to_string(result).map_err(io::Error::from)?;
            return writeln!(out, "{json}");
        }
        writeln!(out, "{}", harmless(&result.to_string()))
    }
}
