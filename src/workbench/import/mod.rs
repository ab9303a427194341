//! Reads histories from files: of Jepsen and Maelstrom, in the JSON of elle-cli, or of `eddy test`.
//!
//! A file has maps in EDN or JSON, one after the other or in one list. `forms` splits it into these maps. If the first
//! map has a `request`, each map is an operation of `history.jsonl`, which `store` reads. Otherwise each is an event
//! of Jepsen's, which `jepsen` reads. The workload reads the requests and replies in them.

mod forms;
mod jepsen;

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use super::history::{Node, Operation};
use super::nemesis::FaultWindow;
use super::store::StoredOperation;
use super::workload::Workload;
use forms::Forms;
use jepsen::Events;

/// A history that was read from a file.
pub struct Import<W: Workload> {
    /// The operations, in the order of their invocations.
    pub operations: Vec<Operation<W::Call, W::Answer>>,
    /// The line of the file on which each operation begins, counted from 1.
    pub lines: Vec<usize>,
    /// The names of the nodes. Jepsen's histories do not name them. There, each process counts as a node of its own.
    pub nodes: Vec<String>,
    /// The faults.
    pub fault_windows: Vec<FaultWindow>,
    /// Whether the file has times. If not, those of the operations only give their order.
    pub has_times: bool,
}

/// Why a file is not a history.
#[derive(Debug, Error)]
pub enum ImportError {
    /// It has no operations.
    #[error(
        "there is no operation in it. A history has one map for each invocation and each completion, such as \
         {{:type :invoke, :process 0, :f :read, :value nil}}"
    )]
    Empty,
    /// It is not text.
    #[error(
        "it is not text: byte {0} is not UTF-8. A history is EDN or JSON; a store folder has it as history.edn or \
         history.jsonl"
    )]
    NotText(usize),
    /// It has an error.
    #[error("{line}:{column}: {what}")]
    At {
        /// The line of the file, counted from 1.
        line: usize,
        /// The character in the line, counted from 1.
        column: usize,
        /// What is wrong at this position, and what to do.
        what: String,
    },
}

/// The reason why a map can't be read.
enum Wrong {
    /// It is not an operation or event, or contradicts those before it.
    Form(String),
    /// It is not an operation of this workload.
    Workload(String),
}

enum Format {
    /// That of `history.jsonl`.
    Store,
    Jepsen(Events),
}

impl Format {
    fn of(operation: &str) -> Self {
        #[derive(Deserialize)]
        struct OfStore {
            #[serde(rename = "request")]
            _request: IgnoredAny,
        }
        match serde_json::from_str::<OfStore>(operation) {
            Ok(_) => Format::Store,
            Err(_) => Format::Jepsen(Events::default()),
        }
    }
}

/// Reads a history of `workload`. Calls `progress` now and then with the number of bytes read.
///
/// # Errors
///
/// When the file is not a history of this workload.
pub fn read<W: Workload>(
    file: &[u8],
    workload: &mut W,
    mut progress: impl FnMut(usize),
) -> Result<Import<W>, ImportError> {
    let text = str::from_utf8(file).map_err(|error| ImportError::NotText(error.valid_up_to()))?;
    let mut forms = Forms::new(text);
    let mut places = Places {
        text,
        at: 0,
        line: 1,
    };
    let mut builder = Builder::new();
    let mut format = None;
    loop {
        let form = forms.next();
        let form = form.map_err(|error| places.error(error.at, error.what.to_string()))?;
        let Some(form) = form else { break };
        let added = match format.get_or_insert_with(|| Format::of(form.json)) {
            Format::Store => builder.add_of_store(form.json, workload),
            Format::Jepsen(events) => events.add(form.json, workload, &mut builder),
        };
        added.map_err(|wrong| match wrong {
            Wrong::Form(what) => places.error(form.at, what),
            Wrong::Workload(what) => {
                let hint = "If this is a history of another workload, name that one with -w";
                places.error(form.at, format!("{what}. {hint}"))
            }
        })?;
        let line = places.line_of(form.at);
        builder.lines.resize(builder.operations.len(), line);
        if builder.operations.len().is_multiple_of(1 << 12) {
            progress(form.at);
        }
    }
    if let Some(Format::Jepsen(events)) = format {
        events.finish(&mut builder);
    }
    match builder.operations.is_empty() {
        true => Err(ImportError::Empty),
        false => Ok(builder.finish()),
    }
}

/// Finds lines and columns. Lines are counted from the last position on.
struct Places<'a> {
    text: &'a str,
    at: usize,
    /// The line of the byte `at`.
    line: usize,
}

impl Places<'_> {
    fn line_of(&mut self, at: usize) -> usize {
        let passed = &self.text.as_bytes()[self.at..at];
        self.line += passed.iter().filter(|&&byte| byte == b'\n').count();
        self.at = at;
        self.line
    }

    fn error(&self, at: usize, what: String) -> ImportError {
        let before = &self.text[..at];
        let line_at = before.rfind('\n').map_or(0, |end| end + 1);
        ImportError::At {
            line: before.bytes().filter(|&byte| byte == b'\n').count() + 1,
            column: before[line_at..].chars().count() + 1,
            what,
        }
    }
}

/// A history that is being read.
struct Builder<W: Workload> {
    operations: Vec<Operation<W::Call, W::Answer>>,
    lines: Vec<usize>,
    /// The nodes, numbered in the order of their first use.
    nodes: HashMap<String, Node>,
    fault_windows: Vec<FaultWindow>,
    has_times: bool,
}

impl<W: Workload> Builder<W> {
    fn new() -> Self {
        Builder {
            operations: Vec::new(),
            lines: Vec::new(),
            nodes: HashMap::new(),
            fault_windows: Vec::new(),
            has_times: true,
        }
    }

    fn add_of_store(&mut self, json: &str, workload: &mut W) -> Result<(), Wrong> {
        let line = StoredOperation::read(json).map_err(Wrong::Form)?;
        let node = self.node(&line.node);
        let operation = line.operation(node, workload).map_err(Wrong::Workload)?;
        self.operations.push(operation);
        Ok(())
    }

    fn node(&mut self, name: &str) -> Node {
        if let Some(node) = self.nodes.get(name) {
            return node.clone();
        }
        let node = Node::new(self.nodes.len(), name);
        self.nodes.insert(String::from(name), node.clone());
        node
    }

    /// Numbers the nodes by name, as in a run, so that the findings have the same order.
    fn finish(mut self) -> Import<W> {
        let mut nodes: Vec<(String, Node)> = self.nodes.into_iter().collect();
        nodes.sort_by(|(one, _), (other, _)| (one.len(), one).cmp(&(other.len(), other)));
        let mut numbered = vec![None; nodes.len()];
        for (index, (name, node)) in nodes.iter().enumerate() {
            numbered[node.index()] = Some(Node::new(index, name));
        }
        for operation in &mut self.operations {
            if let Some(node) = &numbered[operation.node.index()] {
                operation.node = node.clone();
            }
        }
        Import {
            operations: self.operations,
            lines: self.lines,
            nodes: nodes.into_iter().map(|(name, _)| name).collect(),
            fault_windows: self.fault_windows,
            has_times: self.has_times,
        }
    }
}

#[cfg(test)]
mod tests;
