use alloc::vec::Vec;
use core::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::topology::Contact;
use super::{GOSSIP_BYTES_MAX, HEARTBEAT_INTERVAL, Options, Replica};
use crate::node::earliest;
use crate::protocol::{Encode, Error, MessageWriter, Name, Object, Raw};

/// The state of what is sent to one peer and received from it.
///
/// Positions are those of this node's own entries, but for `received`. `acked ≤ sent ≤ scanned ≤ end`. The peer has all
/// entries before `acked`. Those from there to `sent` are in flight. Those from there to `scanned` need not be sent: the
/// peer has them. When nothing is in flight the three are equal.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) name: Name,
    /// The incarnation of this node.
    own: u64,
    pub(super) contact: Contact,
    options: Options,
    /// The peer's incarnation, once it is known.
    peer: Option<u64>,
    /// All entries of that incarnation before this position were received.
    received: u64,
    acked: u64,
    sent: u64,
    scanned: u64,
    /// Positions from `acked` on, ascending, of entries that the peer has because it sent them itself.
    peer_has: Vec<u64>,
    /// The peer may not know this incarnation of this node, and is sent a message even if there are no entries for it.
    must_announce: bool,
    /// That message was sent, and nothing was received since.
    is_announced: bool,
    /// The id of the newest request without a reply, and when that was sent.
    pub(super) request: Option<(i64, Duration)>,
    /// No new entries are sent before.
    pub(super) news_at: Duration,
    /// When to acknowledge what was received, if no message goes out before.
    ack_at: Option<Duration>,
    /// When what is in flight is sent again: entries, a request or an announcement.
    pub(super) retry_at: Option<Duration>,
    /// Something was sent again, and nothing was received since.
    pub(super) is_silent: bool,
    /// When to send a heartbeat, if no message goes out before.
    heartbeat_at: Duration,
}

impl Link {
    pub(super) fn new(name: Name, own: u64, contact: Contact, options: Options) -> Self {
        Link {
            name,
            own,
            contact,
            options,
            must_announce: true,
            ..Link::default()
        }
    }

    /// Takes in a message, and its entries into `replica`. Gives when the request was sent to which it is the reply.
    pub(super) fn on_message(
        &mut self,
        head: &Head,
        entries: Option<&RawValue>,
        in_reply_to: Option<i64>,
        replica: &mut impl Replica,
        now: Duration,
    ) -> Result<Option<Duration>, Error> {
        let is_same = self.peer.is_none_or(|peer| peer == head.incarnation);
        self.peer = Some(head.incarnation);
        if !is_same {
            // The peer was started again and has nothing.
            self.received = 0;
            self.acked = 0;
            self.peer_has.clear();
            self.take_for_lost();
        }
        let knows_own = head.peer.is_none_or(|peer| peer == self.own);
        self.must_announce = !knows_own;
        self.is_announced = false;
        // What an earlier incarnation of either node received says nothing of this one.
        let is_ack = is_same && head.peer == Some(self.own);
        if is_ack && (self.acked + 1..=replica.end()).contains(&head.received) {
            self.retry_at = Some(now.saturating_add(self.options.retry_timeout));
            self.on_acked(head.received);
        }
        let replied = self.request.take_if(|(id, _)| Some(*id) == in_reply_to);
        if self.is_silent {
            self.is_silent = false;
            self.take_for_lost();
            self.news_at = now;
        }
        if !self.is_in_flight() {
            self.retry_at = None;
        }
        // The node that sent last goes on to send the heartbeats of both, unless nothing more comes from it.
        let heartbeat_at = now.saturating_add(HEARTBEAT_INTERVAL * 3 / 2);
        self.heartbeat_at = self.heartbeat_at.max(heartbeat_at);
        if let Some(entries) = entries {
            replica.merge(entries, &mut |position| self.on_peer_has(position))?;
        }
        if entries.is_some() || head.peer.is_none() {
            let ack_at = now.saturating_add(self.options.retry_timeout / 2);
            self.ack_at.get_or_insert(ack_at);
        }
        // No entry is missing between those that were received before and those of this message.
        if knows_own && head.after <= self.received {
            self.received = self.received.max(head.end);
        }
        Ok(replied.map(|(_, sent_at)| sent_at))
    }

    /// The peer has sent the entry at `position`.
    fn on_peer_has(&mut self, position: u64) {
        if position >= self.acked
            && let Err(index) = self.peer_has.binary_search(&position)
        {
            self.peer_has.insert(index, position);
        }
    }

    /// The peer has all entries before `acked`.
    fn on_acked(&mut self, acked: u64) {
        self.acked = acked;
        if self.acked >= self.sent {
            self.acked = acked.max(self.scanned);
            (self.sent, self.scanned) = (self.acked, self.acked);
        }
        let acked = self.acked;
        let count = self.peer_has.partition_point(|position| *position < acked);
        self.peer_has.drain(..count);
    }

    /// Makes all entries that were not acknowledged new again.
    fn take_for_lost(&mut self) {
        (self.sent, self.scanned) = (self.acked, self.acked);
    }

    fn is_in_flight(&self) -> bool {
        self.acked < self.sent || self.request.is_some() || self.is_announced
    }

    /// When there is something to send, if this node's entries end at `end`.
    pub(super) fn deadline(&self, end: u64) -> Option<Duration> {
        let (news_at, heartbeat_at) = (self.next_news_at(end), self.next_heartbeat_at());
        earliest([news_at, self.ack_at, self.retry_at, heartbeat_at])
    }

