use std::time::Duration;

use crate::node::{Node, Workload};
use crate::program::Program;

/// A node as the simulator sees it, whatever its workload.
pub trait Machine {
    /// Takes one line of input.
    fn receive(&mut self, line: &str, now: Duration);

    /// When it wants to be woken at the latest.
    fn deadline(&self) -> Option<Duration>;

    /// Says that time has passed.
    fn wake(&mut self, now: Duration);

    /// The lines that wait to be read.
    fn output(&self) -> &[u8];

    /// Says that so many bytes of the output have been read.
    fn written(&mut self, count: usize);
}

/// Starts a node in a new life, which draws all its randomness from the seed.
pub type Start = Box<dyn Fn(u64) -> Box<dyn Machine> + Send + Sync>;

/// How nodes of that program are started.
pub fn start(program: impl Program) -> Start {
    Box::new(move |seed| Box::new(Node::new(program.clone().workload(seed))))
}

impl<W: Workload> Machine for Node<W> {
    fn receive(&mut self, line: &str, now: Duration) {
        // As the loop does, but for the line on stderr.
        let _ = Node::receive(self, line, now);
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
