//! `eddy show` shows a stored run or one of its operations.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::console::{as_far_as_read, harmless, say};
use super::error::CommandError;
use super::runs;
use super::values::whole;
use crate::workbench::check::Validity;
use crate::workbench::log;
use crate::workbench::report::Report;
use crate::workbench::report::listing;
use crate::workbench::store::{
    self, ClientRequest, HISTORY, LOG, MESSAGES, caused_by, read_messages,
};

/// The flags of `eddy show`.
#[derive(Args)]
#[command(after_help = super::EXIT_STATUS)]
pub(super) struct ShowOptions {
    /// The run: its name, as eddy runs prints it, or its folder; the latest of a workload if that is a workload's. The
    /// latest of all if none is given.
    #[arg(value_name = "RUN")]
    run: Option<String>,

    /// Show the operation with this number, the messages that it caused, and what its nodes printed meanwhile. The messages
    /// include what nodes sent right after the reply, up to 10 ms.
    #[arg(long, value_name = "N", value_parser = whole::<usize>)]
    operation: Option<usize>,

    /// Print all messages, each as a line of JSON, for grep or jq. The exit status is 0, whatever the verdict is.
    #[arg(long, conflicts_with = "operation")]
    messages: bool,

    /// The folder in which runs were stored.
    #[arg(long, value_name = "DIR", default_value = "store")]
    store: PathBuf,
}

/// Shows the findings of a run, and returns its verdict.
pub(super) fn show(options: &ShowOptions) -> Result<Validity, CommandError> {
    let folder = folder(options)?;
    if options.messages {
        return as_far_as_read(print_messages(&folder));
    }
    let report = listing::read(&folder);
    let mut report =
        report.map_err(|why| CommandError::Options(format!("{}: {why}", folder.display())))?;
    report.set_store(&folder);
    let text = match options.operation {
        None => report.to_string(),
        Some(index) => operation(&folder, &report, index)?,
    };
    writeln!(io::stdout(), "{}", harmless(&text))?;
    Ok(report.validity())
}

/// The folder of the run.
fn folder(options: &ShowOptions) -> Result<PathBuf, CommandError> {
    let Some(name) = &options.run else {
        let latest = store::runs(runs::existing(&options.store)?)?.pop();
        let none = || {
            let store = options.store.display();
            CommandError::Options(format!("there is no run in {store}"))
        };
        return Ok(latest.ok_or_else(none)?.path().to_path_buf());
    };
    let places = [options.store.join(name), PathBuf::from(name)];
    let latest_of = |place: PathBuf| match place.join("latest") {
        latest if latest.is_dir() => latest,
        _ => place,
    };
    let found = places.into_iter().find(|place| place.is_dir());
    found.map(latest_of).ok_or_else(|| {
        CommandError::Options(format!(
            "there is no run {name}, neither in {} nor as a folder. eddy runs lists the runs of a store",
            options.store.display()
        ))
    })
}

/// Prints the messages of a run, even of one that was killed.
fn print_messages(folder: &Path) -> Result<(), CommandError> {
    let path = folder.join(MESSAGES);
    let unreadable = |reason| CommandError::Read {
        path: path.clone(),
        reason,
    };
    let stdout = io::stdout().lock();
    let is_terminal = stdout.is_terminal();
    let mut out = BufWriter::new(stdout);
    for lines in read_messages(folder).map_err(unreadable)? {
        match lines {
            Ok(lines) if is_terminal => out.write_all(harmless(&lines).as_bytes())?,
            Ok(lines) => out.write_all(lines.as_bytes())?,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => say(format_args!(
                "eddy: the end of {} is missing, as after a kill or on a full disk",
                path.display()
            )),
            Err(reason) => return Err(unreadable(reason)),
        }
    }
    Ok(out.flush()?)
}

/// A line of `history.jsonl`.
#[derive(Deserialize)]
struct Line<'a> {
    client: String,
    node: String,
    #[serde(borrow)]
    request: &'a RawValue,
    invoked_us: i64,
    completed_us: i64,
    outcome: String,
    #[serde(borrow)]
    answer: Option<&'a RawValue>,
    why: Option<String>,
}

