//! A node in the simulator.

use std::time::Duration;

use crate::node::{Node, Workload};

/// A node as the simulator sees it, whatever its workload.
pub trait Machine {
    /// Takes one line of input.
    ///
    /// # Errors
    ///
    /// Why the line is no message, if there is nobody to answer. A real node prints this on stderr.
    fn receive(&mut self, line: &str, now: Duration) -> Result<(), serde_json::Error>;

    /// When it has to be woken at the latest.
    fn deadline(&self) -> Option<Duration>;

    /// Does what is due by now.
    fn wake(&mut self, now: Duration);

    /// The lines that it has printed.
    fn output(&self) -> &[u8];

    /// Removes `count` bytes from the output.
    fn written(&mut self, count: usize);
}

/// Starts a new incarnation of a node, which draws all its random numbers from the seed.
pub type Start = Box<dyn Fn(u64) -> Box<dyn Machine> + Send + Sync>;

/// Starts nodes that run these workloads, each made from a seed.
pub fn start<W: Workload + 'static>(workload: impl Fn(u64) -> W + Send + Sync + 'static) -> Start {
    Box::new(move |seed| Box::new(Node::new(workload(seed))))
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
