//! The runs in a store, each with what a list says of it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use thiserror::Error;

use super::Report;
use crate::workbench::check::Validity;
use crate::workbench::store::{self, StoreError, StoredRun};

/// A run in a store.
pub struct ListedRun {
    /// Where it is.
    pub run: StoredRun,
    /// What is known of it.
    pub summary: Result<Summary, ReadError>,
}

/// What a list says of a run.
pub struct Summary {
    /// The verdict.
    pub validity: Validity,
    /// The seed; a history from elsewhere has none.
    pub seed: Option<u64>,
    /// The first line of the first thing that is wrong or undecided; empty if there is none.
    pub finding: String,
}

/// Why the report on a stored run can't be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The run goes on.
    #[error("goes on; see log.txt")]
    UnderWay,
    /// There is none.
    #[error("no results.json: it goes on, did not begin, or was ended too soon; see log.txt")]
    Missing,
    /// The file can't be read.
    #[error("results.json can't be read: {0}")]
    File(#[from] io::Error),
    /// The file is no report, or one that another version has written.
    #[error("results.json is not of this version of eddy: {0}")]
    Version(#[from] serde_json::Error),
}

/// Lists the runs in a store, the oldest first.
///
/// # Errors
///
/// When the store can't be read. A run that can't be read is listed with the reason.
pub fn list(store: &Path) -> Result<Vec<ListedRun>, StoreError> {
    let runs = store::runs(store)?.into_iter();
    let summary = |run: &StoredRun| match read(run.path()) {
        Ok(report) => Ok(Summary::of(&report)),
        Err(_) if run.is_under_way() => Err(ReadError::UnderWay),
        Err(error) => Err(error),
    };
    let listed = runs.map(|run| ListedRun {
        summary: summary(&run),
        run,
    });
    Ok(listed.collect())
}

/// Reads the report on the run in a folder.
///
/// # Errors
///
/// Why there is none.
pub fn read(folder: &Path) -> Result<Report, ReadError> {
    let json = fs::read_to_string(folder.join("results.json"));
    let json = json.map_err(|error| match error.kind() {
        ErrorKind::NotFound => ReadError::Missing,
        _ => ReadError::File(error),
    })?;
    Ok(serde_json::from_str(&json)?)
}

impl Summary {
    fn of(report: &Report) -> Self {
        let finding = report.first_finding();
        Summary {
            validity: report.validity(),
            seed: report.seed(),
            finding: String::from(finding.lines().next().unwrap_or_default()),
        }
    }
}
