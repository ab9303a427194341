//! `eddy runs`.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::console::{harmless, say};
use super::error::CommandError;
use crate::workbench::check::Validity;
use crate::workbench::report::Report;
use crate::workbench::store::{StoredRun, remove_old_runs, runs};

/// The flags of `eddy runs`.
#[derive(Args)]
pub(super) struct RunsOptions {
    /// The folder in which runs were stored.
    #[arg(long, value_name = "DIR", default_value = "store")]
    store: PathBuf,

    /// Remove all but the newest N runs first. A run that goes on is not removed, nor counted. Nothing but folders of runs
    /// is removed, and none that holds anything else.
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
}

/// Removes old runs if that is asked for, and lists those that are left, the oldest first.
pub(super) fn list(options: &RunsOptions) -> Result<Validity, CommandError> {
    let store = &*options.store;
    // For the message that says what to do.
    found(store)?;
    if let Some(keep) = options.keep {
        let removal = remove_old_runs(store, keep)?;
        say(format_args!("{} runs removed", removal.removed_count));
        for (run, entry) in removal.left {
            say(format_args!("{run} is left: {entry} in it is not eddy's"));
        }
    }
    let runs = found(store)?;
    let width = runs.iter().map(|run| run.name().len()).max();
    let width = width.unwrap_or_default();
    let mut out = io::stdout().lock();
    for run in runs {
        let name = run.name();
        let line = match report(run.path()) {
            Err(_) if run.is_under_way() => format!("{name:width$}  goes on; see log.txt"),
            Err(why) => format!("{name:width$}  {why}"),
            Ok(report) => {
                let seed = report
                    .seed()
                    .map_or_else(String::new, |seed| format!("seed {seed}"));
                let finding = report.first_finding();
                let finding = finding.lines().next().unwrap_or_default();
                format!(
                    "{name:width$}  {:<7}  {seed:<15}  {finding}",
                    report.validity()
                )
            }
        };
        writeln!(out, "{}", harmless(line.trim_end()))?;
    }
    Ok(Validity::Valid)
}

/// The runs in a store, oldest first.
pub(super) fn found(store: &Path) -> Result<Vec<StoredRun>, CommandError> {
    if !store.exists() {
        return Err(CommandError::NoStore(store.to_path_buf()));
    }
    Ok(runs(store)?)
}

/// The report on the run in a folder, or why there is none, in words.
pub(super) fn report(folder: &Path) -> Result<Report, String> {
    let json = fs::read_to_string(folder.join("results.json"));
    let json = json.map_err(|error| match error.kind() {
        ErrorKind::NotFound => String::from(
            "no results.json: it goes on, did not begin, or was ended too soon; see log.txt",
        ),
        _ => format!("results.json can't be read: {error}"),
    })?;
    Report::read(&json)
        .map_err(|error| format!("results.json is not of this version of eddy: {error}"))
}
