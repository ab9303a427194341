//! How nodes of the eventual level tell each other what they know.
//!
//! There is one exchange: a question, `gossip`, answered at once with `gossip_ok`. Each carries what the other side
//! lacks, so after one exchange both know what either knew (push and pull: Demers et al., "Epidemic algorithms for
//! replicated database maintenance", 1987):
//!
//! ```text
//! {"type": "gossip", "news": {"life": 8311, "since": 3, "upto": 5, "your_life": 977, "known": 12},
//!  "counts": ["n0", 8311, 17, 5, ...]}
//! ```
//!
//! - `life`: the sender's. When a peer has another than before, all that was assumed of it is forgotten.
//! - `counts`: the sender's changes after number `since` up to number `upto`, without what that life of the other side
//!   told itself.
//! - `known`: this side has all changes up to number 12 of the other side's life 977, if it has heard of any. This is the
//!   acknowledgement. It is cumulative and needs no message of its own, so lost, doubled and late messages do no harm. A
//!   side says it only if the changes came without a gap: one that has restarted gets news from too late a `since` first,
//!   merges them, acknowledges nothing, and then gets all. (Delta intervals, as in Almeida, Shoker and Baquero, "Delta
//!   state replicated data types", 2018.)
//!
//! Whoever asks sees to it that the exchange completes: a question is repeated until it is answered, so nothing that was
//! said in an answer needs repeating. A peer is asked
//!
//! - by a *read*, if an answer can be expected in time;
//! - for *news*, if it is one of at most four neighbours and has not been told the newest: at most once in
//!   [`GOSSIP_INTERVAL`], whichever side asked last. News travels on from neighbour to neighbour;
//! - as a *heartbeat*: each node asks one peer each [`HEARTBEAT_INTERVAL`], all in turn. News gets round even where a
//!   partition leaves no path between neighbours;
//! - *again*, when `--rpc-timeout` has passed without an answer. So a peer that doesn't answer gets one message a second
//!   and is back within a second after it can be reached.
//!
//! At most one question to a peer is under way; only a read, or time running out, puts another in its place.

use alloc::{borrow::Cow, vec::Vec};
use core::time::Duration;

use serde::Deserialize;

use super::replicas::{Id, Replicas};
use super::{Fields, Options};
use crate::node::{Outbox, Random};
use crate::protocol::{Encode, Error, ErrorCode, Message, MessageWriter};

/// A peer that has not been told the newest is told at most this often: 250 ms.
pub const GOSSIP_INTERVAL: Duration = Duration::from_millis(250);

/// How often a node asks one of its peers, whether there is news or not: 1 s.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// After so many answers in a row that came too late for a read, or never, reads do without this peer until it answers
/// in time again. More than one, so that a single lost message changes nothing.
const MISSES_MAX: u32 = 2;

/// Message ids stay below 2^53, see [`Pending`](crate::node::Pending).
const MESSAGE_ID_BITS: u32 = 53;

/// What a node knows, and what its peers know of it.
#[derive(Debug)]
pub(super) struct Gossip {
    pub(super) replicas: Replicas,
    peers: Vec<Peer>,
    last_message_id: i64,
    /// Index of the peer that gets the next heartbeat.
    next_heartbeat: usize,
    heartbeat_at: Duration,
    /// A later answer is of no use to a read.
    read_wait: Duration,
    /// When a question is asked again.
    rpc_timeout: Duration,
    random: Random,
}

#[derive(Debug)]
struct Peer {
    /// Index into the nodes.
    node: usize,
    is_neighbour: bool,
    /// Which life of it said something last, if any has.
    life: Option<Id>,
    /// It has all changes of this node up to this number: it said so.
    acknowledged: u64,
    /// It will have all changes up to this number, unless the asker of an exchange dies.
    told: u64,
    /// This node has all changes of that life of the peer up to this number.
    known: u64,
    question: Option<Question>,
    /// When the last exchange with it began.
    exchanged_at: Option<Duration>,
    /// How many answers in a row did not come in time for a read.
    misses: u32,
    /// The poll under way waits for it.
    is_awaited: bool,
}

/// A question that has not been answered.
#[derive(Clone, Copy, Debug)]
struct Question {
    message_id: i64,
    asked_at: Duration,
}

impl Peer {
    /// Whether a question has been out for too long to be of use to a read.
    fn is_late(&self, now: Duration, read_wait: Duration) -> bool {
        let question = self.question;
        question.is_some_and(|question| question.asked_at.saturating_add(read_wait) <= now)
    }
}

