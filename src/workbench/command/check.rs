//! `eddy check` checks a history from a file.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::StringValueParser;
use clap::{Args, Parser};
use indicatif::{ProgressBar, ProgressStyle};

use super::console::say;
use super::error::CommandError;
use super::help::{EXIT_STATUS, FIGURES, SHOWN_AND_KEPT};
use super::keep::KeepOptions;
use super::options::RunOptions;
use super::repeat;
use super::runs;
use super::values::Trimmed;
use super::workloads::{self, Task, WorkloadName};
use crate::program::Wrong;
use crate::workbench::audit::Demands;
use crate::workbench::check::Validity;
use crate::workbench::import::{self, Import};
use crate::workbench::report::listing::{self, ReadError};
use crate::workbench::report::page::Page;
use crate::workbench::report::{HistoryFile, Machine, Report};
use crate::workbench::sim::Start;
use crate::workbench::store::{Folder, HISTORY, LOG, StoreErrors, is_under_way};
use crate::workbench::words::counted;
use crate::workbench::workload::Workload;
use crate::workbench::world::{Record, Settings};

const FORMATS: &str = "\
FILE is one of these, whatever its name is:
  history.edn    of Jepsen and Maelstrom: a map for each invocation and each completion, one after
                 the other or in one vector or list
  history.json   of elle-cli, the same in JSON:
                 {\"type\": \"invoke\", \"process\": 0, \"f\": \"txn\", \"value\": ...}
  history.jsonl  of eddy test
or the folder of a run that has history.edn or history.jsonl in it. What nodes did wrong beside their
answers is in no history: eddy show prints all findings of a run of eddy test.

The operations of each workload in Jepsen's histories:";

const EXAMPLES: &str = "\
For example:
  eddy check -w txn-list-append --consistency-models serializable history.edn
  eddy check -w lin-kv store/lin-kv/latest";

fn after_help() -> String {
    format!(
        "{FORMATS}\n{}\n{EXAMPLES}\n\n{FIGURES}\n\n{EXIT_STATUS}",
        workloads::events_help()
    )
}

/// The flags of `eddy check`.
#[derive(Args)]
#[command(args_override_self = true, after_help = after_help())]
pub(super) struct CheckOptions {
    /// The history, or the folder of the run that stored it; - reads the history from stdin.
    #[arg(value_name = "FILE")]
    history: PathBuf,

    /// The workload of the history.
    #[arg(short, long, value_enum)]
    workload: WorkloadName,

    /// What to hold replies to. For transactions: read-uncommitted, read-committed, serializable and others (default:
    /// strict-serializable). For counters: eventual, regular, sequential or linearizable (default: eventual).
    #[arg(
        long,
        value_name = "MODELS",
        value_parser = Trimmed(StringValueParser::new()),
        value_delimiter = ','
    )]
    consistency_models: Vec<String>,

    /// Let warnings make a history invalid. A warning is about something that Maelstrom accepts but that most would
    /// call a fault.
    #[arg(long)]
    strict: bool,

    #[command(flatten, next_help_heading = SHOWN_AND_KEPT)]
    keep: KeepOptions,
}

/// Checks a history, prints the report and returns the verdict. `args` is the whole command line.
pub(super) fn check(options: &CheckOptions, args: &[OsString]) -> Result<Validity, CommandError> {
    let mut run = default_run();
    let requests = &mut run.clients.requests;
    requests
        .consistency_models
        .clone_from(&options.consistency_models);
    let task = Check {
        options,
        settings: run.settings(0).map_err(CommandError::Options)?,
        args,
    };
    let report = workloads::perform(options.workload, &run.clients.requests, task)?;
    options.keep.print(&report)?;
    Ok(report.validity())
}

/// The options of a run without flags, with which the workload is made.
fn default_run() -> RunOptions {
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        run: RunOptions,
    }
    Line::parse_from(["run"]).run
}

struct Check<'a> {
    options: &'a CheckOptions,
    /// The workload is made with these. They only decide what clients would request.
    settings: Settings,
    args: &'a [OsString],
}

