//! No store: every node counts for itself, and the nodes tell each other. It works in every partition.
//!
//! An add is counted by the node that it reaches and acknowledged at once. What each life of each node has counted is a
//! `[total, epoch]` of its own, and nodes merge what they hear of each other by epoch ([`replicas`](super::replicas)).
//! News travels from neighbour to neighbour and is repeated until it is acknowledged ([`gossip`](super::gossip)). So
//! once adds have ended and every node can be reached again, all nodes know the same, which is the sum of all adds.
//!
//! # Reads
//!
//! A read asks all peers and is answered with the merged sum when all have answered, or after
//! [`read_wait`](super::Options::read_wait) with what is known by then. At most one such poll is under way; reads that
//! arrive meanwhile ride on the next, together. A question carries news and so does its answer, so while there are reads
//! nothing else needs to be said.
//!
//! A peer that twice in a row did not answer within the `read_wait` is neither asked by reads nor waited for, until it
//! has answered something in time again: no read could use what it says. So in a partition reads wait for those on their
//! own side only, and where a round trip takes as long as a read may wait they are answered at once, with what gossip
//! has brought.
//!
//! # What a crash loses
//!
//! An add that was acknowledged is lost if its node is killed before any other node has heard of it, and in no other
//! case, as long as one of those that heard lives on and can be reached in the end. News is sent to a neighbour at once,
//! unless an exchange with it is under way or began less than
//! [`GOSSIP_INTERVAL`](super::gossip::GOSSIP_INTERVAL) (250 ms) ago. So at stake are the adds of the last 250 ms or round
//! trip, whichever is longer, and of one latency; more where messages are lost (they are repeated after
//! `rpc_timeout`); and where a partition leaves a node alone, all since it began. A node that was killed comes back as
//! another replica and learns from its peers what it once told them.
//!
//! # What it costs
//!
//! An add costs no time and no message of its own. Messages between nodes, questions and answers together:
//!
//! | what | each of `n` nodes | 25 nodes, 100 operations a second, half of them reads |
//! |---|---|---|
//! | polls | `2(n - 1)` each, at most one in a round trip or `read_wait` | up to 24 an operation, none if the latency is 100 ms or more |
//! | news | 16 to 32 a second: four neighbours, every 250 ms, from one side or from both | 4 to 8 an operation |
//! | heartbeats | 2 a second | 0.5 an operation |
//! | a peer that doesn't answer | 1 in each `rpc_timeout` | |
//!
//! The first line is why a read doesn't ask whom it can't hear in time; it also makes `read_wait` the knob between
//! fresh reads and few messages. Between many nodes with few reads each, polls are the dearest: where that matters, a
//! shorter `read_wait` leaves reads to gossip.
//!
//! Measured: 25 nodes at 100 ms and 100 operations a second exchange 7.7 messages an operation, five nodes at 50 ms and
//! 500 operations a second 1.1, and an idle cluster 2 messages a node and second. News crosses 25 nodes in at most four
//! steps of a latency and up to 250 ms each.
//!
//! # What a liar can do
//!
//! What can be told from a message alone is refused whole and changes nothing: numbers that are none or out of range,
//! nodes that don't exist, an epoch of 0, a negative total where nothing is taken away, a claim to know more of this
//! node than it has counted itself. A peer that makes up a plausible epoch of a third one is believed: this level
//! tolerates crashes, not treason.

use alloc::borrow::Cow;
use core::time::Duration;

use super::answers::{Answers, Riders, Want, expired, take_batch};
use super::gossip::Gossip;
use super::{Fields, Level, Options};
use crate::node::{Outbox, Random};
use crate::protocol::{Error, Message};

/// One node of this level.
#[derive(Debug)]
pub(super) struct Eventual {
    gossip: Gossip,
    /// Reads that wait for the poll under way, oldest first.
    polling: Riders,
    /// Reads that ride on the next poll, oldest first.
    waiting: Riders,
    answers: Answers,
    batch_max: usize,
    /// By then a read is answered.
    read_wait: Duration,
}

impl Eventual {
    pub(super) fn new(options: Options, seed: u64) -> Self {
        Eventual {
            gossip: Gossip::new(&options, Random::new(seed)),
            polling: Riders::new(),
            waiting: Riders::new(),
            answers: Answers::new(options.pending_max),
            batch_max: options.batch_max,
            read_wait: options.read_wait.min(options.op_timeout),
        }
    }

    /// Answers the reads whose poll is complete, and starts the next poll.
    fn advance(&mut self, now: Duration, outbox: &mut Outbox) {
        let value = self.gossip.replicas.value();
        loop {
            if self.gossip.is_polled() {
                for rider in self.polling.drain(..) {
                    self.answers.ok(&rider, value, outbox);
                }
            }
            if !self.polling.is_empty() || self.waiting.is_empty() {
                return;
            }
            take_batch(&mut self.waiting, self.batch_max, &mut self.polling);
            self.gossip.poll(now, outbox);
        }
    }
}

impl Level for Eventual {
    fn init(&mut self, node_id: &str, node_ids: &[Cow<'_, str>]) {
        self.gossip.init(node_id, node_ids);
    }

    fn accept(
        &mut self,
        client: &str,
        msg_id: Option<i64>,
        want: Want,
        now: Duration,
        outbox: &mut Outbox,
    ) -> Result<(), Error> {
        match want {
            Want::Add(delta) => {
                self.gossip.replicas.add(delta)?;
                outbox.reply(client, msg_id, "add_ok");
            }
            Want::Read => {
                let deadline = now.saturating_add(self.read_wait);
                let rider = self.answers.admit(client, msg_id, want, deadline)?;
                self.waiting.push(rider);
                self.advance(now, outbox);
            }
        }
        Ok(())
    }

    fn peer_request(
        &mut self,
        request: &Message<'_, Fields<'_>>,
        now: Duration,
        outbox: &mut Outbox,
    ) -> Result<(), Error> {
        match &*request.body.kind {
            "gossip" => self.gossip.question(request, now, outbox),
            kind => Err(Error::not_supported(kind)),
        }
    }

    fn reply(&mut self, reply: &Message<'_, Fields<'_>>, now: Duration, outbox: &mut Outbox) {
        self.gossip.answer(reply, now);
        self.advance(now, outbox);
    }

    fn deadline(&self) -> Option<Duration> {
        let oldest = self.polling.first().or(self.waiting.first());
        let read = oldest.map(|rider| rider.deadline);
        read.into_iter().chain(self.gossip.deadline()).min()
    }

    fn wake(&mut self, now: Duration, outbox: &mut Outbox) {
        let value = self.gossip.replicas.value();
        for reads in [&mut self.polling, &mut self.waiting] {
            for rider in expired(reads, now) {
                self.answers.ok(&rider, value, outbox);
            }
        }
        self.advance(now, outbox);
        self.gossip.wake(now, outbox);
    }

    fn finish(&mut self, outbox: &mut Outbox) {
        let value = self.gossip.replicas.value();
        for rider in self.polling.drain(..).chain(self.waiting.drain(..)) {
            self.answers.ok(&rider, value, outbox);
        }
    }
}
