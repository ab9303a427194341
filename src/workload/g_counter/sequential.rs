//! The textbook solution: adds change one register, reads just read it.
//!
//! All nodes share one register, see `SharedRegister`. An add is a compare-and-swap of it, from the last known value to
//! the next; where another node was faster, the add is sent again on top of that. A read asks the store for the register,
//! one message, and the answer may be from the past.
//!
//! Adds and reads together are sequentially consistent, which is all that the store promises: each client sees its own
//! operations in order, and everyone the same order. But nothing says how old that order's end may be, so **the final
//! read may miss acknowledged adds** on every store that is not linearizable.
//!
//! Maelstrom's `seq-kv` answers a read from a random state between the newest one that the node has seen and the newest
//! of all, both included. The node that made the last change reads that. For every other node it is chance: the more
//! changes others made since it last changed or read the register, the less likely it reads the newest state.
//! `eddy sim -w g-counter --node-count N --seeds 200 ... -- --consistency sequential` counts how often some final read is
//! wrong:
//!
//! | nodes | other flags | runs with a wrong final read | on Maelstrom |
//! |---|---|---|---|
//! | 5 | `--rate 100 --time-limit 5` | 187 of 200 | 3 of 3 |
//! | 3 | `--rate 100 --time-limit 10 --latency 20 --nemesis partition --nemesis-interval 3` | 141 of 200 | 2 of 3 |
//!
//! This level is kept because it is worth seeing fail, and as it is in textbooks: where nodes fight over the register,
//! nothing keeps the one that wins from winning again.

use core::time::Duration;

use super::operations::{Operation, Operations};
use super::register::{Proposal, SharedRegister, SharedRegisters};
use super::{Options, Received};
use crate::kv::{Outcome, Queue, RegisterId, Registers};
use crate::node::{Context, GivenUp, ID_BITS, Random};
use crate::protocol::Name;

/// One node of this level.
#[derive(Debug)]
pub(super) struct Sequential {
    pub(super) operations: Operations,
    node: Name,
    registers: SharedRegisters,
    register: RegisterId,
    last_proposal_id: i64,
    /// Adds that wait for a change of the register.
    adds: Queue<Operation>,
    /// Reads that wait until the register has been read.
    reads: Queue<()>,
}

impl Sequential {
    pub(super) fn new(options: &Options, random: &mut Random, node: &str) -> Self {
        let mut registers = Registers::new(&options.service, &options.limits, random);
        Sequential {
            operations: Operations::new(options, random),
            node: node.into(),
            register: registers.open(&options.name(), ()),
            registers,
            last_proposal_id: random.sequence_start(ID_BITS) as i64,
            adds: Queue::default(),
            reads: Queue::default(),
        }
    }

    /// Takes on what a client asks for.
    pub(super) fn submit(&mut self, id: i64, operation: Operation, context: &mut Context<'_>) {
        match operation {
            Operation::Add(_) => self.adds.push(id, operation),
            Operation::Read => self.reads.push(id, ()),
        }
        self.advance(context);
    }

    /// Starts what is waited for and not under way: a change, and a read. A node that knows nothing yet reads first.
    fn advance(&mut self, context: &mut Context<'_>) {
        if self.operations.requests.is_empty() {
            return;
        }
        if self.registers.known(self.register).is_none() {
            self.registers.read(self.register, context);
            return;
        }
        if self.adds.is_ready() && !self.registers.is_changing(self.register) {
            self.change(context);
        }
        if self.reads.is_ready() {
            self.reads
                .start_batch(self.operations.batch_max, |_, _| true);
            self.registers.read(self.register, context);
        }
    }

    /// Changes the register for the adds that wait.
    fn change(&mut self, context: &mut Context<'_>) {
        let known = self.registers.known(self.register).expect("it was read");
        let known = known.view(self.node.as_str());
        let fits = |delta| known.total.checked_add(delta).is_some();
        let Some(delta) = self
            .operations
            .combine(&mut self.adds, fits, context.outbox)
        else {
            return;
        };
        self.last_proposal_id += 1;
        let proposal = Proposal {
            previous: known.last_applied,
            id: self.last_proposal_id,
            delta,
        };
        let node = &self.node;
        let apply = |register: &mut SharedRegister| {
            register.advance(node);
            register.apply(node, &proposal);
        };
        self.registers.change(self.register, apply, context);
    }

    pub(super) fn reply(&mut self, reply: &Received<'_>, context: &mut Context<'_>) {
        let value = reply.body.fields.value;
        let Some(done) = self.registers.on_reply(reply, value, context) else {
            return;
        };
        match done.outcome {
            Outcome::Applied => {
                for (id, _) in self.adds.end_batch() {
                    self.operations.succeed(id, 0, context.outbox);
                }
            }
            Outcome::Lost => self.adds.return_batch(),
            Outcome::Read => {
                let known = self.registers.known(self.register).expect("it was read");
                let total = known.view(self.node.as_str()).total.into();
                for (id, ()) in self.reads.end_batch() {
                    self.operations.succeed(id, total, context.outbox);
                }
            }
            Outcome::Unexpected | Outcome::Refused(_) => {
                let why = self.registers.unexpected_value(self.register);
                self.operations.fail(&mut self.adds, &why, context.outbox);
                self.operations.fail(&mut self.reads, &why, context.outbox);
            }
        }
        self.advance(context);
    }

    /// Gives an operation up.
    pub(super) fn withdraw(&mut self, id: i64) -> GivenUp {
        self.reads.withdraw(id);
        self.adds.withdraw(id)
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.registers.deadline()
    }

    pub(super) fn wake(&mut self, context: &mut Context<'_>) {
        if self.reads.is_abandoned() {
            self.registers.stop_reading(self.register);
            drop(self.reads.end_batch());
        }
        if self.operations.requests.is_empty() {
            self.registers.stop_reading(self.register);
        }
        self.registers.wake(context);
        self.advance(context);
    }
}
