//! Spreads what each node has to all other nodes, without a store. Broadcast, sets, registers and the eventual counter are
//! built on this one engine.
//!
//! A [`Replica`] is what one node has: a list of *entries*, in the order in which they were added. [`Gossip`] merges what
//! other nodes send into the replica and sends them what they lack. In the end all replicas hold the same, whatever
//! messages were lost, doubled or late, as soon as every node can be reached again.
//!
//! Nodes send new entries to their *neighbours*, which pass them on. The [`Topology`] says who is whose neighbour.
//!
//! - **Batches.** The first entry after a pause is sent at once, and those that follow within [`Options::batch`] go
//!   together. A longer `batch` costs fewer messages and more latency.
//! - **Acknowledgements.** Every message says up to which position all of the receiver's entries have arrived. A message
//!   that only acknowledges is sent when no other was sent within half of [`Options::retry_timeout`].
//! - **Retries.** What is not acknowledged within [`Options::retry_timeout`] is sent again, as a request, until something
//!   is received from that node. Nothing else is sent to it meanwhile. So after a partition a link works again as soon as
//!   one message got through in either direction.
//! - **No echo.** An entry is not sent to a node that has sent it itself.
//! - **Heartbeats.** A neighbour that was sent nothing for [`HEARTBEAT_INTERVAL`] is sent a message without entries.
//!   The two ends of a link take turns: one message is enough for both.
//! - **Restarts.** Each start of a node is an *incarnation* with a number of its own. A node that receives a message of a
//!   new incarnation sends it everything. A node that was started again [sends nothing until it has received
//!   something](crate::node#when-a-node-begins-to-send): a heartbeat arrives within 4.5 s, is addressed to the earlier
//!   incarnation, and is replied to at once. What no other node had received is lost with a node that is killed,
//!   acknowledged to a client or not. Use a store where that matters.
//!
//! # Messages
//!
//! ```text
//! {"type": "gossip", "gossip": {"incarnation": 8311, "after": 3, "end": 5, "peer": 977, "received": 12}, "entries": [...]}
//! ```
//!
//! - `incarnation`: the sender's. When it changes, the receiver forgets what it knew of the sender.
//! - `entries`: the sender's entries from position `after` on, without those that the receiver is known to have. The field
//!   is left out if there are none.
//! - `end`: a receiver that had all entries before `after` now has all before `end`, and acknowledges that. A receiver that
//!   lacked some merges the entries and acknowledges nothing new, so the missing ones are sent again. (Delta intervals:
//!   Almeida, Shoker and Baquero, "Delta state replicated data types", 2018.)
//! - `peer` and `received` are the acknowledgement: the sender has all entries before position 12 of the receiver's
//!   incarnation 977.
//!
//! With a `msg_id` the message is a *request*. It is replied to at once, with a message of type `gossip_ok` and the same
//! fields. Request and reply hold all entries that the other node has not acknowledged, so afterwards both nodes have what
//! either had (push and pull: Demers et al., "Epidemic algorithms for replicated database maintenance", 1987).
//!
//! # Cost
//!
//! In a star or a tree every entry passes every link once. While there are new entries, acknowledgements and heartbeats
//! cost next to nothing. Without new entries a cluster sends one message on each link every three seconds: 25 nodes in a
//! star or a tree send 8 a second.

mod link;
mod topology;

use alloc::vec::Vec;
use core::time::Duration;

use serde_json::value::RawValue;

use crate::node::{Context, ID_BITS, Outbox, Random};
use crate::protocol::{Encode, Error, Message, MessageId, Name};

use link::{Head, Link};
use topology::Contact;

pub use topology::Topology;

/// A message carries at most this much of entries, or one entry: 64 KiB.
pub const GOSSIP_BYTES_MAX: usize = 64 << 10;

/// How long nothing is sent to a neighbour before it is sent a heartbeat: 3 s.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3);

/// In [`Topology::Ring`], how much time passes between two nodes that are not neighbours and are sent new entries: 1 s. Each
/// of them is sent new entries once in as many seconds as there are nodes.
pub const DISTANT_INTERVAL: Duration = Duration::from_secs(1);

