use alloc::{collections::BTreeSet, vec::Vec};
use core::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Replica;
use crate::protocol::{Encode, Name};

/// A message carries at most this much of entries, or one entry: 64 KiB.
pub const GOSSIP_BYTES_MAX: usize = 64 << 10;

/// A neighbour that has heard nothing for so long gets a message without entries: 3 s.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3);

/// What one node tells another.
#[derive(Deserialize, Default)]
pub struct Told<'a> {
    /// The number of this life of the node that tells.
    pub(super) life: i64,
    /// These entries count only for one who has all before this position.
    pub(super) after: u64,
    /// Then it has all before this one.
    pub(super) end: u64,
    #[serde(borrow)]
    pub(super) entries: Vec<&'a RawValue>,
    /// In which life the other one was last heard, and up to which position.
    pub(super) ack: Option<(i64, u64)>,
}

/// What a node knows of another, and what it has to tell it.
///
/// Positions are those of the teller's own replica. `acked ≤ sent ≤ end`: what is before `acked` the other one has,
/// what is before `sent` is on its way.
pub(super) struct Link {
    pub(super) name: Name,
    pub(super) is_neighbour: bool,
    /// The other one's life, once it has been heard.
    life: Option<i64>,
    /// All of the other one's entries before this position have come.
    heard: u64,
    /// The other one is to be told by then what has come.
    ack_at: Option<Duration>,
    acked: u64,
    sent: u64,
    /// Entries from `acked` on that the other one is known to have, because it told of them.
    held: BTreeSet<u64>,
    has_news: bool,
    /// No news goes out before.
    next_news_at: Duration,
    /// What is on its way is sent again then.
    retry_at: Option<Duration>,
    /// How often that has happened without a word from the other one.
    attempts: u32,
    /// A neighbour gets a message then even if there is nothing to say.
    heartbeat_at: Duration,
}

/// What [`Link::hear`] found out.
pub(super) struct Heard {
    /// The entries are the ones that follow what has been heard before, or older ones.
    pub(super) follows: bool,
    /// How soon the other one has to be answered, if it has to be.
    pub(super) answer: Option<Answer>,
}

/// What the other one has to be told, whether there are entries for it or not.
pub(super) enum Answer {
    /// Who this node is. The other one takes it for an earlier life, or was started again itself.
    AtOnce,
    /// That its entries have come. That may wait for entries to go with it.
    Soon,
}

impl Link {
    pub(super) fn new(name: Name) -> Self {
        Link {
            name,
            is_neighbour: false,
            life: None,
            heard: 0,
            ack_at: None,
            acked: 0,
            sent: 0,
            held: BTreeSet::new(),
            has_news: false,
            next_news_at: Duration::ZERO,
            retry_at: None,
            attempts: 0,
            heartbeat_at: Duration::ZERO,
        }
    }

    /// There is something new to tell, if only that this node is alive.
    pub(super) fn add_news(&mut self) {
        self.has_news |= self.is_neighbour;
    }

    /// The other one has told of the entry at `position`.
    pub(super) fn add_held(&mut self, position: u64) {
        if self.acked == self.sent && self.sent == position {
            (self.acked, self.sent) = (position + 1, position + 1);
        } else if position >= self.acked {
            self.held.insert(position);
        }
    }

    /// Takes in all but the entries of a message from the other one, to a node in its life `own_life` that has
    /// entries up to `end`. What is still on its way is waited for until `retry_at`.
    pub(super) fn hear(
        &mut self,
        told: &Told<'_>,
        own_life: i64,
        end: u64,
        (now, retry_at): (Duration, Duration),
    ) -> Heard {
        let was_silent = self.attempts > 0;
        let is_same = self.life.is_none_or(|life| life == told.life);
        self.life = Some(told.life);
        // The one that spoke last goes on to do so: one heartbeat a link is enough.
        let heartbeat_at = now.saturating_add(HEARTBEAT_INTERVAL * 3 / 2);
        self.heartbeat_at = self.heartbeat_at.max(heartbeat_at);
        if !is_same {
            // It has forgotten everything. What it says it has heard may be of a life before, so start over.
            (self.acked, self.sent, self.heard) = (0, 0, 0);
            (self.retry_at, self.attempts) = (None, 0);
            self.held.clear();
            self.add_news();
        }
        let knows_this_life = match told.ack {
            Some((life, heard)) if life == own_life => {
                if is_same {
                    self.take_ack(heard.min(end), retry_at);
                }
                true
            }
            Some(_) => false,
            // It knows no one, so it starts from nothing.
            None => true,
        };
        if was_silent {
            // It is back. What was on its way is taken for lost.
            self.attempts = 0;
            self.retry_at = None;
            self.sent = self.acked;
            self.next_news_at = now;
            self.add_news();
        }
        let follows = knows_this_life && told.after <= self.heard;
        let answer = match told.ack {
            _ if !knows_this_life => Some(Answer::AtOnce),
            Some(_) if told.entries.is_empty() => None,
            _ => Some(Answer::Soon),
        };
        Heard { follows, answer }
    }

