//! Where a run is stored, and how its report is printed.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::console::{harmless, say};
use super::runs;
use crate::workbench::audit::Demands;
use crate::workbench::check::Finding;
use crate::workbench::log::Topics;
use crate::workbench::report::page::Page;
use crate::workbench::report::{Invocation, Machine, Report};
use crate::workbench::store::{NotBegun, Store};
use crate::workbench::workload::Workload;
use crate::workbench::world::{Record, Settings};

/// The flags that decide where a run is stored and how its result is printed.
#[derive(Args)]
pub(super) struct KeepOptions {
    /// The folder in which each run or check makes a folder for its page report.html, its results and its history. That of
    /// a run also has the messages in messages.jsonl.lz4 (eddy show --messages prints them), the log log.txt, and the logs
    /// of the nodes.
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

    /// Completes the folder of a run, and lists the run in the page of the store. What can't be written is reported on
    /// stderr, and `report` leaves out what needs it.
    pub(super) fn finish<W: Workload>(
        &self,
        store: Store,
        record: &Record<W>,
        report: &mut Report,
    ) {
        let stored = report.store_with(|report| {
            let nodes = report.nodes();
            store.finish::<W>(report, &record.history, nodes, |recorded, out| {
                Page::new(record, report, Some(recorded))?.write(out)
            })
        });
        if let Err(errors) = stored {
            say(format_args!("eddy: not all of the run is stored: {errors}"));
        }
        runs::renew_index(&self.store);
    }

    /// Stores why a run did not begin, and lists it in the page of the store.
    pub(super) fn not_begun(&self, store: Option<Store>, error: &impl Display) {
        let Some(store) = store else { return };
        let error = error.to_string();
        if let Err(error) = store.finish_not_begun(&NotBegun { error }) {
            say(format_args!("eddy: not all of the run is stored: {error}"));
        }
        runs::renew_index(&self.store);
    }

    /// The report of a run of real processes. Completes the folder of the run, if there is one. An interruption becomes a
    /// finding.
    pub(super) fn report<W: Workload>(
        &self,
        store: Option<Store>,
        record: &mut Record<W>,
        settings: &Settings,
        demands: Demands,
        repeat: Invocation,
    ) -> Report {
        if let Some(at) = record.interrupted_at {
            let interruption = interruption::<W>(at, store.as_ref().map(Store::path));
            record.findings.push(interruption);
        }
        let mut report = Report::new(record, settings, demands, repeat);
        report.set_machine(Machine::this());
        if let Some(store) = store {
            report.set_store(store.path());
            self.finish(store, record, &mut report);
        }
        report
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

/// The finding that a run in this folder was interrupted.
fn interruption<W: Workload>(at: Duration, folder: Option<&Path>) -> Finding {
    let mut what = format!("The run was interrupted after {:.1} s", at.as_secs_f64());
    if W::HAS_LAST_PHASE {
        what += ", before its final requests were answered";
    }
    what += ".";
    if let Some(folder) = folder.filter(|_| W::HAS_LAST_PHASE) {
        let (workload, folder) = (W::NAME, folder.display());
        what += &format!(
            "\neddy check -w {workload} {folder} checks what there is. What had not spread by then counts as lost there."
        );
    }
    Finding::undecided(what, [])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::workload::{Echo, GSet};

    #[test]
    fn an_interruption_before_the_final_reads_names_the_command_that_checks_what_there_is() {
        let (at, folder) = (Duration::from_millis(3_520), Some(Path::new("store/1")));
        let what = interruption::<GSet>(at, folder).what;
        assert!(what.starts_with("The run was interrupted after 3.5 s, before"));
        assert!(
            what.contains("\neddy check -w g-set store/1 checks"),
            "{what}"
        );
        for what in [
            interruption::<GSet>(at, None).what,
            interruption::<Echo>(at, folder).what,
        ] {
            assert!(!what.contains("eddy check"), "{what}");
        }
    }
}