/// What one node tells another, beside the counts.
#[derive(Deserialize)]
struct News {
    life: u64,
    since: u64,
    upto: u64,
    your_life: Option<u64>,
    #[serde(default)]
    known: u64,
}

impl Encode for News {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"life\":");
        self.life.encode(out);
        out.extend_from_slice(b",\"since\":");
        self.since.encode(out);
        out.extend_from_slice(b",\"upto\":");
        self.upto.encode(out);
        if let Some(life) = self.your_life {
            out.extend_from_slice(b",\"your_life\":");
            life.encode(out);
        }
        out.extend_from_slice(b",\"known\":");
        self.known.encode(out);
        out.push(b'}');
    }
}

impl Gossip {
    pub(super) fn new(options: &Options, mut random: Random) -> Self {
        // 53 bits, so that every language reads the number exactly.
        let life = random.next_u64() >> (64 - MESSAGE_ID_BITS);
        Gossip {
            replicas: Replicas::new(options.decrements, life),
            peers: Vec::new(),
            last_message_id: random.sequence_start(MESSAGE_ID_BITS) as i64,
            next_heartbeat: 0,
            heartbeat_at: Duration::ZERO,
            read_wait: options.read_wait,
            rpc_timeout: options.rpc_timeout.max(Duration::from_millis(1)),
            random,
        }
    }