    fn take_ack(&mut self, heard: u64, retry_at: Duration) {
        if heard <= self.acked {
            return;
        }
        self.acked = heard;
        self.sent = self.sent.max(heard);
        self.held = self.held.split_off(&heard);
        self.attempts = 0;
        self.retry_at = (self.sent > heard).then_some(retry_at);
    }

    /// Everything before `end` has come from the other one.
    pub(super) fn has_heard(&mut self, end: u64) {
        self.heard = self.heard.max(end);
    }

    /// The other one waits to be told what has come, until `at`.
    pub(super) fn owe_ack(&mut self, at: Duration) {
        self.ack_at = Some(self.ack_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Option<Duration> {
        let news_at = (self.has_news && self.attempts == 0).then_some(self.next_news_at);
        let times = [
            news_at,
            self.ack_at,
            self.retry_at,
            self.next_heartbeat_at(),
        ];
        times.into_iter().flatten().min()
    }

    /// When the next heartbeat is due. What is on its way is told again until it is answered, which says as much.
    fn next_heartbeat_at(&self) -> Option<Duration> {
        let is_quiet = self.is_neighbour && self.retry_at.is_none();
        is_quiet.then_some(self.heartbeat_at)
    }

    /// No heartbeat is needed any more.
    pub(super) fn end_heartbeats(&mut self) {
        self.heartbeat_at = Duration::MAX;
    }

    /// The message that is due, if there is one; its entries go to `entries`. `wait` says how long to wait for an
    /// answer after so many attempts.
    pub(super) fn tell<R: Replica>(
        &mut self,
        replica: &R,
        own_life: i64,
        entries: &mut Vec<u8>,
        (now, pace): (Duration, Duration),
        wait: impl FnOnce(u32) -> Duration,
    ) -> Option<Telling> {
        if self.retry_at.is_some_and(|retry_at| retry_at <= now) {
            self.retry_at = None;
            self.sent = self.acked;
            self.attempts += 1;
            self.has_news = true;
        } else if self.attempts > 0 || now < self.next_news_at {
            return self.tell_nothing_new(own_life, entries, now);
        }
        let end = self.fill(replica, entries);
        if entries.is_empty() && self.life.is_some() {
            self.attempts = 0;
            return self.tell_nothing_new(own_life, entries, now);
        }
        self.retry_at.get_or_insert(now + wait(self.attempts));
        self.next_news_at = now + pace;
        let is_first_on_its_way = self.sent == self.acked;
        let after = if is_first_on_its_way { 0 } else { self.sent };
        self.sent = end;
        Some(self.telling(own_life, (after, end), now))
    }

    /// A message without entries, if it is time for an acknowledgement or a heartbeat.
    fn tell_nothing_new(
        &mut self,
        own_life: i64,
        entries: &mut Vec<u8>,
        now: Duration,
    ) -> Option<Telling> {
        let times = [self.ack_at, self.next_heartbeat_at()];
        if times.into_iter().flatten().all(|at| now < at) {
            return None;
        }
        entries.clear();
        Some(self.telling(own_life, (0, 0), now))
    }

    fn telling(&mut self, life: i64, (after, end): (u64, u64), now: Duration) -> Telling {
        self.ack_at = None;
        self.heartbeat_at = now.saturating_add(HEARTBEAT_INTERVAL);
        Telling {
            life,
            after,
            end,
            ack: self.life.map(|life| (life, self.heard)),
        }
    }

    /// Writes the entries that come next, and gives the position behind them.
    fn fill<R: Replica>(&mut self, replica: &R, out: &mut Vec<u8>) -> u64 {
        out.clear();
        if !self.has_news {
            return self.sent;
        }
        for (position, entry) in replica.entries_from(self.sent) {
            if self.held.contains(&position) {
                continue;
            }
            if !out.is_empty() {
                if out.len() + entry.len() > GOSSIP_BYTES_MAX {
                    return position;
                }
                out.push(b',');
            }
            out.extend_from_slice(entry.as_bytes());
        }
        self.has_news = false;
        let end = replica.end();
        if out.is_empty() && self.sent == self.acked {
            (self.acked, self.sent) = (end, end);
            self.held.clear();
        }
        end
    }
}

/// The head of a message to a node; the entries stand elsewhere.
pub(super) struct Telling {
    life: i64,
    after: u64,
    end: u64,
    ack: Option<(i64, u64)>,
}

impl Telling {
    /// The whole message.
    pub(super) fn with<'a>(&'a self, entries: &'a [u8]) -> impl Encode + 'a {
        WithEntries(self, entries)
    }
}

struct WithEntries<'a>(&'a Telling, &'a [u8]);

impl Encode for WithEntries<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        let WithEntries(telling, entries) = self;
        out.extend_from_slice(b"{\"life\":");
        telling.life.encode(out);
        out.extend_from_slice(b",\"after\":");
        telling.after.encode(out);
        out.extend_from_slice(b",\"end\":");
        telling.end.encode(out);
        out.extend_from_slice(b",\"entries\":[");
        out.extend_from_slice(entries);
        out.push(b']');
        if let Some((life, heard)) = telling.ack {
            out.extend_from_slice(b",\"ack\":[");
            life.encode(out);
            out.push(b',');
            heard.encode(out);
            out.push(b']');
        }
        out.push(b'}');
    }
}
