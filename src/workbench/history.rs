//! The history of a run: the operations of clients, in the order in which they began.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// One operation of one client: `C` is its request, `R` what a successful answer holds.
#[derive(Clone, Debug)]
pub struct Operation<C, R> {
    /// The number in the client's name: 7 for `c7`. A client has one operation under way at a time.
    pub client: usize,
    /// The node that received the request.
    pub node: Node,
    /// The request.
    pub call: C,
    /// Whether it belongs to the last phase, after the faults have ended and messages have had time to arrive.
    pub is_final: bool,
    /// When the request was sent, since the start of the run.
    pub invoked_at: Duration,
    /// When the answer came or the client gave up, since the start of the run.
    pub completed_at: Duration,
    /// How it ended.
    pub outcome: Outcome<R>,
}

/// A node of the run: its index and its name.
#[derive(Clone)]
pub struct Node {
    index: usize,
    name: Arc<str>,
}

impl Node {
    /// The node with this index into the run's nodes.
    pub fn new(index: usize, name: &str) -> Self {
        let name = Arc::from(name);
        Node { index, name }
    }

    /// The run's nodes, by their names.
    pub fn all(names: &[String]) -> Vec<Self> {
        let nodes = names.iter().enumerate();
        nodes.map(|(index, name)| Node::new(index, name)).collect()
    }

    /// Its index into the run's nodes.
    pub fn index(&self) -> usize {
        self.index
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index
    }
}

impl Eq for Node {}

impl PartialOrd for Node {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Node {
    fn cmp(&self, other: &Self) -> Ordering {
        self.index.cmp(&other.index)
    }
}

impl Hash for Node {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.index.hash(state);
    }
}

/// How the reason begins of an operation that failed because its request could not be sent: no node refused it.
pub const NOT_SENT: &str = "not sent";

/// How an operation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<R> {
    /// It took effect, and this is the answer.
    Ok(R),
    /// It has not taken effect and never will: a definite error.
    Failed(String),
    /// It may have taken effect, or still may: no answer in time, or an indefinite error.
    Indeterminate(String),
}

impl<R> Outcome<R> {
    /// The answer, if it was successful.
    pub fn answer(&self) -> Option<&R> {
        match self {
            Outcome::Ok(answer) => Some(answer),
            Outcome::Failed(_) | Outcome::Indeterminate(_) => None,
        }
    }

    /// Whether it certainly took effect.
    pub fn is_ok(&self) -> bool {
        matches!(self, Outcome::Ok(_))
    }

    /// Whether it certainly did not take effect.
    pub fn is_failed(&self) -> bool {
        matches!(self, Outcome::Failed(_))
    }
}