/// An operation, the messages that it caused, and what the nodes that took part printed meanwhile. Of an imported history,
/// only the operation.
fn operation(folder: &Path, report: &Report, index: usize) -> Result<String, CommandError> {
    #[derive(Deserialize)]
    struct Request {
        msg_id: i64,
    }
    let path = folder.join(HISTORY);
    let unreadable = |reason| CommandError::Read {
        path: path.clone(),
        reason,
    };
    let file = File::open(&path).map_err(unreadable)?;
    let line = BufReader::new(file).lines().nth(index);
    let line = line.transpose().map_err(unreadable)?.ok_or_else(|| {
        let those_there_are = match report.operation_count().checked_sub(1) {
            None => String::from("this run has no operations"),
            Some(last) => format!("the operations of this run are 0 to {last}"),
        };
        CommandError::Options(format!("there is no operation {index}: {those_there_are}"))
    })?;
    let operation = serde_json::from_str::<Line<'_>>(&line).map_err(io::Error::from);
    let operation = operation.map_err(unreadable)?;
    let request = serde_json::from_str::<Request>(operation.request.get());
    let Request { msg_id } = request.map_err(io::Error::from).map_err(unreadable)?;
    let time_us = operation.invoked_us..=operation.completed_us;
    let outcome = operation
        .answer
        .map(RawValue::get)
        .or(operation.why.as_deref());
    let mut text = format!(
        "#{index} {} → {}, from {} to {}\n  {}\n  {}: {}\n",
        operation.client,
        operation.node,
        seconds(operation.invoked_us),
        seconds(operation.completed_us),
        operation.request,
        operation.outcome,
        outcome.unwrap_or_default()
    );
    if !report.has_messages() {
        return Ok(text);
    }
    let request = ClientRequest {
        client: &operation.client,
        node: &operation.node,
        msg_id,
        time_us: time_us.clone(),
    };
    let messages = caused_by(folder, report.nodes(), &request);
    let messages = messages.map_err(|reason| CommandError::Read {
        path: folder.join(MESSAGES),
        reason,
    })?;
    text.push_str("\nMessages that it caused, and others that its nodes sent meanwhile or right after the reply:\n");
    let mut nodes = BTreeSet::from([&*operation.node]);
    for message in &messages {
        nodes.insert(&message.src);
        nodes.insert(&message.dest);
        let stale = match message.is_stale {
            true => "; stale: the value had been replaced when the service replied",
            false => "",
        };
        let after = match message.is_after_reply {
            true => "; sent after the reply",
            false => "",
        };
        text.push_str(&format!(
            "{:>16}  {} → {} {}  ({} at {}{stale}{after})\n",
            seconds(message.sent_us),
            message.src,
            message.dest,
            message.body,
            message.fate,
            seconds(message.ended_us)
        ));
    }
    nodes.retain(|name| report.nodes().iter().any(|node| node == name));
    let names: Vec<&str> = nodes.iter().copied().collect();
    text.push_str(&format!("\nWhat {} printed meanwhile:\n", names.join(", ")));
    let path = folder.join(LOG);
    let printed = printed(&path, &names, &time_us);
    text.push_str(&printed.map_err(|reason| CommandError::Read { path, reason })?);
    Ok(text)
}

/// The lines of a log that these nodes printed in this time.
fn printed(
    path: &Path,
    nodes: &[&str],
    time_us: &std::ops::RangeInclusive<i64>,
) -> io::Result<String> {
    let mut lines = String::new();
    for line in BufReader::new(File::open(path)?).lines() {
        let line = line?;
        let Some((at_us, text)) = log::split(&line, None) else {
            continue;
        };
        let is_of_node = |node: &&str| {
            let rest = text.strip_prefix(*node);
            rest.is_some_and(|rest| rest.starts_with(": "))
        };
        if time_us.contains(&at_us) && nodes.iter().any(is_of_node) {
            lines.push_str(&line);
            lines.push('\n');
        }
    }
    if lines.is_empty() {
        lines.push_str("(nothing)\n");
    }
    Ok(lines)
}

fn seconds(micros: i64) -> String {
    format!("{:.6} s", micros as f64 / 1e6)
}
