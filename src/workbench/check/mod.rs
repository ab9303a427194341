//! The checkers: each reads a history and says whether it is right, and why not.
//!
//! One module a question. A checker is a function from operations to a [`Verdict`]; it knows nothing of networks,
//! nodes or time beyond what the history says. Operations are named by their index in the history, so that a report
//! can show them.
//!
//! Two operations are in order if one completed before the other was invoked. At the very same instant they count as
//! concurrent: a checker never accuses a node on the strength of a tie.

pub mod availability;
pub mod broadcast;
pub mod consistency;
pub mod counter;
pub mod echo;
mod finals;
pub mod g_set;
pub mod kafka;
pub mod limits;
pub mod lin_kv;
mod monotone;
pub mod search;
mod set;
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

pub use set::Elements;

/// Whether a history or a run is right.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Validity {
    /// Nothing is wrong.
    Valid,
    /// It could not be decided.
    Unknown,
    /// Something is wrong.
    Invalid,
}

/// As in Maelstrom's results: true, false, or "unknown".
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

/// What a finding says of a history.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Maelstrom does not check this, and most would call it a fault all the same.
    Warning,
    /// It could not be decided whether this is right.
    Undecided,
    /// This is wrong.
    Violation,
}

impl Severity {
    /// What a run is if this is the worst that was found. Warnings make it invalid only if `is_strict`.
    pub fn validity(self, is_strict: bool) -> Validity {
        match self {
            Severity::Warning if is_strict => Validity::Invalid,
            Severity::Warning => Validity::Valid,
            Severity::Undecided => Validity::Unknown,
            Severity::Violation => Validity::Invalid,
        }
    }
}

/// What a checker says.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The worst of the findings; [`Validity::Valid`] if there are none but warnings.
    pub validity: Validity,
    /// What is wrong, undecided or worth a warning.
    pub findings: Vec<Finding>,
    /// Figures worth showing, such as how many values were lost.
    pub facts: Map<String, Value>,
}

/// One thing that was found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What it says of the history.
    pub severity: Severity,
    /// What it is, in words that someone new to the field understands.
    pub what: String,
    /// The few operations that show it, as indices into the history.
    pub operations: Vec<usize>,
    /// Which element of a set it is about, if it is: that is what to show of the set.
    pub element: Option<u64>,
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
            element: None,
        }
    }

    /// Something that is wrong.
    pub fn violation(what: impl Into<String>, operations: impl Into<Vec<usize>>) -> Self {
        Finding::new(Severity::Violation, what, operations)
    }

    /// Something that could not be decided.
    pub fn undecided(what: impl Into<String>, operations: impl Into<Vec<usize>>) -> Self {
        Finding::new(Severity::Undecided, what, operations)
    }

    /// Something that Maelstrom lets pass. `what` says why it does.
    pub fn warning(what: impl Into<String>, operations: impl Into<Vec<usize>>) -> Self {
        Finding::new(Severity::Warning, what, operations)
    }

    /// The same, about an element of a set.
    pub fn of_element(mut self, element: u64) -> Self {
        self.element = Some(element);
        self
    }
}

/// How many findings of one kind are shown. The rest are counted: nobody reads the thousandth lost value.
pub const FINDINGS_SHOWN_MAX: usize = 3;

impl Verdict {
    /// Nothing found yet.
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

    /// Adds the first few findings of one kind, the worst before the others, and notes under the kind's name how many
    /// there are.
    pub fn add_all(&mut self, kind: &str, mut findings: Vec<Finding>) {
        self.fact(kind, findings.len());
        findings.sort_by_key(|finding| Reverse(finding.severity));
        let hidden = findings.split_off(FINDINGS_SHOWN_MAX.min(findings.len()));
        for finding in findings {
            self.add(finding);
        }
        if let [worst, ..] = &hidden[..] {
            let what = format!("... and {} more like that.", hidden.len());
            self.add(Finding::new(worst.severity, what, []));
        }
    }

    /// Adds all that another checker found.
    pub fn add_verdict(&mut self, other: Verdict) {
        for finding in other.findings {
            self.add(finding);
        }
        self.facts.extend(other.facts);
    }

    /// Notes a figure.
    pub fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.facts.insert(name.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(last.severity, Severity::Warning);
        assert_eq!(verdict.facts["kind"], 6);
    }
}
