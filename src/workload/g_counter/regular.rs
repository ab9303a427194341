//! Every read holds all adds that were acknowledged before it began, and a node never goes back to an older state.
//!
//! A register per node: node `n0` keeps its own total under its own key, as `[total, epoch, incarnation]`, and counts the
//! epoch up with each change.
//!
//! - An add is a change of the own register. No other node touches that, so an add takes one round trip, whatever the
//!   number of nodes.
//! - A read is a change too, of a second register that only this node uses, then reads of the peers' registers side by
//!   side. The answer is the sum of the newest totals known, newest by epoch.
//! - An incarnation reads each of the two registers once, before its first change of it.
//! - Reads that arrive while the peers' registers are being read wait until they can be read again.
//!
//! Why change a register to read others? `seq-kv` may answer a plain read from the past, for ever. But **a change brings
//! its client up to date**: it is made on the newest state, and what the client reads afterwards is no older. So the
//! reads that follow see every add that was acknowledged before the change was sent. Maelstrom's store does this
//! (upstream's service tests rely on it) and `lin-kv` does anyway. Sequential consistency alone does not ask for it, so
//! the laziest legal store breaks this level. The linearizable level needs no such promise.
//!
//! Why a second register? So that adds don't wait for the changes of reads, nor reads for those of adds. Until this
//! incarnation has changed its own register, though, reads change that one: an earlier incarnation may have left a change
//! on its way, which can be applied until the epoch moves on. Afterwards nobody else can change the own register, and its
//! total is known without a look at the store.
//!
//! What is given up: two reads may disagree on the order of two concurrent adds.
//!
//! What it costs: an add that is alone takes 2 messages to and from the store, a read among n nodes 2n, for its change and
//! for the registers of n - 1 peers. Where each node has a register of its own, a read can't do with less: each peer may have
//! had an add acknowledged just before the read was requested, which only that peer's register shows, and without the
//! change the store may answer from before that add. Operations that overlap share these messages.
//!
//! Exactly once is the work of [`kv`](crate::kv). Here a value shows a change if all of it is what the change wanted. The
//! same or a higher epoch with another total or incarnation, which a late change of a killed incarnation can leave, shows
//! that the change never will be applied; its batch is then sent again on top of that.

use alloc::vec::Vec;
use core::time::Duration;

use super::operations::{Operation, Operations};
use super::register::OwnRegister;
use super::{Options, Received};
use crate::kv::{Outcome, Queue, RegisterId, Registers};
use crate::node::{Context, GivenUp, Random, earliest};
use crate::protocol::Name;

/// After a change, the next one of the same register is sent this part of a round trip later, for the sake of the requests
/// that its answers bring: a sixteenth.
const PAUSE_PART: u32 = 16;

/// One node of this level.
#[derive(Debug)]
pub(super) struct Regular {
    pub(super) operations: Operations,
    /// A register of this node's is called by its index in `changes`.
    registers: Registers<OwnRegister, Option<usize>>,
    /// A random number below 2^31, which tells this incarnation of the node from others.
    incarnation: i64,
    /// Of the [`OWN`] register, which holds this node's total, and of the [`SECOND`].
    changes: [Changes; 2],
    has_changed_own: bool,
    peers: Vec<RegisterId>,
    /// Reads whose change was applied, and which wait until the peers' registers have been read.
    reads: Queue<()>,
    /// How many of those have been asked for, and how many have been read.
    asked: usize,
    read: usize,
}

/// A register that only this node changes, and the operations that wait for a change of it.
#[derive(Debug)]
struct Changes {
    register: RegisterId,
    queue: Queue<Operation>,
    paused_until: Option<Duration>,
}

const OWN: usize = 0;
const SECOND: usize = 1;

impl Regular {
    pub(super) fn new(options: &Options, random: &mut Random, node: &str, peers: &[Name]) -> Self {
        let mut registers = Registers::new(&options.service, &options.limits, random);
        let mut open = |folder: &str, node: &str, index| {
            let key = alloc::format!("{}{folder}/{node}", options.name());
            registers.open(&key, index)
        };
        let changes = [("", OWN), ("-reads", SECOND)].map(|(folder, index)| Changes {
            register: open(folder, node, Some(index)),
            queue: Queue::default(),
            paused_until: None,
        });
        Regular {
            operations: Operations::new(options, random),
            incarnation: random.sequence_start(32) as i64,
            changes,
            has_changed_own: false,
            peers: Vec::from_iter(peers.iter().map(|peer| open("", peer.as_str(), None))),
            registers,
            reads: Queue::default(),
            asked: 0,
            read: 0,
        }
    }