impl Task for Check<'_> {
    type Done = Report;

    fn with<W: Workload>(
        self,
        _nodes: impl Fn(&[String]) -> Result<Start, Wrong>,
        workload: impl Fn(&Settings) -> W + Sync,
    ) -> Result<Report, CommandError> {
        let path = &*history_file(&self.options.history);
        let mut workload = workload(&self.settings);
        let history = read(path, &mut workload)?;
        let file = HistoryFile {
            path,
            nodes: history.nodes,
            lines: history.lines,
            has_times: history.has_times,
        };
        let record = Record {
            fault_windows: history.fault_windows,
            ..Record::of_history(workload, history.operations)
        };
        let demands = Demands {
            is_strict: self.options.strict,
            ..Demands::default()
        };
        let spinner = progress(ProgressBar::new_spinner(), "{spinner} {msg}");
        spinner.enable_steady_tick(Duration::from_millis(100));
        spinner.set_message(format!(
            "checking {}",
            counted(record.history.len(), "operation")
        ));
        let words = self.args.iter().map(|word| word.to_string_lossy().into());
        let again = repeat::invocation(&Vec::from_iter(words));
        let mut report = Report::of_history(&record, &file, demands, again);
        report.set_machine(Machine::this());
        if !self.options.keep.no_store {
            spinner.set_message("writing the report");
            if let Err(error) = store(&self.options.keep.store, &record, &mut report) {
                spinner.suspend(|| {
                    say(format_args!(
                        "eddy: not everything could be stored: {error}. Choose another folder with --store, or none with --no-store"
                    ));
                });
            }
        }
        spinner.finish_and_clear();
        Ok(report)
    }
}

/// The file of the history: `path`, the history in the folder of a run, or stdin for `-`.
fn history_file(path: &Path) -> PathBuf {
    if path == Path::new("-") {
        return PathBuf::from("/dev/stdin");
    }
    let names = [HISTORY, "history.edn"];
    let in_folder = names.map(|name| path.join(name));
    let found = in_folder.into_iter().find(|file| file.is_file());
    found.unwrap_or_else(|| path.to_path_buf())
}

/// Why a folder has no history, and what to do about it, to stand after the name of the folder.
fn why_no_history(folder: &Path) -> String {
    // Every run writes it from its beginning on, and the history at its end.
    let is_of_a_run = folder.join(LOG).is_file();
    if !is_of_a_run {
        return String::from(". Name the file of the history");
    }
    let results = listing::read(folder);
    if let Err(ReadError::NotBegun(why)) = results {
        return format!(": the run did not begin: {why}");
    }
    let why = match results {
        _ if is_under_way(folder) => "the run goes on, and its history is written at its end",
        Err(ReadError::Missing) => "the run was ended before its history was written, as by a kill",
        _ => "the history could not be written, or was removed",
    };
    let folder = folder.display();
    format!(": {why}. eddy show {folder} --messages prints the messages of the run")
}

/// Reads the history in a file.
fn read<W: Workload>(path: &Path, workload: &mut W) -> Result<Import<W>, CommandError> {
    let text = fs::read(path).map_err(|reason| match reason.kind() {
        ErrorKind::IsADirectory => CommandError::NoHistory {
            folder: path.to_path_buf(),
            why: why_no_history(path),
        },
        _ => CommandError::Read {
            path: path.to_path_buf(),
            reason,
        },
    })?;
    let template = "{bar:40} {bytes} of {total_bytes} read · {eta} to go";
    let bar = progress(ProgressBar::new(text.len() as u64), template);
    let history = import::read(&text, workload, |at| bar.set_position(at as u64));
    bar.finish_and_clear();
    history.map_err(|reason| CommandError::Import {
        path: path.to_path_buf(),
        reason,
    })
}

/// Stores a history and its report in a new folder in `parent`. The report then names the folder, and leaves out what needs
/// a file that could not be written.
fn store<W: Workload>(
    parent: &Path,
    record: &Record<W>,
    report: &mut Report,
) -> Result<(), StoreErrors> {
    let folder = Folder::create(parent, W::NAME)?;
    report.set_store(folder.path());
    let stored = report.store_with(|report| {
        folder.finish::<W>(report, &record.history, report.nodes(), |out| {
            Page::new(record, report, None)?.write(out)
        })
    });
    runs::renew_index(parent);
    stored
}

/// A progress line, where stderr is a terminal.
fn progress(bar: ProgressBar, template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
