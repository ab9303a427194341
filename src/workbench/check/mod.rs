//! The checkers: each reads a history and decides whether the nodes' replies were right.
//!
//! There is one module per workload or question. A checker is a function from operations to a [`Verdict`]; its only
//! input is the history. Findings refer to operations by their index in the history, so that a report can show them.
//!
//! Operation A precedes operation B if A completed before B was invoked. If both happened at the same instant, A and B
//! count as concurrent: a checker never reports a fault that rests on a tie.

pub mod availability;
pub mod consistency;
pub mod counter;
pub mod echo;
mod finals;
pub mod kafka;
pub mod limits;
pub mod lin_kv;
mod monotone;
pub mod search;
pub mod set;
mod sums;
#[cfg(test)]
pub(crate) mod testing;
pub mod txn;
pub mod unique_ids;

use std::cmp::Reverse;
use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// Whether a history or a run is right.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Validity {
    /// No fault was found.
    Valid,
    /// The checker could not decide.
    Unknown,
    /// A fault was found.
    Invalid,
}

/// As in Maelstrom's results: true, false or "unknown".
impl Serialize for Validity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Validity::Valid => serializer.serialize_bool(true),
            Validity::Invalid => serializer.serialize_bool(false),
            Validity::Unknown => serializer.serialize_str("unknown"),
        }
    }
}

impl<'de> Deserialize<'de> for Validity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(true) => Ok(Validity::Valid),
            Value::Bool(false) => Ok(Validity::Invalid),
            Value::String(text) if text == "unknown" => Ok(Validity::Unknown),
            other => Err(D::Error::custom(format!(
                "a verdict is true, false or \"unknown\", not {other}"
            ))),
        }
    }
}

/// In one word.
impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Validity::Valid => "valid",
            Validity::Invalid => "invalid",
            Validity::Unknown => "unknown",
        })
    }
}

/// How severe a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Maelstrom accepts this, but most engineers would call it a fault.
    Warning,
    /// The checker could not decide whether this is right.
    Undecided,
    /// This is wrong.
    Violation,
}

impl Severity {
    /// The validity of a run whose worst finding has this severity. Warnings make a run invalid only if `is_strict`.
    pub fn validity(self, is_strict: bool) -> Validity {
        match self {
            Severity::Warning if is_strict => Validity::Invalid,
            Severity::Warning => Validity::Valid,
            Severity::Undecided => Validity::Unknown,
            Severity::Violation => Validity::Invalid,
        }
    }
}

/// The result of a checker.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The validity by the worst finding. Warnings count as valid.
    pub validity: Validity,
    /// What is wrong, undecided or worth a warning.
    pub findings: Vec<Finding>,
    /// Figures for the report, such as the number of lost values.
    pub facts: Map<String, Value>,
}

/// A single result of a checker: a violation, a warning, or a question that it could not decide.
#[derive(Clone, Debug)]
pub struct Finding {
    /// How severe it is.
    pub severity: Severity,
    /// A description that is clear to someone new to the field.
    pub what: String,
    /// The operations that show it, as indices into the history.
    pub operations: Vec<usize>,
    /// The part of an answer that the finding is about. The report shows this part instead of the beginning.
    pub subject: Option<Subject>,
    /// Whether it is about a read that lacks acknowledged changes, as one from the past does.
    pub is_behind: bool,
    /// The number of findings for which it stands, if it stands for findings that are not shown; else zero.
    pub hidden_count: usize,
}

/// A part of an answer that may hold much more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// An element of a set.
    Element(u64),
    /// The entries of a log around an offset.
    Log {
        /// The key of the log.
        key: String,
        /// The offset.
        offset: i64,
    },
}

impl Finding {
    /// A finding about the history as a whole, and the operations that show it.
    pub fn new(
        severity: Severity,
        what: impl Into<String>,
        operations: impl Into<Vec<usize>>,
    ) -> Self {
        Finding {
            severity,
            what: what.into(),
            operations: operations.into(),
            subject: None,
            is_behind: false,
            hidden_count: 0,
        }
    }

    /// A violation.
    pub fn violation(what: impl Into<String>, operations: impl Into<Vec<usize>>) -> Self {
        Finding::new(Severity::Violation, what, operations)
    }

