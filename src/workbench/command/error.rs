use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::workbench::check::Validity;
use crate::workbench::import::ImportError;
use crate::workbench::load::LoadError;
use crate::workbench::process::RunError;
use crate::workbench::report::Report;
use crate::workbench::serve::ServeError;
use crate::workbench::store::{StoreError, StoreErrors};
use crate::workbench::system::SystemError;
use crate::workbench::world::StartError;

/// The reason why a command has no verdict, or only one on a part of a run.
#[derive(Debug, Error)]
pub(super) enum CommandError {
    #[error("{0}")]
    Options(String),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    System(#[from] SystemError),
    #[error("{} can't be read: {reason}", path.display())]
    Read { path: PathBuf, reason: io::Error },
    #[error("{} is a folder without history.jsonl or history.edn{why}", folder.display())]
    NoHistory {
        folder: PathBuf,
        /// Why, as far as it is known, and what to do about it.
        why: String,
    },
    #[error("there is no folder {}: nothing has been stored there. Name the folder of the runs with --store", .0.display())]
    NoStore(PathBuf),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Removal(#[from] StoreErrors),
    #[error("{}{}{reason}", path.display(), match reason { ImportError::At { .. } => ":", _ => ": " })]
    Import { path: PathBuf, reason: ImportError },
    #[error("{what}")]
    Interrupted {
        /// What was interrupted and what else has happened because of that, in words.
        what: String,
        /// The verdict that was printed on what was known by then.
        verdict: Option<Validity>,
    },
    #[error("the result can't be printed: {0}")]
    Print(#[from] io::Error),
    #[error("the page {} can't be written: {reason}. Choose another file with --page", path.display())]
    Page { path: PathBuf, reason: io::Error },
}

impl CommandError {
    /// The run with this report was interrupted. `how` is what else has happened because of that, in words.
    pub(super) fn interrupted(how: &str, report: &Report) -> Self {
        let kept = report.store().map_or_else(String::new, |folder| {
            format!(". What is known of the run is in {}", folder.display())
        });
        CommandError::Interrupted {
            what: format!("interrupted{how}{kept}"),
            verdict: Some(report.validity()),
        }
    }

    /// The same error after runs with this verdict.
    pub(super) fn after(self, earlier: Validity) -> Self {
        match self {
            CommandError::Interrupted { what, verdict } => CommandError::Interrupted {
                what,
                verdict: verdict.map(|verdict| verdict.max(earlier)),
            },
            other => other,
        }
    }

    /// The verdict that was printed nevertheless.
    pub(super) fn verdict(&self) -> Option<Validity> {
        match self {
            CommandError::Interrupted { verdict, .. } => *verdict,
            _ => None,
        }
    }
}
