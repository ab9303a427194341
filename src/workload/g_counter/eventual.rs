//! No store: every node counts for itself, and the nodes tell each other. It works in every partition.
//!
//! An add is counted by the node that it reaches and acknowledged at once. What each incarnation of each node has counted
//! is a `[total, epoch]` of its own, and nodes merge what they hear of each other by epoch ([`counts`](super::counts)).
//! News spreads by [gossip] and is repeated until it is acknowledged. So once adds have ended and every
//! node can be reached again, all nodes know the same, which is the sum of all adds.
//!
//! # Reads
//!
//! A read asks all peers for what they know, and is answered with the sum when all have answered, or after
//! [`read_wait`](super::Options::read_wait) with what is known by then. At most one such poll is under way; reads that
//! arrive meanwhile wait for the next one, together. Questions and answers carry news, so while there are reads little
//! else needs to be said.
//!
//! Some peers are left out: they are neither asked by reads nor waited for, as no read could use what they say.
//!
//! - One that is silent, until something comes from it. So in a partition reads wait for those on their own side only.
//! - One that has twice in a row not answered within `read_wait`, for [`LATE_PAUSE`] or until it does. So where a round
//!   trip takes as long as a read may wait, reads are answered at once with what gossip has brought.
//!
//! # What a crash loses
//!
//! An add that was acknowledged is lost if its node is killed before any other node has heard of it, and in no other
//! case, as long as one of those that heard lives on and can be reached in the end. A neighbour is told at once, unless it
//! was told something less than [`NEWS_INTERVAL`] (250 ms) ago. So at stake are the adds of the last 250 ms and of one
//! latency; more where messages are lost (they are repeated after `rpc_timeout`); and where a partition leaves a node
//! alone, all since it began. A node that was killed comes back as another incarnation and is told by its peers what it
//! once told them.
//!
//! # What it costs
//!
//! An add costs no time and no message of its own. Messages between nodes, questions and answers together:
//!
//! | what | each of `n` nodes | 25 nodes, 100 operations a second, half of them reads |
//! |---|---|---|
//! | polls | `2(n - 1)` each, at most one in a round trip or `read_wait` | up to 24 an operation; if the latency is 100 ms or more, 1.2 |
//! | news | at most 16 a second to four neighbours, and one to each other peer every `n` times 250 ms | at most 5 an operation |
//! | heartbeats | where there is no news, at most 1.3 a second | none |
//! | a silent peer | 1 in each `rpc_timeout` | |
//!
//! The first line is why a read doesn't ask whom it can't hear in time; it also makes `read_wait` the knob between
//! fresh reads and few messages. Between many nodes with few reads each, polls are the dearest: where that matters, a
//! shorter `read_wait` leaves reads to gossip.
//!
//! # What a liar can do
//!
//! What can be told from a message alone is refused whole and changes no count: numbers that are none or out of range,
//! nodes that don't exist, an epoch of 0, a negative total where nothing is taken away, a claim to know more of this
//! node than it has counted itself. A peer that makes up a plausible epoch of a third one is believed: this level
//! tolerates crashes, not treason.

use alloc::{borrow::Cow, vec::Vec};
use core::time::Duration;

use super::counts::Counts;
use super::operations::{Operation, Operations};
use super::{Fields, Options};
use crate::gossip::{self, Gossip, Topology};
use crate::kv::Queue;
use crate::node::{Context, Limits, Outbox, Random};
use crate::protocol::{Error, Message};

/// A neighbour is told news at most this often: 250 ms.
pub const NEWS_INTERVAL: Duration = Duration::from_millis(250);

/// For so long reads leave out a peer whose answers come too late for them: 10 s.
pub const LATE_PAUSE: Duration = Duration::from_secs(10);

/// After so many answers in a row that came too late, or never, a peer is left out. More than one, so that a single lost
/// message changes nothing.
const MISSES_MAX: u32 = 2;

/// One node of this level.
#[derive(Debug)]
pub(super) struct Eventual {
    gossip: Gossip<Counts>,
    /// How reads get on with each peer, by its number.
    peers: Vec<Peer>,
    operations: Operations,
    decrements: bool,
    /// Reads; those in flight wait for the poll that is under way.
    reads: Queue<()>,
    /// A later answer is of no use to a read.
    read_wait: Duration,
}

/// How reads get on with a peer.
#[derive(Clone, Debug, Default)]
struct Peer {
    /// The poll under way waits for it.
    is_awaited: bool,
    /// How many answers in a row did not come in time.
    misses: u32,
    left_out_until: Duration,
}

impl Peer {
    fn on_reply_in_time(&mut self) {
        self.misses = 0;
        self.left_out_until = Duration::ZERO;
    }

