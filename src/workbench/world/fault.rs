//! What a node may not do, whatever the workload.

use thiserror::Error;

use crate::workbench::check::Finding;

/// Why a run never began.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum StartError {
    /// Nodes did not answer in time what they were told before clients began.
    #[error(
        "no {answer} from {nodes} within 10 s. A node answers {asked} with {{\"type\": \"{answer}\", \"in_reply_to\": \
         <the msg_id of {asked}>}}, on a line of its own, and flushes stdout after it{instead}"
    )]
    NoAnswer {
        /// Their names.
        nodes: String,
        /// The type of what they were told.
        asked: &'static str,
        /// The type of the answer that they owe.
        answer: &'static str,
        /// What one of them did wrong, each on a line of its own.
        instead: String,
    },
    /// A node answered with something else.
    #[error("{node} answered {asked} with what is no answer to it ({why}): {answer}")]
    Refused {
        /// Its name.
        node: String,
        /// The type of what it was told.
        asked: &'static str,
        /// What it said.
        answer: String,
        /// What is wrong with that, for a person.
        why: String,
    },
    /// A node can answer nothing any longer.
    #[error(
        "{node} closed its stdout before the run began, and can't answer. Messages go there; does it, or what starts it, close or redirect it?{instead}"
    )]
    ClosedStdout {
        /// Its name.
        node: String,
        /// What it did wrong before, each on a line of its own.
        instead: String,
    },
    /// Someone wanted it to end.
    #[error("interrupted before the run began; all nodes have been ended")]
    Interrupted,
    /// A node was gone before all had answered.
    #[error("{node} ended before the run began: {how}")]
    Exited {
        /// Its name.
        node: String,
        /// How it ended.
        how: String,
    },
}

/// What a node may not do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Misdeed {
    Exited,
    StoppedReading,
    StayedUnready,
    RefusedInit,
    PrintedNoMessage,
    WroteWrongField,
    UsedForeignName,
    WroteToNobody,
    AnsweredTwice,
    AnsweredNothing,
    AnsweredWrongly,
}

/// What nodes did wrong: of each kind the first, and how often.
#[derive(Default)]
pub(super) struct NodeFaults(Vec<NodeFault>);

struct NodeFault {
    node: usize,
    misdeed: Misdeed,
    first: String,
    count: u64,
    /// The first few operations that show it.
    operations: Vec<usize>,
}

/// So many operations are kept to show a fault.
const OPERATIONS_SHOWN_MAX: usize = 2;

impl NodeFaults {
    /// Notes what a node did. `describe` goes on after the node's name.
    pub(super) fn note(
        &mut self,
        node: usize,
        misdeed: Misdeed,
        operation: Option<usize>,
        describe: impl FnOnce() -> String,
    ) {
        let known = self
            .0
            .iter()
            .position(|fault| fault.node == node && fault.misdeed == misdeed);
        let index = known.unwrap_or_else(|| {
            self.0.push(NodeFault {
                node,
                misdeed,
                first: describe(),
                count: 0,
                operations: Vec::new(),
            });
            self.0.len() - 1
        });
        let fault = &mut self.0[index];
        fault.count += 1;
        if fault.operations.len() < OPERATIONS_SHOWN_MAX {
            fault.operations.extend(operation);
        }
    }

    /// What the first of these nodes that did anything wrong did, each kind on a line of its own.
    pub(super) fn of_one(&self, nodes: &[usize], names: &[String]) -> String {
        let mut faulty = self.0.iter().map(|fault| fault.node);
        let Some(node) = faulty.find(|node| nodes.contains(node)) else {
            return String::new();
        };
        let own = self.0.iter().filter(|fault| fault.node == node);
        own.map(|fault| format!("\n{} {}", names[node], fault.first))
            .collect()
    }

    pub(super) fn into_findings(mut self, nodes: &[String]) -> Vec<Finding> {
        self.0.sort_by_key(|fault| fault.node);
        let findings = self.0.into_iter().map(|fault| {
            let more = match fault.count {
                1 => String::new(),
                count => format!("\nIt did such a thing {count} times; this was the first."),
            };
            let what = format!("{} {}{more}", nodes[fault.node], fault.first);
            Finding::invalid(what, fault.operations)
        });
        findings.collect()
    }
}

/// A line as it can be shown: control characters escaped, and not too long.
pub(super) fn shown(line: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 200;
    let mut shown = String::new();
    for char in line.chars().take(SHOWN_CHARS_MAX) {
        if char.is_control() {
            shown.extend(char.escape_debug());
        } else {
            shown.push(char);
        }
    }
    if line.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_line_is_short_and_has_no_control_characters() {
        assert_eq!(shown("a\u{1b}[31m\t\"b\""), "a\\u{1b}[31m\\t\"b\"");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), 201);
    }

    #[test]
    fn faults_of_one_kind_are_counted_and_the_first_is_told() {
        let mut faults = NodeFaults::default();
        for line in ["one", "two"] {
            faults.note(1, Misdeed::PrintedNoMessage, None, || {
                format!("printed {line}.")
            });
        }
        let findings = faults.into_findings(&[String::from("n0"), String::from("n1")]);
        assert_eq!(findings.len(), 1);
        assert_eq!(
            findings[0].what,
            "n1 printed one.\nIt did such a thing 2 times; this was the first."
        );
    }
}
