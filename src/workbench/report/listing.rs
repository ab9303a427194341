//! Lists the runs in a store, with the verdict of each.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use thiserror::Error;

use super::Report;
use crate::workbench::check::Validity;
use crate::workbench::store::{self, NotBegun, RESULTS, StoreError, StoredRun};
use crate::workbench::words::counted;

/// A run in a store.
pub struct ListedRun {
    /// Its folder.
    pub run: StoredRun,
    /// Its summary, or the reason why there is none.
    pub summary: Result<Summary, ReadError>,
}

/// The summary of a run in a list.
pub struct Summary {
    /// The verdict.
    pub validity: Validity,
    /// The number of warnings.
    pub warning_count: usize,
    /// The seed; `None` for an imported history.
    pub seed: Option<u64>,
    /// The first line of the first finding to which the verdict is due, or of the first warning of a valid run; empty
    /// if there is none.
    pub finding: String,
}

/// The reason why the report on a stored run can't be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The run has not ended.
    #[error("goes on; see log.txt")]
    UnderWay,
    /// The file does not exist, or it ends too early.
    #[error("no complete results.json: it goes on, or was ended too soon; see log.txt")]
    Missing,
    /// The run did not begin; why, in words.
    #[error("did not begin: {0}")]
    NotBegun(String),
    /// The file can't be read.
    #[error("results.json can't be read: {0}")]
    File(#[from] io::Error),
    /// The file is not a report, or one of another version.
    #[error("results.json is not of this version of eddy: {0}")]
    Version(serde_json::Error),
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
        Err(ReadError::NotBegun(why)) => Err(ReadError::NotBegun(first_line(&why))),
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
/// The reason why there is none.
pub fn read(folder: &Path) -> Result<Report, ReadError> {
    let json = fs::read(folder.join(RESULTS));
    let json = json.map_err(|error| match error.kind() {
        ErrorKind::NotFound => ReadError::Missing,
        _ => ReadError::File(error),
    })?;
    serde_json::from_slice(&json).map_err(|error| {
        if let Ok(NotBegun { error }) = serde_json::from_slice(&json) {
            return ReadError::NotBegun(error);
        }
        match error.is_eof() {
            true => ReadError::Missing,
            false => ReadError::Version(error),
        }
    })
}

fn first_line(text: &str) -> String {
    String::from(text.lines().next().unwrap_or_default())
}

impl Summary {
    fn of(report: &Report) -> Self {
        Summary {
            validity: report.validity(),
            warning_count: report.warning_count(),
            seed: report.seed(),
            finding: first_line(&report.first_finding()),
        }
    }

    /// The verdict, with the number of warnings if there are any.
    pub fn verdict(&self) -> String {
        match self.warning_count {
            0 => self.validity.to_string(),
            count => format!("{}, {}", self.validity, counted(count, "warning")),
        }
    }
}