    fn on_miss(&mut self, now: Duration) {
        self.misses += 1;
        if self.misses == MISSES_MAX {
            // After the pause one more is enough.
            self.misses -= 1;
            self.left_out_until = now.saturating_add(LATE_PAUSE);
        }
    }
}

impl Eventual {
    pub(super) fn new(
        options: &Options,
        seed: u64,
        node_id: &str,
        node_ids: &[Cow<'_, str>],
    ) -> Self {
        let mut random = Random::new(seed);
        let spread = gossip::Options {
            topology: Topology::Ring,
            batch: NEWS_INTERVAL,
            retry_timeout: options.limits.rpc_timeout,
            start_wait: options.start_wait,
        };
        let counts = Counts::new(options.decrements);
        let mut gossip = Gossip::new(counts, spread, random.next_u64());
        gossip.init(node_id, node_ids);
        let incarnation = gossip.incarnation();
        let counts = gossip.replica_mut();
        counts.init(incarnation, node_id, node_ids);
        let read_wait = options.read_wait.min(options.limits.op_timeout);
        let limits = Limits {
            op_timeout: read_wait,
            ..options.limits
        };
        let reads = Options {
            limits,
            ..options.clone()
        };
        Eventual {
            peers: alloc::vec![Peer::default(); gossip.peer_count()],
            gossip,
            operations: Operations::new(&reads, &mut random),
            decrements: options.decrements,
            reads: Queue::default(),
            read_wait,
        }
    }

    pub(super) fn request(
        &mut self,
        request: &Message<'_, Fields<'_>>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        if request.body.kind == "gossip" {
            return self.gossip.on_gossip(request, fields(request), context);
        }
        match Operation::parse(request, self.decrements)? {
            Operation::Add(delta) => {
                self.gossip.replica_mut().add(delta)?;
                context.outbox.reply(request, "add_ok");
            }
            Operation::Read => {
                let (id, _) = self.operations.admit(request, context.now)?;
                self.reads.push(id, ());
                self.advance(context);
            }
        }
        Ok(())
    }

    pub(super) fn reply(&mut self, reply: &Message<'_, Fields<'_>>, context: &mut Context<'_>) {
        let reply = self.gossip.on_reply(reply, fields(reply), context.now);
        if let Some(reply) = reply {
            let peer = &mut self.peers[reply.peer];
            peer.is_awaited = false;
            match reply.took < self.read_wait {
                true => peer.on_reply_in_time(),
                false => peer.on_miss(context.now),
            }
            self.advance(context);
        }
    }

    /// Answers the reads whose poll is complete, and starts the next poll.
    fn advance(&mut self, context: &mut Context<'_>) {
        loop {
            let is_polled = !self.peers.iter().any(|peer| peer.is_awaited);
            if is_polled || self.operations.are_answered(&self.reads) {
                let value = self.gossip.replica().value();
                for id in self.reads.on_applied() {
                    self.operations.succeed(id, value, context.outbox);
                }
            }
            if !self.reads.is_ready() {
                return;
            }
            self.operations.send(&mut self.reads);
            self.poll(context);
        }
    }

    /// Asks every peer that can be expected to answer in time.
    fn poll(&mut self, context: &mut Context<'_>) {
        for (number, peer) in self.peers.iter_mut().enumerate() {
            let asked_at = self.gossip.asked_at(number);
            if asked_at.is_some_and(|at| at.saturating_add(self.read_wait) <= context.now) {
                peer.on_miss(context.now);
            }
            let is_late = context.now < peer.left_out_until;
            peer.is_awaited = !is_late && !self.gossip.is_silent(number);
            if peer.is_awaited {
                self.gossip.ask(number, context);
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let deadlines = [self.operations.deadline(), self.gossip.deadline()];
        deadlines.into_iter().flatten().min()
    }

    pub(super) fn wake(&mut self, context: &mut Context<'_>) {
        let value = self.gossip.replica().value();
        while let Some((id, request)) = self.operations.expired(context.now) {
            self.reads.withdraw(id);
            let answer = request.answer("read_ok", context.outbox);
            answer.field("value", value);
        }
        self.advance(context);
        self.gossip.wake(context);
    }

    pub(super) fn finish(&mut self, outbox: &mut Outbox) {
        let value = self.gossip.replica().value();
        for (_, request) in self.operations.drain() {
            request.answer("read_ok", outbox).field("value", value);
        }
        self.gossip.finish(outbox);
    }
}

fn fields<'a>(message: &Message<'_, Fields<'a>>) -> gossip::Fields<'a> {
    gossip::Fields {
        gossip: message.body.fields.gossip,
        entries: message.body.fields.entries,
    }
}