    /// A question that the checker could not decide.
    pub fn undecided(what: impl Into<String>, operations: impl Into<Vec<usize>>) -> Self {
        Finding::new(Severity::Undecided, what, operations)
    }

    /// A warning about something that Maelstrom accepts. `what` gives the reason for the warning.
    pub fn warning(what: impl Into<String>, operations: impl Into<Vec<usize>>) -> Self {
        Finding::new(Severity::Warning, what, operations)
    }

    /// A finding that stands for others of its kind, which are not shown.
    fn standing_for(hidden_count: usize, severity: Severity) -> Self {
        Finding {
            hidden_count,
            ..Finding::new(
                severity,
                format!("... and {hidden_count} more like that."),
                [],
            )
        }
    }

    /// Makes this a finding about one element of a set.
    pub fn of_element(mut self, element: u64) -> Self {
        self.subject = Some(Subject::Element(element));
        self
    }

    /// Makes this a finding about a read that lacks acknowledged changes.
    pub fn behind(mut self) -> Self {
        self.is_behind = true;
        self
    }

    /// Makes this a finding about the entries of a log around an offset.
    pub fn of_log(mut self, key: &str, offset: i64) -> Self {
        let key = String::from(key);
        self.subject = Some(Subject::Log { key, offset });
        self
    }
}

/// How many findings of one kind are shown. The others are only counted.
pub const FINDINGS_SHOWN_MAX: usize = 3;

impl Verdict {
    /// A verdict without findings.
    pub fn valid() -> Self {
        Verdict {
            validity: Validity::Valid,
            findings: Vec::new(),
            facts: Map::new(),
        }
    }

    /// Adds a finding.
    pub fn add(&mut self, finding: Finding) {
        self.validity = self.validity.max(finding.severity.validity(false));
        self.findings.push(finding);
    }

    /// Adds the most severe findings of one kind, at most [`FINDINGS_SHOWN_MAX`], and stores their total count as the
    /// fact `kind`.
    pub fn add_all(&mut self, kind: &str, mut findings: Vec<Finding>) {
        self.fact(kind, findings.len());
        findings.sort_by_key(|finding| Reverse(finding.severity));
        let hidden = findings.split_off(FINDINGS_SHOWN_MAX.min(findings.len()));
        for finding in findings {
            self.add(finding);
        }
        if let [worst, ..] = &hidden[..] {
            self.add(Finding::standing_for(hidden.len(), worst.severity));
        }
    }

    /// Adds the findings and facts of another verdict.
    pub fn add_verdict(&mut self, other: Verdict) {
        for finding in other.findings {
            self.add(finding);
        }
        self.facts.extend(other.facts);
    }

    /// Adds a figure to the facts.
    pub fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.facts.insert(name.to_owned(), value.into());
    }
}

/// Names after a noun: `client c7`, or `nodes n0, n1, n2 and 22 more`.
pub fn names<T: fmt::Display>(noun: &str, names: impl IntoIterator<Item = T>) -> String {
    const NAMED_MAX: usize = 3;
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    let plural = if names.len() == 1 { "" } else { "s" };
    let named = names[..names.len().min(NAMED_MAX)].join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => format!("{noun}{plural} {named}"),
        more => format!("{noun}{plural} {named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_names_are_written_and_the_rest_is_counted() {
        assert_eq!(names("client", ["c7"]), "client c7");
        assert_eq!(names("node", ["n0", "n1"]), "nodes n0, n1");
        assert_eq!(names("node", 0..5), "nodes 0, 1, 2 and 2 more");
    }

    #[test]
    fn warnings_hide_no_violation() {
        let mut findings = vec![Finding::warning("a warning", []); 5];
        findings.push(Finding::violation("a violation", []));
        let mut verdict = Verdict::valid();
        verdict.add_all("kind", findings);
        assert_eq!(verdict.validity, Validity::Invalid);
        assert_eq!(verdict.findings[0].what, "a violation");
        let last = verdict.findings.last().expect("some are hidden");
        assert_eq!(last.what, "... and 3 more like that.");
        assert_eq!(last.hidden_count, 3);
        assert_eq!(last.severity, Severity::Warning);
        assert_eq!(verdict.facts["kind"], 6);
    }
}