    fn next_news_at(&self, end: u64) -> Option<Duration> {
        let is_open = self.contact != Contact::Stranger && !self.is_silent;
        let has_news = self.must_announce || self.scanned < end;
        (is_open && has_news).then_some(self.news_at)
    }

    /// What is in flight is sent again until something is received, which does what a heartbeat does.
    fn next_heartbeat_at(&self) -> Option<Duration> {
        let is_idle = self.contact == Contact::Neighbour && self.retry_at.is_none();
        is_idle.then_some(self.heartbeat_at)
    }

    /// A message with all entries that were not acknowledged: writes those to `out` and gives the head.
    pub(super) fn send_all<R: Replica>(
        &mut self,
        replica: &R,
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Head {
        self.take_for_lost();
        let range = self.take_news(replica, out);
        self.news_at = now.saturating_add(self.options.batch);
        self.head(range, now)
    }

    /// The message that is due, if there is one: new entries, which are written to `out`, an acknowledgement or a heartbeat.
    pub(super) fn send_due<R: Replica>(
        &mut self,
        replica: &R,
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Option<Head> {
        let is_due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        out.clear();
        if is_due(self.next_news_at(replica.end())) {
            if R::REPEATS_UNACKED {
                self.take_for_lost();
            }
            let range = self.take_news(replica, out);
            if !out.is_empty() || self.must_announce {
                self.news_at = now.saturating_add(self.options.batch);
                return Some(self.head(range, now));
            }
        }
        let is_due = is_due(self.ack_at) || is_due(self.next_heartbeat_at());
        is_due.then(|| self.head((0, 0), now))
    }

    /// Writes the list of the new entries, up to [`GOSSIP_BYTES_MAX`] or one entry; nothing if there are none. From now on
    /// they are in flight. Gives `after` and `end` of the message: see [`Head`].
    fn take_news<R: Replica>(&mut self, replica: &R, out: &mut Vec<u8>) -> (u64, u64) {
        out.clear();
        let mut scanned = replica.end();
        for (position, entry) in replica.entries_from(self.scanned) {
            if self.peer_has.binary_search(&position).is_ok() {
                continue;
            }
            let end = out.len();
            out.push(if end == 0 { b'[' } else { b',' });
            entry.encode(out);
            if end > 0 && out.len() > GOSSIP_BYTES_MAX {
                out.truncate(end);
                scanned = position;
                break;
            }
        }
        self.scanned = scanned;
        let is_first_in_flight = self.acked == self.sent;
        if out.is_empty() {
            if is_first_in_flight {
                self.on_acked(scanned);
            }
            return (0, 0);
        }
        out.push(b']');
        let after = if is_first_in_flight { 0 } else { self.sent };
        self.sent = scanned;
        (after, scanned)
    }

    /// The head of a message that is sent now.
    fn head(&mut self, (after, end): (u64, u64), now: Duration) -> Head {
        self.is_announced |= self.must_announce;
        self.must_announce = false;
        if self.is_in_flight() {
            let retry_at = now.saturating_add(self.options.retry_timeout);
            self.retry_at.get_or_insert(retry_at);
        }
        self.ack_at = None;
        self.heartbeat_at = now.saturating_add(HEARTBEAT_INTERVAL);
        Head {
            incarnation: self.own,
            after,
            end,
            peer: self.peer,
            received: self.received,
        }
    }

    /// Whether there are new entries or acknowledgements to send before the node ends.
    pub(super) fn must_finish(&self, end: u64) -> bool {
        let has_news = self.contact != Contact::Stranger && self.scanned < end;
        has_news || self.ack_at.is_some()
    }
}

/// The field `gossip`, as the [engine's documentation](super#messages) describes it.
#[derive(Deserialize)]
pub(super) struct Head {
    pub(super) incarnation: u64,
    /// 0 if there are no entries, as is `end`.
    #[serde(default)]
    pub(super) after: u64,
    #[serde(default)]
    pub(super) end: u64,
    /// None as long as the sender does not know the receiver's incarnation.
    pub(super) peer: Option<u64>,
    #[serde(default)]
    pub(super) received: u64,
}

impl Head {
    /// Decodes the field of a message that is known to come from a node. In any other message it is an unknown field,
    /// which is ignored whatever it holds.
    pub(super) fn decode(head: Option<&RawValue>) -> Result<Self, Error> {
        let head = head.ok_or_else(|| Error::missing("gossip"))?;
        serde_json::from_str(head.get())
            .map_err(|error| Error::malformed(alloc::format!("malformed gossip: {error}")))
    }

    /// Adds this head and this list of entries, which is empty if there are none, to a message.
    pub(super) fn write(&self, entries: &[u8], message: MessageWriter<'_>) {
        let message = message.field("gossip", self);
        if !entries.is_empty() {
            message.field("entries", Raw(entries));
        }
    }
}

// Flat, as the entries of a counter are: serde_json takes memory to pass over JSON in JSON in JSON.
impl Encode for Head {
    fn encode(&self, out: &mut Vec<u8>) {
        let (has_entries, peer) = (self.end > 0, self.peer.unwrap_or_default());
        let fields = [
            (true, "incarnation", self.incarnation),
            (has_entries, "after", self.after),
            (has_entries, "end", self.end),
            (self.peer.is_some(), "peer", peer),
            (self.peer.is_some(), "received", self.received),
        ];
        let fields = fields.iter().filter(|(is_known, ..)| *is_known);
        Object(fields.map(|(_, name, value)| (*name, *value))).encode(out);
    }
}
