//! Adds and reads happen one after the other, each at a moment between its request and its answer, on **any**
//! sequentially consistent store.
//!
//! One register for all nodes: `[17, 42, "n1", "n0", 5120, "n1", 977]`, which is the total, the version, who wrote it,
//! and the id of each node's last round. A round is a step of one node: it adds up all waiting deltas and puts its own
//! id behind the node's name, in place of the id of the round before. A cas from the last known version to the next
//! makes the step, counts the version up and says who sent it. Reads ride on it like adds: a read is answered with a
//! value that the register had once it held the round, so reads cost a change too. When the cas fails, the node reads
//! the register and tries again, or hands its step to the node that came first, which takes it along on its own cas: see
//! `peers`.
//!
//! # Why this is linearizable
//!
//! It is often said that a sequentially consistent store can't give the right final read. With plain reads and writes
//! it can't: Attiya and Welch ("Sequential consistency versus linearizability", 1994) show what such reads miss. But
//! compare-and-swap is stronger than reads and writes (Herlihy, "Wait-free synchronization", 1991), and here every
//! operation, reads included, takes part in it.
//!
//! 1. The store is sequentially consistent: there is one order of all its operations that explains all its answers
//!    and keeps each node's own order. That order need not agree with real time.
//! 2. Each successful cas names the whole state before it, and a version counts up by one. So versions are unique, and
//!    the successful cas form one chain, C1, C2, …, each replacing what the one before it installed. A node knows only
//!    states of the chain: what it has read, what a cas of its own that succeeded has installed, and what others, who
//!    know no more than that, have told it.
//! 3. A step is taken on a state in which its node's id is the one before it, and changes the id to its own. Ids are
//!    never used again, not even by a later life of the node, so each step is in the chain once or never, whichever node
//!    sends it and however often. An add takes effect where its step is. A read takes effect, after the adds of that
//!    version, at the version with whose value it is answered: that of its step or a later one which its node knew.
//! 4. Suppose operation A was answered before operation B was requested, and B took effect before A. A's node knew the
//!    state at which A took effect when it answered, so the cas that installed it, and all before it in the chain, had
//!    been sent by then. B takes effect at its step's place or later, so the cas with B's step was among them. But a
//!    step is only sent after all that it adds up was requested, because an operation rides only on a message sent after
//!    it arrived. So B had been requested before A was answered: a contradiction. The chain agrees with real time.
//! 5. Exactly once: the riders of a step are answered or set free only when it is certain what became of it, by the
//!    newest state that is known. If it shows the step's own id, the step was made. If it shows the id before, the step
//!    may still be made, and it alone may be tried again, with the same riders. If it shows any other, the id before is
//!    gone for good, and with it the step. A step whose delta no longer fits the value is made without it, under another
//!    id, so that it is gone too.
//! 6. It ends: a cas that fails because it knows an old version orders its node after the successor of that version
//!    (it can't be explained earlier), so a later read shows something newer, and every failure makes progress. That is
//!    so for versions that the store itself has told this node; a cas from a version that others have told may fail
//!    without any reason, and is then tried from what the store tells, old as it may be.
//!
//! A node may know a state that is old; that costs it another attempt and no one a wrong answer.

use alloc::vec::Vec;
use core::time::Duration;

use super::forwarding::Forwarding;
use super::operations::{Operations, answer_late};
use super::register::{Proposal, Resolution, SharedRegister, View};
use super::{Fields, Options};
use crate::kv::{Outcome, Queue, RegisterId, Registers};
use crate::node::{Context, INPUT_ENDED, Outbox, Random};
use crate::protocol::{Error, Message, Name};

/// One node of this level.
#[derive(Debug)]
pub(super) struct Linearizable {
    node: Name,
    operations: Operations,
    registers: Registers<SharedRegister, ()>,
    register: RegisterId,
    last_proposal_id: i64,
    /// The deltas of operations that wait to be applied. Those in flight are the batch.
    queue: Queue<i64>,
    /// What the batch adds up to. It stays as it is until it is resolved.
    proposal: Option<Proposal>,
    /// The newest value of the register that this node has heard of, from the store or a peer.
    newest: View,
    /// A peer has told of a newer value than the store, and the store has not been asked since.
    is_behind: bool,
    forwarding: Forwarding,
}

impl Linearizable {
    pub(super) fn new(options: &Options, seed: u64, node: &str, peers: Vec<Name>) -> Self {
        let mut random = Random::new(seed);
        let mut registers = Registers::new(&options.service, &options.limits, &mut random);
        Linearizable {
            node: node.into(),
            operations: Operations::new(options, &mut random),
            register: registers.open(options.name(), ()),
            registers,
            last_proposal_id: random.sequence_start(53) as i64,
            queue: Queue::default(),
            proposal: None,
            newest: View::default(),
            is_behind: false,
            forwarding: Forwarding::new(options, peers),
        }
    }

    pub(super) fn request(
        &mut self,
        request: &Message<'_, Fields<'_>>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        if request.body.kind == "forward" {
            let known = self.registers.known(self.register).map(|(known, _)| known);
            self.forwarding.on_forward(request, known, context.outbox)?;
        } else {
            let (id, operation) = self.operations.admit(request, context.now)?;
            self.queue.push(id, operation.delta());
        }
        self.advance(context);
        Ok(())
    }

