//! A counter without a store: each node counts the adds that it receives, and the nodes send each other their counts. It
//! works in every partition.
//!
//! An add is acknowledged as soon as its node has counted it. What each incarnation of each node has counted is a
//! `[total, epoch]` of its own ([`counts`](super::counts)), which spreads by [gossip]. In the end all nodes have the same
//! counts, and their sum is the sum of all adds.
//!
//! # Reads
//!
//! A read sends a request to every peer, and is answered with the sum when all have replied, or after
//! [`read_wait`](super::Options::read_wait) with the sum of what is known by then. At most one such poll is in flight;
//! reads that arrive meanwhile share the next one. Requests and replies carry new counts, so while there are reads little
//! else is sent.
//!
//! A poll leaves out the peers from which no reply can be expected in time:
//!
//! - a peer that is silent, until something is received from it. So in a partition reads wait only for the nodes on their
//!   own side.
//! - a peer that twice in a row did not reply within `read_wait`. It is left out for [`LATE_PAUSE`], or until a reply
//!   comes in time. So where a round trip takes as long as a read may wait, reads are answered at once with what gossip
//!   has brought.
//!
//! # What a crash loses
//!
//! An acknowledged add is lost if its node is killed before any other node has received it, and in no other case, as long
//! as one of those that received it stays alive and can be reached in the end. Neighbours are sent new counts at most
//! every [`NEWS_INTERVAL`]. So a crash can lose the adds of the last 250 ms and of one latency; more where messages are
//! lost, as they are repeated after 250 ms at the earliest; and where a partition leaves a node alone, all since it began.
//!
//! # Cost
//!
//! An add costs no time and no message of its own. Messages between nodes:
//!
//! | what | of each of `n` nodes | 25 nodes, 100 operations a second, half of them reads |
//! |---|---|---|
//! | requests and replies of polls | `2(n - 1)` a poll, at most one poll in a round trip or `read_wait` | up to 24 an operation; if the latency is 100 ms or more, 1.6 |
//! | new counts | at most 16 a second to four neighbours, and one a second to the others | at most 4.3 an operation |
//! | acknowledgements on their own | where no other message goes that way within half of `rpc_timeout` | 0.3 an operation |
//! | heartbeats | where nothing is new, 0.7 a second | none |
//! | repeats to a silent peer | one in each `rpc_timeout` | none |
//!
//! Between many nodes with few reads each, polls cost the most. A shorter `read_wait` leaves reads to gossip.
//!
//! # What is trusted
//!
//! What can be seen to be wrong from a message alone is refused whole: numbers that are none or out of range, nodes that
//! don't exist, an epoch of 0, a negative total in a counter that only grows, a higher epoch of this node than its own. A
//! peer that invents a plausible epoch of a third node is believed: this level tolerates crashes and lost messages, not
//! nodes that lie.

use alloc::vec::Vec;
use core::{mem, time::Duration};

use super::counts::Counts;
use super::operations::{Operation, Operations};
use super::{Options, Received};
use crate::gossip::{self, Gossip, Topology};
use crate::kv::Queue;
use crate::node::{Context, Outbox, Random, Request};
use crate::protocol::{Error, Name};

/// A neighbour is sent new counts at most this often: 250 ms.
pub const NEWS_INTERVAL: Duration = Duration::from_millis(250);

/// How long polls leave out a peer whose replies come too late: 10 s.
pub const LATE_PAUSE: Duration = Duration::from_secs(10);

/// One node of this level.
#[derive(Debug)]
pub(super) struct Eventual {
    pub(super) operations: Operations,
    pub(super) gossip: Gossip<Counts>,
    /// What polls know of each peer, by its number.
    peers: Vec<Peer>,
    /// Reads; those in flight wait for the poll that is in flight.
    reads: Queue<()>,
    /// A reply that takes longer is of no use to a read.
    read_wait: Duration,
}

#[derive(Clone, Debug, Default)]
struct Peer {
    /// The poll in flight waits for its reply.
    is_awaited: bool,
    /// The last reply did not come in time.
    has_missed: bool,
    left_out_until: Duration,
}

impl Peer {
    /// A reply did not come in time. A single one changes nothing: its message may have been lost.
    fn on_miss(&mut self, now: Duration) {
        if mem::replace(&mut self.has_missed, true) {
            self.left_out_until = now.saturating_add(LATE_PAUSE);
        }
    }
}

impl Eventual {
    pub(super) fn new(
        options: &Options,
        random: &mut Random,
        node_id: &str,
        peers: &[Name],
    ) -> Self {
        let spread = gossip::Options {
            topology: Topology::Ring,
            batch: NEWS_INTERVAL,
            retry_timeout: options.limits.rpc_timeout,
        };
        let counts = Counts::new(options.decrements);
        let mut gossip = Gossip::new(counts, spread, random.next_u64());
        gossip.init(node_id, peers);
        let incarnation = gossip.incarnation();
        gossip.replica.init(incarnation, node_id, peers);
        Eventual {
            operations: Operations::new(options, random),
            peers: alloc::vec![Peer::default(); peers.len()],
            gossip,
            reads: Queue::default(),
            read_wait: options.limits.op_timeout,
        }
    }

    /// Takes on a read, as an add does not wait.
    pub(super) fn submit(&mut self, id: i64, _read: Operation, context: &mut Context<'_>) {
        self.reads.push(id, ());
        self.advance(context);
    }

    /// A peer sends what it has, of its own accord or in reply to a poll.
    pub(super) fn on_gossip(
        &mut self,
        message: &Received<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let fields = &message.body.fields;
        let reply = self
            .gossip
            .on_message(message, fields.gossip, fields.entries, context)?;
        if let Some((peer, took)) = reply {
            let peer = &mut self.peers[peer];
            peer.is_awaited = false;
            match took < self.read_wait {
                true => *peer = Peer::default(),
                false => peer.on_miss(context.now),
            }
            self.advance(context);
        }
        Ok(())
    }

    pub(super) fn reply(&mut self, reply: &Received<'_>, context: &mut Context<'_>) {
        // Nobody is told what is wrong with a reply.
        let _ = self.on_gossip(reply, context);
    }

    /// Answers the reads whose poll is complete, and starts the next poll.
    fn advance(&mut self, context: &mut Context<'_>) {
        loop {
            let is_polled = !self.peers.iter().any(|peer| peer.is_awaited);
            if is_polled || self.reads.is_abandoned() {
                let value = self.gossip.replica.value;
                for (id, ()) in self.reads.end_batch() {
                    self.operations.succeed(id, value, context.outbox);
                }
            }
            if !self.reads.is_ready() {
                return;
            }
            self.reads
                .start_batch(self.operations.batch_max, |_, _| true);
            self.poll(context);
        }
    }

    /// Sends a request to every peer from which a reply can be expected in time.
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

    /// Answers a read with what is known: it has waited for as long as it may.
    pub(super) fn give_up(&mut self, id: i64, read: &Request<Operation>, outbox: &mut Outbox) {
        self.reads.withdraw(id);
        let value = self.gossip.replica.value;
        read.answer("read_ok", outbox).field("value", value);
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.gossip.deadline()
    }

    pub(super) fn wake(&mut self, context: &mut Context<'_>) {
        self.advance(context);
        self.gossip.wake(context);
    }
}
