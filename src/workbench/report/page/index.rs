//! Writes `index.html`: the runs in a store, with links to their pages.

use std::io::{self, Write};

use serde::Serialize;

use super::write_page;
use crate::workbench::report::listing::ListedRun;
use crate::workbench::store::{LOG, PAGE};

const BODY: &str = include_str!("index.html");
const SCRIPTS: [&str; 2] = [include_str!("js/page.js"), include_str!("js/index.js")];

#[derive(Serialize)]
struct Index {
    /// The newest first.
    runs: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    /// The path of its folder in the store.
    name: String,
    /// The most useful file in it to open; empty for the folder itself.
    file: &'static str,
    began_at: String,
    workload: String,
    /// `None` where there is none, as for the verdict.
    validity: Option<String>,
    /// The same with the number of warnings, if there are any.
    verdict: Option<String>,
    /// As text: JavaScript would round it.
    seed: Option<String>,
    /// The first finding, or the reason why the results can't be read.
    finding: String,
}

/// Writes the page of the runs in a store, which are given oldest first. Its links are relative to the folder of the
/// store.
///
/// # Errors
///
/// Those of `out`.
pub fn write_index(runs: &[ListedRun], out: impl Write) -> io::Result<()> {
    let index = Index {
        runs: runs.iter().rev().map(Row::new).collect(),
    };
    write_page("eddy runs", BODY, &index, &SCRIPTS, out)
}

impl Row {
    fn new(ListedRun { run, summary }: &ListedRun) -> Self {
        let mut files = [PAGE, LOG].into_iter();
        let row = Row {
            name: run.name(),
            file: files
                .find(|file| run.path().join(file).is_file())
                .unwrap_or_default(),
            began_at: run.began_at(),
            workload: String::from(run.workload()),
            validity: None,
            verdict: None,
            seed: None,
            finding: String::new(),
        };
        match summary {
            Ok(summary) => Row {
                validity: Some(summary.validity.to_string()),
                verdict: Some(summary.verdict()),
                seed: summary.seed.map(|seed| seed.to_string()),
                finding: summary.finding.clone(),
                ..row
            },
            Err(why) => Row {
                finding: why.to_string(),
                ..row
            },
        }
    }
}
