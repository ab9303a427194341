//! `eddy runs` lists the runs in the store, and removes old ones.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::console::{as_far_as_read, harmless, say};
use super::error::CommandError;
use super::values::whole;
use crate::workbench::check::Validity;
use crate::workbench::report::listing::{self, ListedRun, Summary};
use crate::workbench::report::page;
use crate::workbench::store::{StoreError, remove_old_runs, replace_index};
use crate::workbench::words::counted;

/// The flags of `eddy runs`.
#[derive(Args)]
#[command(
    after_help = "eddy show RUN shows the findings of a run, and eddy show RUN --messages prints its messages."
)]
pub(super) struct RunsOptions {
    /// The folder in which runs were stored.
    #[arg(long, value_name = "DIR", default_value = "store")]
    store: PathBuf,

    /// First remove all but the newest N runs. Runs that have not ended are neither removed nor counted. A folder with
    /// any other files is not removed.
    #[arg(long, value_name = "N", value_parser = whole::<usize>)]
    keep: Option<usize>,
}

/// Removes old runs if requested, and lists the others, the oldest first.
pub(super) fn list(options: &RunsOptions) -> Result<Validity, CommandError> {
    let store = existing(&options.store)?;
    let mut is_store = false;
    if let Some(keep) = options.keep {
        let removal = remove_old_runs(store, keep)?;
        say(format_args!(
            "{} removed",
            counted(removal.removed_count, "run")
        ));
        is_store = removal.removed_count > 0;
        for (run, entry) in removal.left {
            say(format_args!("{run} is left: {entry} in it is not eddy's"));
        }
    }
    let runs = listing::list(store)?;
    // A folder that has never had a run may be anything, with an index.html of its own.
    if is_store || !runs.is_empty() {
        write_index(store, &runs);
    }
    as_far_as_read(print(runs))
}

fn print(runs: Vec<ListedRun>) -> Result<(), CommandError> {
    let width = runs.iter().map(|listed| listed.run.name().len()).max();
    let width = width.unwrap_or_default();
    let summaries = runs
        .iter()
        .filter_map(|listed| listed.summary.as_ref().ok());
    let verdict_width = summaries.map(|summary| summary.verdict().len()).max();
    let verdict_width = verdict_width.unwrap_or_default();
    let mut out = io::stdout().lock();
    for ListedRun { run, summary } in runs {
        let name = run.name();
        let line = match summary {
            Err(why) => format!("{name:width$}  {why}"),
            Ok(summary) => {
                let verdict = summary.verdict();
                let Summary { seed, finding, .. } = summary;
                let seed = seed.map_or_else(String::new, |seed| format!("seed {seed}"));
                format!("{name:width$}  {verdict:verdict_width$}  {seed:<15}  {finding}")
            }
        };
        writeln!(out, "{}", harmless(line.trim_end()))?;
    }
    Ok(())
}

/// Writes the page of the runs in a store again, after a run was stored.
pub(super) fn renew_index(store: &Path) {
    match listing::list(store) {
        Ok(runs) => write_index(store, &runs),
        Err(error) => say_stale(&error),
    }
}

fn write_index(store: &Path, runs: &[ListedRun]) {
    if let Err(error) = replace_index(store, |out| page::write_index(runs, out)) {
        say_stale(&error);
    }
}

fn say_stale(error: &StoreError) {
    say(format_args!(
        "eddy: the list of runs is not up to date: {error}"
    ));
}

/// The same folder, or an error that says what to do about a missing one.
pub(super) fn existing(store: &Path) -> Result<&Path, CommandError> {
    match store.exists() {
        true => Ok(store),
        false => Err(CommandError::NoStore(store.to_path_buf())),
    }
}
