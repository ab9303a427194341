//! Adds and reads happen one after the other, each at a moment between its request and its answer, on **any**
//! sequentially consistent store.
//!
//! All nodes share one register, `SharedRegister`: the total, the version, the last writer, and the last-applied table,
//! which holds for each node the id of its last proposal that was applied. A node combines the operations that wait
//! into a batch. What the batch adds up to is a `Proposal`: it puts its own id into the table, in place of the id of
//! the node's previous proposal. A compare-and-swap from the newest value that the store has told to the next one applies
//! it. Reads join batches like adds, so a read costs a change, too; it is answered with a total that the register had
//! when or after its batch was applied. A change that is lost is tried again from the value that the store then tells,
//! or the proposal is forwarded to the node that was faster, or announced to all: see `forwarding`.
//!
//! Before a proposal is tried again, another takes its place that also holds the operations that have come since. It has an
//! id of its own and the same previous id, so at most one of the two is applied.
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
//! 2. Each successful compare-and-swap names the whole value before it, and makes the version one higher. So versions
//!    are unique, and the successful ones form one chain, C1, C2, …, each replacing what the one before it installed. A
//!    node knows only values of the chain and the missing register that it begins with: those that it has read, those that
//!    a compare-and-swap of its own has installed, and what peers, who know no more than that, have told it of theirs.
//! 3. A proposal is applied to a value whose table holds its previous id, and puts its own id there. Ids are never used
//!    again, not even by a later incarnation of the node. So each proposal is in the chain once or never, whichever node
//!    applies it and however often that is tried, and of those with the same previous id at most one is. An add takes effect
//!    where a proposal that holds it is applied. A read takes effect, after the adds of that version, at the version with
//!    whose total it is answered: that of its proposal, or a later one that its node knew when it answered.
//! 4. Suppose operation A was answered before operation B was requested, and B took effect before A. A's node knew the
//!    value at which A took effect when it answered, so the compare-and-swap that installed it, and all before it in the
//!    chain, had been sent by then. B takes effect where a proposal that holds it is applied, or later, so the one that
//!    applied that proposal was among them. But a proposal is sent, to the store or to a peer, only after all its operations
//!    were requested: it stays as it is, and an operation that comes later needs another one. So B had been requested before
//!    A was answered: a contradiction. The chain agrees with real time.
//! 5. Exactly once: operations are answered, or join another batch, only when it is certain what became of all proposals
//!    of the batch, by the newest value that is known. If the table holds the id of one, that one was applied and the others
//!    never will be: operations that it does not hold join the next batch. If the table holds the previous id, each may still
//!    be applied, and the last one is tried again. If it holds any other, the previous id is gone for good, and with it all
//!    of them. A proposal whose delta no longer fits the total is applied without the delta, under another id, so that it
//!    is gone, too.
//! 6. It ends: a compare-and-swap starts from a value that the store itself has told this node, or from none. One that
//!    fails because that value is old orders its node after the successor of that value (it can't be explained earlier), so
//!    a later read shows a newer one. Every failure makes progress.
//!
//! A node may know a value that is old. That costs it another attempt, and nobody a wrong answer. So a new node does not
//! read first: it takes the register for missing, which is how the chain begins.

mod forwarding;

use alloc::vec::Vec;
use core::time::Duration;

use super::operations::{Operation, Operations};
use super::register::{Proposal, SharedRegister, SharedRegisters, View};
use super::{Options, Received};
use crate::kv::{Outcome, Queue, RegisterId, Registers};
use crate::node::{Context, GivenUp, ID_BITS, Outbox, Random, earliest};
use crate::protocol::Name;

use forwarding::{Peer, Sent, wins_min};

/// One node of this level.
#[derive(Debug)]
pub(super) struct Linearizable {
    pub(super) operations: Operations,
    node: Name,
    decrements: bool,
    rpc_timeout: Duration,
    /// The register that all nodes change, and those of announcements.
    registers: SharedRegisters,
    register: RegisterId,
    last_proposal_id: i64,
    /// Operations that wait to be applied. Those in flight are the batch.
    queue: Queue<Operation>,
    /// The proposals of the batch, each with the number of its operations, from the oldest on. The last one holds the whole
    /// batch. They have the same previous id.
    proposals: Vec<(Proposal, usize)>,
    /// The newest value of the register that this node has heard of, from the store or a peer.
    newest: View,
    /// A peer has told of a newer value than the store, and the store has not been asked since.
    is_behind: bool,
    /// Until then a change is made only for what peers have forwarded.
    paused_until: Option<Duration>,
    // What follows is for `forwarding`.
    /// The other nodes.
    peers: Vec<Peer>,
    /// The peer that this node's proposals are forwarded to.
    forwarder: Option<usize>,
    /// The proposal that was forwarded and has not been answered.
    sent: Option<Sent>,
    /// Whether the proposals of several nodes went with the last change.
    is_shared: bool,
    /// The register in which this node announces its proposals.
    announcement: RegisterId,
    /// Whether this node announces its proposals: since its last change was lost, or a forwarder took long, until a change is
    /// applied or a forwarder answers. While a change is refused it does so in any case.
    is_to_announce: bool,
    /// How many changes of this node were applied since it last thought of helping.
    wins: u32,
    /// After this many it reads what peers have announced.
    wins_to_help: u32,
}