/// What one node has: a list of entries that grows at its end.
///
/// Each entry has a position, counted from 0. An entry that changes gets a new position at the end, and so does one that
/// replaces others; the old positions stay empty.
pub trait Replica {
    /// Whether a message with new entries also repeats those that were not acknowledged yet. Lost messages then delay
    /// less, at the price of longer messages. It is for replicas with few entries.
    const REPEATS_UNACKED: bool = false;

    /// The position after that of the last entry.
    fn end(&self) -> u64;

    /// The entries from a position on, in order, each with its position.
    fn entries_from(&self, position: u64) -> impl Iterator<Item = (u64, impl Encode)>;

    /// Takes in a list of entries of another node. Calls `merged` with the position of each entry here, unless it was
    /// replaced by something newer.
    ///
    /// # Errors
    ///
    /// When the list or an entry is malformed, or there is no memory left for it.
    fn merge(&mut self, entries: &RawValue, merged: &mut dyn FnMut(u64)) -> Result<(), Error>;
}

/// How entries spread.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which nodes are neighbours.
    pub topology: Topology,
    /// The least time from one message with new entries to the next, for each neighbour.
    pub batch: Duration,
    /// How long to wait for an acknowledgement or a reply before sending again. It has to be more than four times the
    /// latency between nodes.
    pub retry_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            topology: Topology::default(),
            batch: Duration::from_millis(100),
            retry_timeout: Duration::from_secs(2),
        }
    }
}

/// A replica, and the state of what is sent to each other node.
#[derive(Debug)]
pub struct Gossip<R> {
    /// What this node has. Entries that are added at its end are sent to other nodes.
    pub replica: R,
    options: Options,
    incarnation: u64,
    last_message_id: i64,
    /// Whether [`wake`](Self::wake) was ever called.
    has_begun: bool,
    /// One for each other node, in the order of their ids.
    links: Vec<Link>,
    /// The list of entries of the message that is being written.
    entries: Vec<u8>,
}