    /// The neighbours of a node, with all nodes in a ring: the next and the last, and those √n further on and back.
    /// So every two nodes are at most about √n steps apart, and up to five nodes are all neighbours.
    pub(super) fn init(&mut self, node_id: &str, node_ids: &[Cow<'_, str>]) {
        self.replicas.init(node_id, node_ids);
        let (own, count) = (self.replicas.own().node, self.replicas.nodes().len());
        let root = count.isqrt();
        let far = root + usize::from(root * root < count);
        let peers = (0..count).filter(|node| *node != own).map(|node| {
            let steps = (node + count - own) % count;
            Peer {
                node,
                is_neighbour: [1, far, count - 1, count - far].contains(&steps),
                life: None,
                acknowledged: 0,
                told: 0,
                known: 0,
                question: None,
                exchanged_at: None,
                misses: 0,
                is_awaited: false,
            }
        });
        self.peers = peers.collect();
        self.next_heartbeat = self.random.below(count as u64) as usize;
    }

    /// Asks every peer that can be expected to answer in time.
    pub(super) fn poll(&mut self, now: Duration, outbox: &mut Outbox) {
        for index in 0..self.peers.len() {
            let peer = &mut self.peers[index];
            let misses = peer.misses + u32::from(peer.is_late(now, self.read_wait));
            peer.is_awaited = misses < MISSES_MAX;
            if peer.is_awaited {
                self.ask(index, now, outbox);
            }
        }
    }

    /// Whether all that the last poll has asked have answered.
    pub(super) fn is_polled(&self) -> bool {
        !self.peers.iter().any(|peer| peer.is_awaited)
    }

    fn ask(&mut self, index: usize, now: Duration, outbox: &mut Outbox) {
        self.last_message_id += 1;
        let peer = &mut self.peers[index];
        peer.misses += u32::from(peer.is_late(now, self.read_wait) && peer.misses < MISSES_MAX);
        peer.question = Some(Question {
            message_id: self.last_message_id,
            asked_at: now,
        });
        let dest = self.replicas.nodes()[peer.node].as_str();
        let question = outbox.send(dest, "gossip");
        self.tell(index, now, question.field("msg_id", self.last_message_id));
    }

    /// Completes a message to a peer with all that it lacks.
    fn tell(&mut self, index: usize, now: Duration, message: MessageWriter<'_>) {
        let (peer, replicas) = (&mut self.peers[index], &self.replicas);
        peer.told = replicas.changes();
        peer.exchanged_at = Some(now);
        let news = News {
            life: replicas.own().life,
            since: peer.acknowledged,
            upto: peer.told,
            your_life: peer.life.map(|life| life.life),
            known: peer.known,
        };
        let counts = replicas.counts(peer.acknowledged, peer.life);
        message.field("news", news).field("counts", counts);
    }

    /// A node asks.
    ///
    /// # Errors
    ///
    /// When it is none of the peers, or what it says is malformed. Nothing was taken in then.
    pub(super) fn question(
        &mut self,
        request: &Message<'_, Fields<'_>>,
        now: Duration,
        outbox: &mut Outbox,
    ) -> Result<(), Error> {
        let Some(index) = self.find(&request.src) else {
            let text = alloc::format!(
                "gossip is among the counter's nodes; {:?} is none",
                request.src
            );
            return Err(Error::new(ErrorCode::MALFORMED_REQUEST, text));
        };
        // Who wants no answer can't be told; its next question will bring the same.
        let message_id = request
            .body
            .msg_id
            .ok_or_else(|| Error::missing("msg_id"))?;
        self.learn(index, &request.body.fields)?;
        let answer = outbox.reply(&request.src, Some(message_id), "gossip_ok");
        self.tell(index, now, answer);
        Ok(())
    }

    /// A node answers, perhaps late or twice: what it says counts in any case.
    pub(super) fn answer(&mut self, reply: &Message<'_, Fields<'_>>, now: Duration) {
        let Some(index) = self.find(&reply.src) else {
            return;
        };
        let is_error = match &*reply.body.kind {
            "gossip_ok" if self.learn(index, &reply.body.fields).is_ok() => false,
            "error" => true,
            _ => return,
        };
        let is_late = self.peers[index].is_late(now, self.read_wait);
        let peer = &mut self.peers[index];
        let asked = peer.question.map(|question| question.message_id);
        if asked != reply.body.in_reply_to {
            return;
        }
        peer.is_awaited = false;
        // A peer that can't answer yet is asked again when its time is up, as if it had said nothing.
        if !is_error {
            peer.question = None;
            peer.misses = if is_late {
                (peer.misses + 1).min(MISSES_MAX)
            } else {
                0
            };
        }
    }

    fn find(&self, node_id: &str) -> Option<usize> {
        let node = self.replicas.node(node_id)?;
        self.peers
            .binary_search_by_key(&node, |peer| peer.node)
            .ok()
    }

    /// Takes in what a peer says, or nothing of it.
    fn learn(&mut self, index: usize, told: &Fields<'_>) -> Result<(), Error> {
        let news = told.news.ok_or_else(|| Error::missing("news"))?;
        let counts = told.counts.ok_or_else(|| Error::missing("counts"))?;
        let news: News = serde_json::from_str(news.get()).map_err(|error| {
            let text = alloc::format!("malformed news: {error}");
            Error::new(ErrorCode::MALFORMED_REQUEST, text)
        })?;
        let peer = &mut self.peers[index];
        let before = self.replicas.changes();
        let life = Id {
            node: peer.node,
            life: news.life,
        };
        self.replicas.merge(counts, life)?;
        let last = peer.life.replace(life);
        if last.is_some_and(|last| last != life) {
            (peer.acknowledged, peer.told, peer.known) = (0, 0, 0);
        } else if news.your_life == Some(self.replicas.own().life) && news.known <= before {
            peer.acknowledged = peer.acknowledged.max(news.known);
            peer.told = peer.told.max(news.known);
        }
        if news.since <= peer.known {
            peer.known = peer.known.max(news.upto);
        }
        // What has just come from it is no news to it.
        if peer.told == before {
            peer.told = self.replicas.changes();
        }
        Ok(())
    }

    /// When this peer is to be asked, apart from reads and heartbeats.
    fn due(&self, peer: &Peer) -> Option<Duration> {
        if let Some(question) = peer.question {
            return Some(question.asked_at.saturating_add(self.rpc_timeout));
        }
        let has_news = peer.life.is_none() || peer.told < self.replicas.changes();
        (peer.is_neighbour && has_news).then(|| {
            peer.exchanged_at
                .map_or(Duration::ZERO, |at| at.saturating_add(GOSSIP_INTERVAL))
        })
    }

    /// When [`wake`](Self::wake) is wanted at the latest. A node that is alone never needs it.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let due = self.peers.iter().filter_map(|peer| self.due(peer)).min();
        let heartbeat_at = (!self.peers.is_empty()).then_some(self.heartbeat_at);
        due.into_iter().chain(heartbeat_at).min()
    }

    /// Asks whom it is time to ask.
    pub(super) fn wake(&mut self, now: Duration, outbox: &mut Outbox) {
        for index in 0..self.peers.len() {
            if self.due(&self.peers[index]).is_some_and(|due| due <= now) {
                self.ask(index, now, outbox);
            }
        }
        if self.heartbeat_at > now || self.peers.is_empty() {
            return;
        }
        self.heartbeat_at = now.saturating_add(HEARTBEAT_INTERVAL);
        let count = self.peers.len();
        let in_turn = (0..count).map(|steps| (self.next_heartbeat + steps) % count);
        let quiet = in_turn
            .into_iter()
            .find(|index| self.peers[*index].question.is_none());
        if let Some(index) = quiet {
            self.next_heartbeat = index + 1;
            self.ask(index, now, outbox);
        }
    }
}