impl Linearizable {
    pub(super) fn new(options: &Options, random: &mut Random, node: &str, peers: &[Name]) -> Self {
        let mut registers = Registers::new(&options.service, &options.limits, random);
        let mut open = |key: &str| {
            let register = registers.open(&key, ());
            registers.assume_missing(register);
            register
        };
        let register = open(options.name());
        let key = |node: &str| alloc::format!("{}-announced/{node}", options.name());
        let announcement = open(&key(node));
        let peer = |peer: &Name| Peer::new(peer, open(&key(peer.as_str())));
        let peers: Vec<Peer> = peers.iter().map(peer).collect();
        Linearizable {
            operations: Operations::new(options, random),
            node: node.into(),
            decrements: options.decrements,
            rpc_timeout: options.limits.rpc_timeout,
            register,
            registers,
            last_proposal_id: random.sequence_start(ID_BITS) as i64,
            queue: Queue::default(),
            proposals: Vec::new(),
            newest: View::default(),
            is_behind: false,
            paused_until: None,
            wins_to_help: wins_min(&peers),
            peers,
            forwarder: None,
            sent: None,
            is_shared: false,
            announcement,
            is_to_announce: false,
            wins: 0,
        }
    }

    /// Takes on what a client asks for.
    pub(super) fn submit(&mut self, id: i64, operation: Operation, context: &mut Context<'_>) {
        self.queue.push(id, operation);
        self.advance(context);
    }

    /// Goes on with what waits, unless a change is under way. While the register is only read, perhaps to learn why a change
    /// was refused, proposals are forwarded and announced.
    fn advance(&mut self, context: &mut Context<'_>) {
        let is_idle = self.registers.is_idle(self.register);
        let is_changing = self.registers.is_changing(self.register);
        if is_changing && !self.registers.is_refused(self.register) || !self.has_work() {
            return;
        }
        let changes = is_idle && !self.is_behind && self.sent.is_none();
        let forwards = self.sent.is_none() && self.forwarder.is_some();
        if changes || forwards || self.announces() {
            self.propose(context.outbox);
        }
        if let Some(proposal) = self.proposal() {
            self.announce(&proposal, context);
            self.forward(&proposal, context);
            if self.sent.is_some() {
                return;
            }
        }
        if !is_idle || !self.has_work() {
            return;
        }
        if self.is_behind {
            self.registers.read(self.register, context);
        } else {
            self.change(context);
        }
    }

    fn has_work(&self) -> bool {
        let has_peers = self.peers.iter().any(|peer| peer.proposal.is_some());
        let has_next = !self.queue.is_empty() && self.paused_until.is_none();
        has_peers || has_next || !self.proposals.is_empty()
    }

    /// The newest value that the store has told, or that of a missing register.
    fn known(&self) -> &SharedRegister {
        known(&self.registers, self.register)
    }

    /// What the whole batch adds up to: the proposal that is tried next.
    fn proposal(&self) -> Option<Proposal> {
        self.proposals.last().map(|(proposal, _)| *proposal)
    }