    /// Goes on with what waits, if nothing is under way.
    fn advance(&mut self, context: &mut Context<'_>) {
        if !self.registers.is_idle(self.register) || !self.has_work() {
            return;
        }
        if self.registers.known(self.register).is_none() {
            self.registers.read(self.register, context);
            return;
        }
        self.propose(context.outbox);
        if let Some(proposal) = &self.proposal
            && self.forwarding.forward(proposal, context)
        {
            return;
        }
        if !self.has_work() || self.forwarding.backs_off(context.now) {
            return;
        }
        if self.is_behind {
            self.registers.read(self.register, context);
        } else {
            self.change(context);
        }
    }

    fn has_work(&self) -> bool {
        !self.queue.is_empty() || self.proposal.is_some() || self.forwarding.has_proposals()
    }

    /// Combines the operations that wait into a proposal, unless there is one.
    fn propose(&mut self, outbox: &mut Outbox) {
        if self.proposal.is_none() {
            let View {
                total,
                last_applied,
                ..
            } = self.newest;
            let fits = |delta| total.checked_add(delta).is_some();
            let combined = self.operations.combine(&mut self.queue, fits, outbox);
            self.proposal = combined.map(|delta| self.next_proposal(last_applied, delta));
        }
    }

    fn next_proposal(&mut self, previous: i64, delta: i64) -> Proposal {
        self.last_proposal_id += 1;
        Proposal {
            previous,
            id: self.last_proposal_id,
            delta,
        }
    }

    /// Changes the register from the newest value that the store has told: applies this node's proposal and those that
    /// peers have forwarded.
    fn change(&mut self, context: &mut Context<'_>) {
        let (known, _) = self.registers.known(self.register).expect("it was read");
        let View { last_applied, .. } = known.view(self.node.as_str());
        let own = self.proposal.filter(|own| own.previous == last_applied);
        // Without one that follows on this value, the change is for peers alone, or the value is old and will be refused.
        // An empty proposal makes it unlike any other change all the same.
        let own = own.unwrap_or_else(|| self.next_proposal(last_applied, 0));
        let (node, forwarding) = (&self.node, &self.forwarding);
        let apply = |register: &mut SharedRegister| {
            register.advance(node);
            register.apply(node, &own);
            for (peer, proposal) in forwarding.proposals() {
                register.apply(peer, proposal);
            }
        };
        self.registers.change(self.register, apply, context);
        self.forwarding
            .on_change(self.proposal.is_some(), context.now);
    }

    pub(super) fn reply(&mut self, reply: &Message<'_, Fields<'_>>, context: &mut Context<'_>) {
        let value = reply.body.fields.value;
        if let Some(done) = self.registers.on_reply(reply, value, context) {
            self.on_done(done.outcome, context);
        } else if let Some(told) = self.forwarding.on_forward_ok(reply, context.now) {
            self.is_behind = true;
            self.learn(told, context.outbox);
        }
        self.advance(context);
    }

    /// The store has told what the register holds, or what became of a change.
    fn on_done(&mut self, outcome: Outcome, context: &mut Context<'_>) {
        if let Outcome::Unexpected | Outcome::Refused(_) = outcome {
            let why = self.registers.unexpected_value(self.register);
            self.operations.fail(&mut self.queue, &why, context.outbox);
            self.proposal = None;
            self.forwarding.clear();
            return;
        }
        let (known, _) = self.registers.known(self.register).expect("it was read");
        match outcome {
            Outcome::Applied => self.forwarding.on_applied(&self.node, known, context),
            Outcome::Lost => self.forwarding.on_lost(known, context),
            _ => {}
        }
        self.is_behind = false;
        let view = known.view(self.node.as_str());
        self.learn(view, context.outbox);
    }

    /// Takes in what the store or a peer has told of the register, and ends the batch if that resolves it.
    fn learn(&mut self, told: View, outbox: &mut Outbox) {
        if told.version > self.newest.version {
            self.newest = told;
        }
        let Some(proposal) = self.proposal else {
            return;
        };
        match proposal.resolve(&self.newest) {
            Resolution::Applied => {
                let value = self.newest.total.into();
                for id in self.queue.on_applied() {
                    self.operations.succeed(id, value, outbox);
                }
            }
            Resolution::Lost => self.queue.on_lost(),
            Resolution::Open => return,
        }
        self.proposal = None;
        self.forwarding.on_resolved();
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let deadlines = [
            self.operations.deadline(),
            self.registers.deadline(),
            self.forwarding.deadline(self.has_work()),
        ];
        deadlines.into_iter().flatten().min()
    }

    pub(super) fn wake(&mut self, context: &mut Context<'_>) {
        while let Some((id, request)) = self.operations.expired(context.now) {
            let applied = self.queue.withdraw(id);
            answer_late(&request, applied, context.outbox);
        }
        if !self.has_work() {
            self.registers.stop_reading(self.register);
        }
        self.registers.wake(context);
        if self.forwarding.wake(context.now) {
            self.is_behind = true;
        }
        self.advance(context);
    }

    pub(super) fn finish(&mut self, outbox: &mut Outbox) {
        self.operations.fail(&mut self.queue, INPUT_ENDED, outbox);
    }
}