    /// Takes on what a client asks for.
    pub(super) fn submit(&mut self, id: i64, operation: Operation, context: &mut Context<'_>) {
        let index = match operation {
            Operation::Read if self.has_changed_own => SECOND,
            _ => OWN,
        };
        self.changes[index].queue.push(id, operation);
        self.change(index, context);
    }

    /// Starts what is waited for and not under way: changes of both registers, and reading the peers' registers.
    fn advance(&mut self, context: &mut Context<'_>) {
        self.change(OWN, context);
        self.change(SECOND, context);
        if self.reads.is_ready() {
            self.reads
                .start_batch(self.operations.batch_max, |_, _| true);
            (self.asked, self.read) = (0, 0);
            self.read_peers(context);
        }
    }

    /// Changes a register for the operations that wait, or reads it first, if it is not known.
    fn change(&mut self, index: usize, context: &mut Context<'_>) {
        let changes = &mut self.changes[index];
        let register = changes.register;
        let paused_until = changes.paused_until;
        if !changes.queue.is_ready() || paused_until.is_some_and(|until| context.now < until) {
            return;
        }
        changes.paused_until = None;
        let Some(known) = self.registers.known(register) else {
            self.registers.read(register, context);
            return;
        };
        let (own, value) = (known.total, self.value());
        let fits = |delta: i64| {
            own.checked_add(delta).is_some() && i64::try_from(value + i128::from(delta)).is_ok()
        };
        let queue = &mut self.changes[index].queue;
        if let Some(delta) = self.operations.combine(queue, fits, context.outbox) {
            let add = |register: &mut OwnRegister| register.add(delta, self.incarnation);
            self.registers.change(register, add, context);
        }
    }

    /// Reads the peers' registers side by side, but no more at once than there is capacity for, beside the changes.
    fn read_peers(&mut self, context: &mut Context<'_>) {
        while self.asked < self.peers.len() && self.registers.capacity_left() > 2 {
            self.registers.read(self.peers[self.asked], context);
            self.asked += 1;
        }
    }

    pub(super) fn reply(&mut self, reply: &Received<'_>, context: &mut Context<'_>) {
        let value = reply.body.fields.value;
        let Some(done) = self.registers.on_reply(reply, value, context) else {
            return;
        };
        match (done.outcome, done.name) {
            (Outcome::Applied, Some(index)) => self.on_applied(index, context),
            (Outcome::Lost, Some(index)) => self.changes[index].queue.return_batch(),
            (Outcome::Read, None) => self.on_peer_read(context),
            (Outcome::Unexpected, Some(index)) => {
                let why = self.registers.unexpected_value(done.register);
                let queue = &mut self.changes[index].queue;
                self.operations.fail(queue, &why, context.outbox);
            }
            (Outcome::Unexpected, None) => {
                let why = self.registers.unexpected_value(done.register);
                self.operations.fail(&mut self.reads, &why, context.outbox);
                self.stop_reading_peers();
            }
            _ => {}
        }
        self.advance(context);
    }

    /// A register was changed: adds are done. Reads go on to the peers' registers, if there are peers.
    fn on_applied(&mut self, index: usize, context: &mut Context<'_>) {
        self.has_changed_own |= index == OWN;
        let value = self.value();
        let changes = &mut self.changes[index];
        let pause = self.registers.round_trip() / PAUSE_PART;
        changes.paused_until = self.operations.paused_until(pause, context.now);
        for (id, operation) in changes.queue.end_batch() {
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
        let registers = self.peers.iter().chain([&self.changes[OWN].register]);
        let known = registers.filter_map(|register| self.registers.known(*register));
        known.map(|known| i128::from(known.total)).sum()
    }

    /// Gives an operation up.
    pub(super) fn withdraw(&mut self, id: i64) -> GivenUp {
        self.reads.withdraw(id);
        self.changes[SECOND].queue.withdraw(id);
        self.changes[OWN].queue.withdraw(id)
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let [own, second] = &self.changes;
        let paused = |changes: &Changes| changes.paused_until.filter(|_| changes.queue.is_ready());
        earliest([paused(own), paused(second), self.registers.deadline()])
    }

    pub(super) fn wake(&mut self, context: &mut Context<'_>) {
        if self.reads.is_abandoned() {
            self.stop_reading_peers();
        }
        if self.operations.requests.is_empty() {
            for changes in &self.changes {
                self.registers.stop_reading(changes.register);
            }
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
