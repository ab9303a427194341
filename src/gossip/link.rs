use alloc::vec::Vec;
use core::time::Duration;

use super::message::Head;
use super::topology::Contact;
use super::{GOSSIP_BYTES_MAX, HEARTBEAT_INTERVAL, Replica};
use crate::protocol::{Encode, Name};

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
    contact: Contact,
    /// The least time from one message with new entries to the next.
    pace: Duration,
    retry_timeout: Duration,
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
    /// The newest request without a reply.
    request: Option<Request>,
    /// No new entries are sent before.
    news_at: Duration,
    /// When to acknowledge what was received, if no message goes out before.
    ack_at: Option<Duration>,
    /// When what is in flight is sent again: entries, a request or an announcement.
    retry_at: Option<Duration>,
    /// Something was sent again, and nothing was received since.
    is_silent: bool,
    /// When to send a heartbeat, if no message goes out before.
    heartbeat_at: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) message_id: i64,
    pub(super) sent_at: Duration,
}

/// What [`Link::on_message`] found out.
pub(super) struct Received {
    /// No entry is missing between those that were received before and those of this message.
    pub(super) is_in_order: bool,
    /// The request to which the message is the reply.
    pub(super) replied: Option<Request>,
}

impl Link {
    pub(super) fn new(name: Name, own: u64, retry_timeout: Duration) -> Self {
        Link {
            name,
            own,
            retry_timeout,
            must_announce: true,
            ..Link::default()
        }
    }

    /// Sets how this node sends to the peer of its own accord, and how often it sends new entries at most.
    pub(super) fn set_contact(&mut self, contact: Contact, pace: Duration) {
        (self.contact, self.pace) = (contact, pace);
    }

    pub(super) fn contact(&self) -> Contact {
        self.contact
    }

    /// Sends no new entries before `at`.
    pub(super) fn delay_news(&mut self, at: Duration) {
        self.news_at = at;
    }

    pub(super) fn request(&self) -> Option<Request> {
        self.request
    }

    pub(super) fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// Takes in all of a message but its entries. This node's own entries end at `end`.
    pub(super) fn on_message(
        &mut self,
        head: &Head,
        in_reply_to: Option<i64>,
        end: u64,
        now: Duration,
    ) -> Received {
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
        if is_same && head.peer == Some(self.own) && (self.acked + 1..=end).contains(&head.received)
        {
            self.retry_at = Some(now.saturating_add(self.retry_timeout));
            self.on_acked(head.received);
        }
        let replied = self
            .request
            .take_if(|request| Some(request.message_id) == in_reply_to);
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
        Received {
            is_in_order: knows_own && head.after <= self.received,
            replied,
        }
    }

    /// All entries of the peer before `end` were received.
    pub(super) fn on_received(&mut self, end: u64) {
        self.received = self.received.max(end);
    }

    /// Acknowledges what was received by `at`.
    pub(super) fn schedule_ack(&mut self, at: Duration) {
        self.ack_at = Some(self.ack_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// The peer has sent the entry at `position`.
    pub(super) fn on_peer_has(&mut self, position: u64) {
        if self.acked == self.sent && self.scanned == position {
            self.on_acked(position + 1);
        } else if position >= self.acked
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
        let times = [
            self.next_news_at(end),
            self.ack_at,
            self.retry_at,
            self.next_heartbeat_at(),
        ];
        times.into_iter().flatten().min()
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

    /// Whether it is time to send again what is in flight.
    pub(super) fn must_retry<R: Replica>(&mut self, replica: &R, now: Duration) -> bool {
        if self.retry_at.is_none_or(|at| now < at) {
            return false;
        }
        self.retry_at = None;
        self.rescan(replica);
        self.is_silent = self.is_in_flight();
        self.is_silent
    }

    /// Takes for acknowledged what need not be sent any more: the peer has sent it meanwhile, or something newer has
    /// taken its place.
    fn rescan<R: Replica>(&mut self, replica: &R) {
        let positions = replica.entries_from(self.acked);
        let mut positions = positions.map(|(position, _)| position).peekable();
        let mut first_unacked = None;
        self.peer_has.retain(|known| {
            while let Some(position) = positions.next_if(|position| position < known) {
                first_unacked.get_or_insert(position);
            }
            positions.next_if_eq(known).is_some()
        });
        let first_unacked = first_unacked.or_else(|| positions.next());
        self.on_acked(first_unacked.map_or(self.sent, |first| first.min(self.sent)));
    }

    /// A request with all entries that were not acknowledged: writes those to `out` and gives the head.
    pub(super) fn ask<R: Replica>(
        &mut self,
        replica: &R,
        message_id: i64,
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Head {
        self.request = Some(Request {
            message_id,
            sent_at: now,
        });
        self.retry_at = None;
        self.send_all(replica, out, now)
    }

    /// A message with all entries that were not acknowledged, given like a [request](Self::ask).
    pub(super) fn send_all<R: Replica>(
        &mut self,
        replica: &R,
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Head {
        self.take_for_lost();
        let range = self.take_news(replica, out);
        self.news_at = now.saturating_add(self.pace);
        self.head(range, now)
    }

    /// The message that is due, if there is one, given like a [request](Self::ask): new entries, an acknowledgement or a
    /// heartbeat.
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
                self.news_at = now.saturating_add(self.pace);
                return Some(self.head(range, now));
            }
        }
        let is_due = is_due(self.ack_at) || is_due(self.next_heartbeat_at());
        is_due.then(|| self.head((0, 0), now))
    }

    /// Writes the new entries, up to [`GOSSIP_BYTES_MAX`] or one entry, separated by commas. From now on they are in
    /// flight. Gives `after` and `end` of the message: see [`Head`].
    fn take_news<R: Replica>(&mut self, replica: &R, out: &mut Vec<u8>) -> (u64, u64) {
        out.clear();
        let mut scanned = replica.end();
        for (position, entry) in replica.entries_from(self.scanned) {
            if self.peer_has.binary_search(&position).is_ok() {
                continue;
            }
            let end = out.len();
            if end > 0 {
                out.push(b',');
            }
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
        let after = if is_first_in_flight { 0 } else { self.sent };
        self.sent = scanned;
        (after, scanned)
    }

    /// The head of a message that is sent now.
    fn head(&mut self, (after, end): (u64, u64), now: Duration) -> Head {
        self.is_announced |= self.must_announce;
        self.must_announce = false;
        if self.is_in_flight() {
            let retry_at = now.saturating_add(self.retry_timeout);
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

    /// Makes new entries and acknowledgements due at once, and nothing else.
    pub(super) fn hurry(&mut self) {
        self.is_silent = false;
        self.must_announce = false;
        self.news_at = Duration::ZERO;
        self.ack_at = self.ack_at.map(|_| Duration::ZERO);
        self.retry_at = None;
        self.heartbeat_at = Duration::MAX;
    }
}
