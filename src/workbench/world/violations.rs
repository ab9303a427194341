//! Protocol violations of nodes, which are checked with every workload.

use crate::workbench::check::{Finding, Severity, names};

/// A kind of protocol violation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ProtocolViolation {
    Exited,
    StoppedReading,
    StayedUnready,
    RefusedInit,
    PrintedNoMessage,
    PrintedSeveral,
    PrintedOddly,
    WroteWrongField,
    UsedForeignName,
    UsedUnknownName,
    WroteToNobody,
    AnsweredTwice,
    AnsweredLate,
    AnsweredNothing,
    AnsweredAnother,
    AnsweredWrongly,
    FailedOddly,
    AskedOddly,
}

impl ProtocolViolation {
    /// Whether Maelstrom accepts it. Every other kind ends its run, or silences the node.
    fn severity(self) -> Severity {
        match self {
            Self::PrintedSeveral
            | Self::PrintedOddly
            | Self::UsedForeignName
            | Self::AnsweredTwice
            | Self::AnsweredLate
            | Self::AnsweredNothing
            | Self::AnsweredAnother
            | Self::FailedOddly
            | Self::AskedOddly => Severity::Warning,
            Self::Exited
            | Self::StoppedReading
            | Self::StayedUnready
            | Self::RefusedInit
            | Self::PrintedNoMessage
            | Self::WroteWrongField
            | Self::UsedUnknownName
            | Self::WroteToNobody
            | Self::AnsweredWrongly => Severity::Violation,
        }
    }
}

/// The protocol violations of a run: for each node and kind the first one, and their number.
#[derive(Default)]
pub(super) struct ProtocolViolations(Vec<Group>);

/// The violations of one kind by one node.
struct Group {
    node: usize,
    violation: ProtocolViolation,
    /// A description of the first one.
    first: String,
    count: u64,
    /// The first few operations that show it.
    operations: Vec<usize>,
}

/// The maximum number of operations to keep for a violation.
const OPERATIONS_SHOWN_MAX: usize = 2;

impl ProtocolViolations {
    /// Records a violation. `describe` gives the text after the node's name.
    pub(super) fn note(
        &mut self,
        node: usize,
        violation: ProtocolViolation,
        operation: Option<usize>,
        describe: impl FnOnce() -> String,
    ) {
        let known = self
            .0
            .iter()
            .position(|group| group.node == node && group.violation == violation);
        let index = known.unwrap_or_else(|| {
            self.0.push(Group {
                node,
                violation,
                first: describe(),
                count: 0,
                operations: Vec::new(),
            });
            self.0.len() - 1
        });
        let group = &mut self.0[index];
        group.count += 1;
        // An operation that was answered three times shows it twice.
        let new = operation.filter(|operation| !group.operations.contains(operation));
        if group.operations.len() < OPERATIONS_SHOWN_MAX {
            group.operations.extend(new);
        }
    }

    /// The violations of the first of these nodes that has any, each kind on a line of its own.
    pub(super) fn of_one(&self, nodes: &[usize], names: &[String]) -> String {
        let mut violators = self.0.iter().map(|group| group.node);
        let Some(node) = violators.find(|node| nodes.contains(node)) else {
            return String::new();
        };
        let own = self.0.iter().filter(|group| group.node == node);
        own.map(|group| format!("\n{} {}", names[node], group.first))
            .collect()
    }

    /// The first line of the description of a node's first violation of a kind.
    pub(super) fn first(&self, node: usize, violation: ProtocolViolation) -> Option<String> {
        let mut groups = self.0.iter();
        let group = groups.find(|group| group.node == node && group.violation == violation)?;
        group.first.lines().next().map(String::from)
    }

    /// A finding for each kind. It describes the first violation of one node: all nodes run the same program, so those of
    /// others seldom say more.
    pub(super) fn into_findings(mut self, nodes: &[String]) -> Vec<Finding> {
        self.0.sort_by_key(|group| group.node);
        let mut findings = Vec::new();
        let mut groups = self.0;
        while !groups.is_empty() {
            let first = groups.remove(0);
            let others: Vec<Group> = groups
                .extract_if(.., |group| group.violation == first.violation)
                .collect();
            let mut what = format!("{} {}", nodes[first.node], first.first);
            if first.count > 1 {
                what += &format!(
                    "\nIt did such a thing {} times; this was the first.",
                    first.count
                );
            }
            if !others.is_empty() {
                let names = names("node", others.iter().map(|group| &nodes[group.node]));
                let count: u64 = others.iter().map(|group| group.count).sum();
                what += &format!("\nSuch a thing was done by {names}, too: {count} times.");
            }
            findings.push(Finding::new(
                first.violation.severity(),
                what,
                first.operations,
            ));
        }
        findings
    }
}

/// Bytes as text; invalid UTF-8 is escaped.
pub(super) fn shown_bytes(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    shown(&text)
}

/// A line for display: shortened, with control characters and the invisible byte-order mark escaped.
pub(in crate::workbench) fn shown(line: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 200;
    let mut shown = String::new();
    for char in line.chars().take(SHOWN_CHARS_MAX) {
        if char.is_control() || char == '\u{feff}' {
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
        assert_eq!(shown("\u{feff}a"), "\\u{feff}a");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), 201);
        assert_eq!(
            shown_bytes(b"a\xff\xfe\tb\xc3\xa9"),
            "a\\xff\\xfe\\tb\u{e9}"
        );
    }

    #[test]
    fn violations_of_one_kind_are_counted_and_the_first_is_described() {
        let mut violations = ProtocolViolations::default();
        for (line, operation) in [("one", 3), ("two", 3), ("three", 5)] {
            violations.note(
                1,
                ProtocolViolation::PrintedNoMessage,
                Some(operation),
                || format!("printed {line}."),
            );
        }
        let findings = violations.into_findings(&[String::from("n0"), String::from("n1")]);
        assert_eq!(findings.len(), 1);
        assert_eq!(
            findings[0].what,
            "n1 printed one.\nIt did such a thing 3 times; this was the first."
        );
        assert_eq!(findings[0].operations, [3, 5]);
    }

    #[test]
    fn what_several_nodes_did_is_one_finding() {
        let mut violations = ProtocolViolations::default();
        for node in [2, 1, 0, 2] {
            let kind = ProtocolViolation::PrintedNoMessage;
            violations.note(node, kind, None, || format!("printed {node}."));
        }
        violations.note(1, ProtocolViolation::AskedOddly, None, || "asked.".into());
        let names = ["n0", "n1", "n2"].map(String::from);
        let findings = violations.into_findings(&names);
        let texts: Vec<_> = findings.iter().map(|finding| &*finding.what).collect();
        assert_eq!(
            texts,
            [
                "n0 printed 0.\nSuch a thing was done by nodes n1, n2, too: 3 times.",
                "n1 asked."
            ]
        );
    }
}
