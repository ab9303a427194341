//! The nodes of the simulator.

use std::time::Duration;

use crate::node::{Node, Workload};

/// A node as the simulator sees it, with any workload.
pub trait Machine {
    /// Takes one line of input.
    ///
    /// # Errors
    ///
    /// When the line is not a message and there is nobody to reply to. A real node prints the reason on stderr.
    fn receive(&mut self, line: &str, now: Duration) -> Result<(), serde_json::Error>;

    /// When the node must be woken at the latest.
    fn deadline(&self) -> Option<Duration>;

    /// Performs what is due by `now`.
    fn wake(&mut self, now: Duration);

    /// The lines that the node has written.
    fn output(&self) -> &[u8];

    /// Removes `count` bytes from the output.
    fn written(&mut self, count: usize);
}

/// Starts a new incarnation of a node. All its random numbers come from the seed.
pub type Start = Box<dyn Fn(u64) -> Box<dyn Machine> + Send + Sync>;

/// Starts these nodes, each made from a seed.
pub fn start<W: Workload + 'static>(
    node: impl Fn(u64) -> Node<W> + Send + Sync + 'static,
) -> Start {
    Box::new(move |seed| Box::new(node(seed)))
}

impl<W: Workload> Machine for Node<W> {
    fn receive(&mut self, line: &str, now: Duration) -> Result<(), serde_json::Error> {
        Node::receive(self, line, now)
    }

    fn deadline(&self) -> Option<Duration> {
        Node::deadline(self)
    }

    fn wake(&mut self, now: Duration) {
        Node::wake(self, now);
    }

    fn output(&self) -> &[u8] {
        Node::output(self)
    }

    fn written(&mut self, count: usize) {
        Node::written(self, count);
    }
}
