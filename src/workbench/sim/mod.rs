//! The simulator: this crate's own nodes in virtual time, in one process, from a seed.
//!
//! The world with its network, services, faults and checkers is the same as for real processes, and the nodes are the
//! state machines that the binaries run. Only time is simulated: it jumps to the next moment at which something is
//! due. A node takes no time to react. Nothing reads a clock, and all random numbers come from the seed, so the same
//! settings give the same run to the byte, on any machine.
//!
//! - [`run`]: one run. A [`Start`] makes its nodes.
//! - [`matrix`]: which guarantees each level of the counter keeps on each store.
//! - [`campaign`]: many seeds, on all cores.
//! - [`shrink`](shrink::shrink) makes a failing run small.
//!
//! A node of one's own is tested like this. Here it is a counter that tells nobody what was added:
//!
//! ```
//! use std::time::Duration;
//!
//! use eddy::node::{Context, Node, Workload};
//! use eddy::protocol::{Error, Message};
//! use eddy::workbench::audit::Demands;
//! use eddy::workbench::check::Validity;
//! use eddy::workbench::report::{Invocation, Report};
//! use eddy::workbench::sim::{run, start};
//! use eddy::workbench::workload::GCounter;
//! use eddy::workbench::world::{Settings, StartError, node_names};
//! use serde::Deserialize;
//!
//! struct Alone {
//!     total: i64,
//! }
//!
//! #[derive(Default, Deserialize)]
//! struct Fields {
//!     delta: Option<i64>,
//! }
//!
//! impl Workload for Alone {
//!     type Fields<'a> = Fields;
//!
//!     fn request(&mut self, request: &Message<'_, Fields>, context: &mut Context<'_>) -> Result<(), Error> {
//!         match &*request.body.kind {
//!             "add" => {
//!                 self.total += request.body.fields.delta.ok_or_else(|| Error::missing("delta"))?;
//!                 context.outbox.reply(request, "add_ok");
//!             }
//!             "read" => drop(context.outbox.reply(request, "read_ok").field("value", self.total)),
//!             kind => return Err(Error::not_supported(kind)),
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let settings = Settings {
//!     rate_per_s: 50.0,
//!     time_limit: Duration::from_secs(5),
//!     ..Settings::new(node_names(2))
//! };
//! let start = start(|_seed| Node::new(Alone { total: 0 }));
//! let (record, ()) = run(GCounter::default(), settings.clone(), &start, ())?;
//! let report = Report::new(&record, &settings, Demands::default(), Invocation::default());
//! assert_eq!(report.validity(), Validity::Invalid, "{report}");
//! # Ok::<(), StartError>(())
//! ```

pub mod campaign;
mod machine;
pub mod matrix;
pub mod shrink;
#[cfg(test)]
mod tests;

use std::mem;
use std::time::Duration;

use super::random::{Random, Stream};
use super::workload::Workload;
use super::world::{NodeCommand, Observer, Record, Settings, StartError, World};
use crate::stdio::not_a_message;
use rand::RngCore;

pub use machine::{Machine, Start, start};

/// The maximum number of rounds of messages at one instant. Messages without latency could go on for ever.
const ROUNDS_AT_ONCE_MAX: u32 = 1_000_000;

/// Simulates a run from its beginning to its end.
///
/// # Errors
///
/// When the nodes did not get ready.
pub fn run<W: Workload, O: Observer>(
    workload: W,
    settings: Settings,
    start: &Start,
    observer: O,
) -> Result<(Record<W>, O), StartError> {
    let mut random = Stream::Nodes.seeded(settings.seed);
    let nodes = settings.nodes.iter();
    let nodes = nodes.map(|_| Member::new(start, &mut random)).collect();
    let mut simulation = Simulation {
        world: World::new(workload, settings, observer),
        start,
        random,
        nodes,
        now: Duration::ZERO,
        lines: Vec::new(),
    };
    while !simulation.world.is_over() {
        simulation.do_what_is_due();
        let Some(next) = simulation.next_deadline() else {
            break;
        };
        simulation.now = simulation.now.max(next);
    }
    simulation.world.finish_observed()
}

struct Simulation<'a, W: Workload, O> {
    world: World<W, O>,
    start: &'a Start,
    /// Draws the seed of each incarnation of a node.
    random: Random,
    nodes: Vec<Member>,
    now: Duration,
    /// The lines for a node; kept to save allocations.
    lines: Vec<u8>,
}

struct Member {
    machine: Box<dyn Machine>,
    is_running: bool,
    /// When the node must be woken. It changes only when the node gets input.
    deadline: Option<Duration>,
}

impl Member {
    fn new(start: &Start, random: &mut Random) -> Self {
        Member {
            machine: start(random.next_u64()),
            is_running: true,
            deadline: None,
        }
    }
}

impl<W: Workload, O: Observer> Simulation<'_, W, O> {
    /// Performs all that is due now, and all that follows from it at the same instant.
    fn do_what_is_due(&mut self) {
        for _ in 0..ROUNDS_AT_ONCE_MAX {
            self.world.advance(self.now);
            self.run_commands();
            let mut is_quiet = true;
            for node in 0..self.nodes.len() {
                is_quiet &= !self.give(node);
            }
            if is_quiet {
                return;
            }
        }
        let how =
            format!("it still sent messages after {ROUNDS_AT_ONCE_MAX} rounds without latency");
        self.world.on_exit(0, &how, self.now);
    }

    fn run_commands(&mut self) {
        while let Some(command) = self.world.next_command() {
            match command {
                NodeCommand::Kill(node) | NodeCommand::Pause(node) => {
                    self.nodes[node].is_running = false
                }
                NodeCommand::Start(node) => {
                    self.nodes[node] = Member::new(self.start, &mut self.random)
                }
                NodeCommand::Continue(node) => self.nodes[node].is_running = true,
            }
        }
    }

    /// Wakes a node that is due and passes it the lines of its inbox. Returns whether there was anything to do.
    fn give(&mut self, node: usize) -> bool {
        let member = &mut self.nodes[node];
        if !member.is_running {
            return false;
        }
        let machine = &mut member.machine;
        let is_due = member.deadline.is_some_and(|at| at <= self.now);
        let inbox = self.world.inbox(node);
        if inbox.is_empty() && !is_due {
            return false;
        }
        if is_due {
            machine.wake(self.now);
        }
        mem::swap(inbox, &mut self.lines);
        let lines = str::from_utf8(&self.lines).expect("the network writes JSON");
        for line in lines.lines() {
            if let Err(error) = machine.receive(line, self.now) {
                let complaint = not_a_message(&error);
                self.world.on_log_line(node, &complaint, self.now);
            }
        }
        self.lines.clear();
        let output = str::from_utf8(machine.output()).expect("a node writes JSON");
        for line in output.lines() {
            self.world.on_line(node, line, self.now);
        }
        let count = output.len();
        machine.written(count);
        member.deadline = machine.deadline();
        true
    }

    fn next_deadline(&mut self) -> Option<Duration> {
        let running = self.nodes.iter().filter(|member| member.is_running);
        let of_nodes = running.filter_map(|member| member.deadline).min();
        [self.world.next_deadline(), of_nodes]
            .into_iter()
            .flatten()
            .min()
    }
}
