//! The simulator: this crate's own nodes in virtual time, in one process, from a seed.
//!
//! The engine, the network, the services, the faults and the checkers are those that test real processes, and the nodes
//! are the very state machines that the binaries run. Only time is made up: it jumps to whenever something is due next.
//! A node takes no time to think, so all that it does happens at the instant at which it was given something. Nothing
//! here reads a clock or draws randomness that is not from the seed, so the same settings give the same run to the byte,
//! on any machine.
//!
//! - [`run`]: one run, of nodes that are [started](Start) in that way.
//! - [`matrix`]: which guarantee holds at which level of the counter on which store.
//! - [`campaign`]: many seeds, on all cores.
//! - [`shrink`](shrink::shrink) makes a failing run small, and a [`Story`] tells it.

pub mod campaign;
mod machine;
pub mod matrix;
pub mod shrink;
mod story;
#[cfg(test)]
mod tests;

use std::mem;
use std::time::Duration;

use super::random::{Random, Stream};
use super::workload::Workload;
use super::world::{Observer, Order, Record, Settings, StartError, World};
use rand::RngCore;

pub use machine::{Machine, Start, start};
pub use story::Story;

/// So many times nodes may be given something at one instant. Between messages that take no time they could go on for
/// ever.
const TURNS_AT_ONCE_MAX: u32 = 1_000_000;

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
        simulation.settle();
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
    /// What nodes are seeded from, each life anew.
    random: Random,
    nodes: Vec<Member>,
    now: Duration,
    /// What a node is being given, kept to spare an allocation.
    lines: Vec<u8>,
}

struct Member {
    machine: Box<dyn Machine>,
    is_running: bool,
    /// When it wants to be woken. It can change its mind only when it is given something.
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
    /// Does all that is due now, and all that follows from it without time passing.
    fn settle(&mut self) {
        for _ in 0..TURNS_AT_ONCE_MAX {
            self.world.advance(self.now);
            self.obey();
            let mut is_quiet = true;
            for node in 0..self.nodes.len() {
                is_quiet &= !self.give(node);
            }
            if is_quiet {
                return;
            }
        }
        let how = format!("it was still talking after {TURNS_AT_ONCE_MAX} turns without time");
        self.world.exited(0, &how, self.now);
    }

    fn obey(&mut self) {
        while let Some(order) = self.world.next_order() {
            match order {
                Order::Kill(node) | Order::Pause(node) => self.nodes[node].is_running = false,
                Order::Start(node) => self.nodes[node] = Member::new(self.start, &mut self.random),
                Order::Continue(node) => self.nodes[node].is_running = true,
            }
        }
    }

    /// Gives a node what has come for it and wakes it if its time has come. Whether there was any of that.
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
            machine.receive(line, self.now);
        }
        self.lines.clear();
        let output = str::from_utf8(machine.output()).expect("a node writes JSON");
        for line in output.lines() {
            self.world.heard(node, line, self.now);
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
