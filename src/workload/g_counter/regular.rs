//! Every read holds all adds that were acknowledged before it began, and a node never goes back to an older state.
//!
//! A register per node: node `n0` keeps its own total under its own key, as `[total, epoch]`, and counts the epoch up
//! with each change.
//!
//! - An add is a change of the own register. No other node touches that, so an add takes one round trip, whatever the
//!   number of nodes.
//! - A read is a change of the own register too, which may hold adds as well, then reads of the peers' registers side by
//!   side. The answer is the sum of the newest totals known, newest by epoch.
//! - While a change is under way, operations wait and are combined into the next one: none joins a message that was sent
//!   before it arrived. The same holds for reading the peers' registers.
//!
//! Why change the own register to read the others? `seq-kv` may answer a plain read from the past, for ever. But **a
//! change brings its client up to date**: it is made on the newest state, and what the client reads afterwards is no
//! older. So the reads that follow see every add that was acknowledged before the change was sent. Maelstrom's store
//! does this (upstream's service tests rely on it) and `lin-kv` does anyway. Sequential consistency alone does not ask
//! for it, so the laziest legal store breaks this level. The linearizable level needs no such promise.
//!
//! What is given up: two reads may disagree on the order of two concurrent adds.
//!
//! Exactly once is the work of [`kv`](crate::kv). Here `[total, epoch]` shows a change if both are what the change
//! wanted. The same or a higher epoch with another total, which a late change of a killed incarnation can leave, shows
//! that the change never will be applied; its batch is then sent again on top of that.

use alloc::vec::Vec;
use core::time::Duration;

use super::operations::{Operation, Operations};
use super::register::OwnRegister;
use super::{Options, Received};
use crate::kv::{Outcome, Queue, RegisterId, Registers};
use crate::node::{Context, GivenUp, Random};
use crate::protocol::Name;

/// One node of this level.
#[derive(Debug)]
pub(super) struct Regular {
    pub(super) operations: Operations,
    registers: Registers<OwnRegister, ()>,
    own: RegisterId,
    peers: Vec<RegisterId>,
    /// Operations that wait for a change of the own register.
    changes: Queue<Operation>,
    /// Reads whose change was applied, and which wait until the peers' registers have been read.
    reads: Queue<()>,
    /// How many of those have been asked for, and how many have been read.
    asked: usize,
    read: usize,
}

impl Regular {
    pub(super) fn new(options: &Options, random: &mut Random, node: &str, peers: &[Name]) -> Self {
        let mut registers = Registers::new(&options.service, &options.limits, random);
        let mut open = |node: &str| {
            let key = alloc::format!("{}/{node}", options.name());
            registers.open(&key, ())
        };
        Regular {
            operations: Operations::new(options, random),
            own: open(node),
            peers: peers.iter().map(|peer| open(peer.as_str())).collect(),
            registers,
            changes: Queue::default(),
            reads: Queue::default(),
            asked: 0,
            read: 0,
        }
    }

    /// Takes on what a client asks for.
    pub(super) fn submit(&mut self, id: i64, operation: Operation, context: &mut Context<'_>) {
        self.changes.push(id, operation);
        self.advance(context);
    }

    /// Starts what is waited for and not under way: a change of the own register, and reading the peers' registers.
    fn advance(&mut self, context: &mut Context<'_>) {
        if self.changes.is_ready() && !self.registers.is_changing(self.own) {
            self.change(context);
        }
        if self.reads.is_ready() {
            self.reads
                .start_batch(self.operations.batch_max, |_, _| true);
            (self.asked, self.read) = (0, 0);
            self.read_peers(context);
        }
    }

    /// Changes the own register for the operations that wait, or reads it first, if it is not known.
    fn change(&mut self, context: &mut Context<'_>) {
        let Some((known, _)) = self.registers.known(self.own) else {
            self.registers.read(self.own, context);
            return;
        };
        let (own, value) = (known.total, self.value());
        let fits = |delta: i64| {
            own.checked_add(delta).is_some() && i64::try_from(value + i128::from(delta)).is_ok()
        };
        if let Some(delta) = self
            .operations
            .combine(&mut self.changes, fits, context.outbox)
        {
            let add = |register: &mut OwnRegister| register.add(delta);
            self.registers.change(self.own, add, context);
        }
    }

    /// Reads the peers' registers side by side, but no more at once than there is capacity for, beside a change.
    fn read_peers(&mut self, context: &mut Context<'_>) {
        while self.asked < self.peers.len() && self.registers.capacity_left() > 1 {
            self.registers.read(self.peers[self.asked], context);
            self.asked += 1;
        }
    }

    pub(super) fn reply(&mut self, reply: &Received<'_>, context: &mut Context<'_>) {
        let value = reply.body.fields.value;
        let Some(done) = self.registers.on_reply(reply, value, context) else {
            return;
        };
        match (done.outcome, done.register == self.own) {
            (Outcome::Applied, _) => self.on_applied(context),
            (Outcome::Lost, _) => self.changes.return_batch(),
            (Outcome::Read, false) => self.on_peer_read(context),
            (Outcome::Unexpected, true) => {
                let why = self.registers.unexpected_value(self.own);
                self.operations
                    .fail(&mut self.changes, &why, context.outbox);
            }
            (Outcome::Unexpected, false) => {
                let why = self.registers.unexpected_value(done.register);
                self.operations.fail(&mut self.reads, &why, context.outbox);
                self.stop_reading_peers();
            }
            _ => {}
        }
        self.advance(context);
    }

    /// The own register was changed: adds are done. Reads go on to the peers' registers, if there are peers.
    fn on_applied(&mut self, context: &mut Context<'_>) {
        let value = self.value();
        for (id, operation) in self.changes.end_batch() {
            match operation {
                Operation::Read if !self.peers.is_empty() => self.reads.push(id, ()),
                _ => self.operations.succeed(id, value, context.outbox),
            }
        }
    }

    /// A peer's register was read: when all have been, reads are done.
    fn on_peer_read(&mut self, context: &mut Context<'_>) {
        self.read += 1;
        self.read_peers(context);
        if self.read == self.peers.len() {
            let value = self.value();
            for (id, ()) in self.reads.end_batch() {
                self.operations.succeed(id, value, context.outbox);
            }
        }
    }

    /// The counter's value, by all that is known.
    fn value(&self) -> i128 {
        let registers = self.peers.iter().chain([&self.own]);
        let known = registers.filter_map(|register| self.registers.known(*register));
        known.map(|(known, _)| i128::from(known.total)).sum()
    }

    /// Gives an operation up.
    pub(super) fn withdraw(&mut self, id: i64) -> GivenUp {
        self.reads.withdraw(id);
        self.changes.withdraw(id)
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.registers.deadline()
    }

    pub(super) fn wake(&mut self, context: &mut Context<'_>) {
        if self.reads.is_abandoned() {
            self.stop_reading_peers();
        }
        if self.operations.requests.is_empty() {
            self.registers.stop_reading(self.own);
        }
        self.registers.wake(context);
        self.advance(context);
    }

    /// Nobody waits for the peers' registers any more.
    fn stop_reading_peers(&mut self) {
        drop(self.reads.end_batch());
        for peer in &self.peers {
            self.registers.stop_reading(*peer);
        }
    }
}