    /// Combines the operations that wait with those of the batch, if there is one, into a proposal, which must be sent at
    /// once: what was in a proposal is in doubt.
    fn propose(&mut self, outbox: &mut Outbox) {
        let (newest, in_flight) = (self.newest, self.proposal());
        let nothing = (newest.last_applied, 0);
        let (previous, delta) = in_flight.map_or(nothing, |it| (it.previous, it.delta));
        let fits = |more: i64| {
            let sum = delta.checked_add(more);
            sum.is_some_and(|sum| newest.total.checked_add(sum).is_some())
        };
        if let Some(more) = self.operations.combine(&mut self.queue, fits, outbox) {
            let proposal = self.next_proposal(previous, delta + more);
            self.proposals.push((proposal, self.queue.batch_len()));
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

    /// Changes the register from the newest value that the store has told, or from a missing register before it has told any:
    /// applies this node's proposal and those that peers have forwarded.
    fn change(&mut self, context: &mut Context<'_>) {
        let View { last_applied, .. } = self.known().view(self.node.as_str());
        let own = self.proposal().filter(|own| own.previous == last_applied);
        // Without one that follows on this value, the change is for peers alone, or the value is old and will be refused.
        // An empty proposal makes it unlike any other change all the same.
        let own = own.unwrap_or_else(|| self.next_proposal(last_applied, 0));
        let peers = self.peers.iter();
        let of_peers = peers.filter_map(|peer| Some((&peer.name, peer.proposal.as_ref()?)));
        self.is_shared = usize::from(!self.proposals.is_empty()) + of_peers.clone().count() > 1;
        let apply = |register: &mut SharedRegister| {
            register.advance(&self.node);
            register.apply(&self.node, &own);
            of_peers.for_each(|(peer, proposal)| register.apply(peer, proposal));
        };
        self.registers.change(self.register, apply, context);
    }

    pub(super) fn reply(&mut self, reply: &Received<'_>, context: &mut Context<'_>) {
        let value = reply.body.fields.value;
        match self.registers.on_reply(reply, value, context) {
            Some(done) if done.register == self.register => self.on_done(done.outcome, context),
            Some(done) => self.on_announcement(done.register, context.now),
            None => {
                if let Some(told) = self.on_forward_ok(reply, context.now) {
                    self.is_behind = true;
                    self.learn(told, context);
                }
            }
        }
        self.advance(context);
    }

    /// The store has told what the register holds, or what became of a change.
    fn on_done(&mut self, outcome: Outcome, context: &mut Context<'_>) {
        if let Outcome::Unexpected | Outcome::Refused(_) = outcome {
            let why = self.registers.unexpected_value(self.register);
            self.operations.fail(&mut self.queue, &why, context.outbox);
            self.proposals.clear();
            self.sent = None;
            self.peers.iter_mut().for_each(|peer| peer.proposal = None);
            return;
        }
        match outcome {
            Outcome::Applied if self.known().writer == self.node => self.on_applied(context),
            // If it was applied, either a peer did that or one came after it. Both are faster now.
            Outcome::Applied | Outcome::Lost => self.on_lost(context),
            _ => {}
        }
        self.is_behind = false;
        self.learn(self.known().view(self.node.as_str()), context);
    }

    /// Takes in what the store or a peer has told of the register, and ends the batch if that resolves it.
    fn learn(&mut self, told: View, context: &mut Context<'_>) {
        if told.version > self.newest.version {
            self.newest = told;
        }
        let Some(proposal) = self.proposal() else {
            return;
        };
        let mut proposals = self.proposals.iter();
        let applied = proposals.find(|(proposal, _)| proposal.id == self.newest.last_applied);
        if let Some((_, operations)) = applied {
            self.queue.shorten_batch(*operations);
            // For the requests that its answers bring, and for what peers forward, which comes the later the more round trips
            // vary.
            let pause = self.registers.round_trip() / 8 + self.registers.variation() / 4;
            self.paused_until = self.operations.paused_until(pause, context.now);
            let value = self.newest.total.into();
            for (id, _) in self.queue.end_batch() {
                self.operations.succeed(id, value, context.outbox);
            }
        } else if proposal.is_open(&self.newest) {
            return;
        } else {
            self.queue.return_batch();
        }
        self.proposals.clear();
        // No forwarder needs to answer any more.
        self.sent = None;
    }

    /// Gives an operation up.
    pub(super) fn withdraw(&mut self, id: i64) -> GivenUp {
        self.queue.withdraw(id)
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let next_tenth = self.sent.as_ref().map(|sent| sent.at);
        earliest([self.registers.deadline(), next_tenth, self.paused_until])
    }

    pub(super) fn wake(&mut self, context: &mut Context<'_>) {
        self.paused_until.take_if(|until| *until <= context.now);
        if !self.has_work() {
            self.registers.stop_reading(self.register);
        }
        self.registers.wake(context);
        self.wait_for_forwarder(context);
        self.advance(context);
    }
}

/// The newest value that the store has told of a register, or that of a missing one, for which all are taken until they are
/// read.
fn known(registers: &SharedRegisters, register: RegisterId) -> &SharedRegister {
    let known = registers.known(register);
    known.expect("it is taken for missing until it is read")
}
