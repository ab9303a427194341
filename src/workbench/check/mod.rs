//! The judges: each reads a history and says whether it is right, and why not.
//!
//! One module a question. A judge is a function from operations to a [`Judgement`]; it knows nothing of networks,
//! nodes or time beyond what the history says.

use std::string::String;
use std::vec::Vec;

/// Whether a history is right.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Validity {
    /// Nothing is wrong.
    Valid,
    /// It could not be decided.
    Unknown,
    /// Something is wrong.
    Invalid,
}

/// What a judge says.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The worst of the findings; [`Validity::Valid`] if there are none.
    pub validity: Validity,
    /// What is wrong or undecided.
    pub findings: Vec<Finding>,
    /// Figures worth showing, such as how many values were lost.
    pub facts: serde_json::Map<String, serde_json::Value>,
}

/// One thing that is wrong or could not be decided.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Whether this makes the history invalid or leaves it unknown.
    pub validity: Validity,
    /// What it is, in words that someone new to the field understands.
    pub what: String,
    /// The few operations that show it, as indices into the history.
    pub operations: Vec<usize>,
}