impl<R: Replica> Gossip<R> {
    /// A replica of which no other node knows anything. The seed has to be another at each start of a node: see
    /// [`Random`].
    pub fn new(replica: R, options: Options, seed: u64) -> Self {
        let mut random = Random::new(seed);
        Gossip {
            replica,
            options,
            incarnation: random.next_u64() >> (64 - ID_BITS),
            last_message_id: random.sequence_start(ID_BITS) as i64,
            has_begun: false,
            links: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// The number of this incarnation of the node, below 2^53.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Takes this node's id and those of all others, each once and in order.
    pub fn init(&mut self, node_id: &str, peers: &[Name]) {
        let count = peers.len() + 1;
        let node = peers.partition_point(|peer| peer.as_str() < node_id);
        for (index, peer) in peers.iter().enumerate() {
            let other = index + usize::from(index >= node);
            let contact = self.options.topology.contact(node, other, count);
            let mut options = self.options.clone();
            if contact == Contact::Distant {
                options.batch = DISTANT_INTERVAL.saturating_mul(count as u32);
            }
            let link = Link::new(peer.clone(), self.incarnation, contact, options);
            self.links.push(link);
        }
    }

    /// Takes these nodes for the neighbours, if the topology is [`Topology::Offered`]. Nodes that don't exist are ignored.
    pub fn offer<'a>(&mut self, neighbours: impl Iterator<Item = &'a str>) {
        if self.options.topology != Topology::Offered {
            return;
        }
        for link in &mut self.links {
            link.contact = Contact::Stranger;
        }
        for name in neighbours {
            if let Some(peer) = self.peer(name) {
                self.links[peer].contact = Contact::Neighbour;
            }
        }
    }

    /// The number of a peer. Peers have the numbers from 0 on, in the order of their ids.
    fn peer(&self, name: &str) -> Option<usize> {
        let links = &self.links;
        let found = links.binary_search_by(|link| link.name.as_str().cmp(name));
        found.ok()
    }

    /// Takes in what another node has sent: a request of type `gossip`, which is replied to if it has a `msg_id`, or a reply
    /// of type `gossip_ok`, late, doubled or not. `head` and `entries` are its fields `gossip` and `entries`. If the message
    /// is the reply to the newest request to that peer, the result is the number of the peer and how long that took.
    ///
    /// # Errors
    ///
    /// When the message is of another type, comes from no other node of this cluster, or is malformed.
    pub fn on_message<F>(
        &mut self,
        message: &Message<'_, F>,
        head: Option<&RawValue>,
        entries: Option<&RawValue>,
        context: &mut Context<'_>,
    ) -> Result<Option<(usize, Duration)>, Error> {
        let Message { src, body, .. } = message;
        let is_request = body.in_reply_to.is_none();
        if body.kind != if is_request { "gossip" } else { "gossip_ok" } {
            return Err(Error::not_supported(&body.kind));
        }
        let Some(peer) = self.peer(src) else {
            let text = alloc::format!("{src:?} is no other node of this cluster");
            return Err(Error::malformed(text));
        };
        let (head, replica, now) = (Head::decode(head)?, &mut self.replica, context.now);
        let in_reply_to = body.in_reply_to.and_then(MessageId::number);
        let link = &mut self.links[peer];
        let sent_at = link.on_message(&head, entries, in_reply_to, replica, now)?;
        if is_request && body.msg_id.is_some() {
            let head = link.send_all(replica, &mut self.entries, now);
            head.write(&self.entries, context.outbox.reply(message, "gossip_ok"));
        }
        Ok(sent_at.map(|sent_at| (peer, now.saturating_sub(sent_at))))
    }

    /// Sends a request to a peer, which replies with all that this node lacks.
    pub fn ask(&mut self, peer: usize, context: &mut Context<'_>) {
        self.last_message_id += 1;
        let link = &mut self.links[peer];
        link.request = Some((self.last_message_id, context.now));
        link.retry_at = None;
        let head = link.send_all(&self.replica, &mut self.entries, context.now);
        let request = context.outbox.send(&link.name, "gossip");
        head.write(&self.entries, request.field("msg_id", self.last_message_id));
    }

    /// When the newest request to a peer was sent, if there is no reply yet.
    pub fn asked_at(&self, peer: usize) -> Option<Duration> {
        self.links[peer].request.map(|(_, sent_at)| sent_at)
    }

    /// Whether something had to be sent to a peer again, and nothing was received from it since.
    pub fn is_silent(&self, peer: usize) -> bool {
        self.links[peer].is_silent
    }

    /// When [`wake`](Self::wake) is to be called at the latest.
    pub fn deadline(&self) -> Option<Duration> {
        let end = self.replica.end();
        let deadlines = self.links.iter().filter_map(|link| link.deadline(end));
        deadlines.min()
    }

    /// Sends what is due.
    pub fn wake(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        if !self.has_begun {
            self.has_begun = true;
            self.stagger(now);
        }
        for peer in 0..self.links.len() {
            let link = &mut self.links[peer];
            if link.retry_at.is_some_and(|at| at <= now) {
                link.is_silent = true;
                self.ask(peer, context);
            } else if let Some(head) = link.send_due(&self.replica, &mut self.entries, now) {
                head.write(&self.entries, context.outbox.send(&link.name, "gossip"));
            }
        }
    }

    /// Spreads out in time when distant nodes are sent new entries: one after each [`DISTANT_INTERVAL`].
    fn stagger(&mut self, mut at: Duration) {
        for link in &mut self.links {
            if link.contact == Contact::Distant {
                at = at.saturating_add(DISTANT_INTERVAL);
                link.news_at = at;
            }
        }
    }

    /// Sends all new entries and acknowledgements at once, before the node ends.
    pub fn finish(&mut self, outbox: &mut Outbox) {
        for link in &mut self.links {
            if link.must_finish(self.replica.end()) {
                let head = link.send_all(&self.replica, &mut self.entries, Duration::ZERO);
                head.write(&self.entries, outbox.send(&link.name, "gossip"));
            }
        }
    }
}
