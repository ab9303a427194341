//! What spreads from node to node until everyone has it: the engine of the workloads that need no store.
//!
//! A node keeps its entries in a row, in the order in which they came, and tells each neighbour what the
//! neighbour has not acknowledged. With a [`Topology`] that is a tree, an entry passes each link once.
//!
//! - **Batched.** A neighbour gets at most one message in [`Options::batch`]. The first entry after a silence goes at
//!   once, what comes after it waits its turn and goes together. That one number is the trade between latency and
//!   messages.
//! - **Acknowledged.** Acknowledgements are cumulative, a position in the teller's row, and ride on what is told the
//!   other way; only one that has waited for half of [`Options::retry_timeout`] goes alone.
//! - **Retried.** What is not acknowledged in time is taken for lost and told again, at once up to
//!   [`GOSSIP_BYTES_MAX`], then after twice the time. Nothing else is sent to one who is silent. A word from it ends
//!   that, so a partition is over for a link as soon as one message has passed it either way.
//! - **Never told to who has it.** What a neighbour has told of, by itself or through another, is not told to it.
//! - **Restarted nodes catch up.** Every life of a node has a number. A node that starts greets its neighbours, who see
//!   that it has forgotten everything and tell it everything. It doesn't do so by itself
//!   ([why](crate::node#when-a-node-begins-to-speak)) but when the first message comes to it; so that one does,
//!   neighbours that have nothing to tell each other send a heartbeat, one of the two every [`HEARTBEAT_INTERVAL`]. A
//!   message for an earlier life is answered at once. What a node alone knew is lost with it, acknowledged or not: there
//!   is no disk here. Use a store where that matters.
//!
//! While there is news heartbeats cost nothing. Without news 25 nodes in a star or a tree send 8 messages a second.
//!
//! Messages are `{"type": "gossip", "gossip": {"life": …, "after": …, "end": …, "entries": […], "ack": […]}}`. None wants
//! a reply. One that is lost, doubled, late, from an old life or from no neighbour does no harm: entries are merged in
//! any order, and positions only ever count within one life.

mod link;
mod topology;
mod values;

use alloc::{borrow::Cow, vec::Vec};
use core::time::Duration;

use serde_json::value::RawValue;

use crate::kv::Patience;
use crate::node::{Outbox, Random, START_WAIT};
use crate::protocol::{Error, ErrorCode};

use link::{Answer, Link};

pub use link::{GOSSIP_BYTES_MAX, HEARTBEAT_INTERVAL, Told};
pub use topology::{Topology, UnknownTopology};
pub use values::VALUES_BYTES_MAX;
pub(super) use values::Values;

/// What a node has, in a row that grows at its end.
pub(super) trait Replica {
    /// The position behind the newest entry.
    fn end(&self) -> u64;

    /// The entries from a position on, as JSON. An entry whose place has been taken by a newer one may be left out.
    fn entries_from(&self, position: u64) -> impl Iterator<Item = (u64, &str)>;

    /// Takes in an entry, unless it is here already; the answer is its position. None if there is something newer in
    /// its place.
    ///
    /// # Errors
    ///
    /// When it is no entry, or there is no room.
    fn merge(&mut self, entry: &RawValue) -> Result<Option<u64>, Error>;
}

/// How news spread.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who tells whom.
    pub topology: Topology,
    /// A neighbour is told news at most once in this time.
    pub batch: Duration,
    /// How long to wait for an acknowledgement before telling again. It has to be more than four times the latency
    /// between nodes. It doubles once.
    pub retry_timeout: Duration,
    /// How long after its `init` a node begins to speak if no message makes it do so before: see
    /// [`node`](crate::node#when-a-node-begins-to-speak).
    pub start_wait: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            topology: Topology::default(),
            batch: Duration::from_millis(100),
            retry_timeout: Duration::from_secs(2),
            start_wait: START_WAIT,
        }
    }
}

/// The waits double up to this often: what a partition has held up arrives within 5 seconds of its end.
const DOUBLINGS_MAX: u32 = 1;

/// A replica and what its neighbours know of it.
pub(super) struct Gossip<R> {
    replica: R,
    options: Options,
    life: i64,
    patience: Patience,
    /// One for each other node, in the order of their ids.
    links: Vec<Link>,
    /// Where the entries of a message are put together.
    entries: Vec<u8>,
}

impl<R: Replica> Gossip<R> {
    /// The seed has to be another at each start of a node.
    pub(super) fn new(replica: R, options: Options, seed: u64) -> Self {
        let mut random = Random::new(seed);
        Gossip {
            replica,
            life: random.sequence_start(54) as i64,
            patience: Patience::new(options.retry_timeout, random),
            options,
            links: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// The number of this life of the node, below 2^53.
    pub(super) fn life(&self) -> i64 {
        self.life
    }

    /// [`Options::start_wait`].
    pub(super) fn start_wait(&self) -> Duration {
        self.options.start_wait
    }

    /// What this node has.
    pub(super) fn replica(&self) -> &R {
        &self.replica
    }

    pub(super) fn init(&mut self, node_id: &str, node_ids: &[Cow<'_, str>]) {
        let mut node_ids = node_ids.to_vec();
        node_ids.sort_unstable();
        node_ids.dedup();
        let neighbours = self.options.topology.neighbours(node_id, &node_ids);
        for (place, other) in node_ids.iter().enumerate() {
            if *other == node_id {
                continue;
            }
            let mut link = Link::new((&**other).into());
            link.is_neighbour = neighbours.contains(&place);
            link.add_news();
            self.links.push(link);
        }
    }

    /// Takes the neighbours that are offered, if they are wanted. Nodes that don't exist are ignored.
    pub(super) fn offer<'a>(&mut self, neighbours: impl Iterator<Item = &'a str>) {
        if self.options.topology != Topology::Offered {
            return;
        }
        for link in &mut self.links {
            link.is_neighbour = false;
        }
        for name in neighbours {
            if let Some(index) = self.link(name) {
                self.links[index].is_neighbour = true;
                self.links[index].add_news();
            }
        }
    }

    fn link(&self, name: &str) -> Option<usize> {
        let found = self
            .links
            .binary_search_by(|link| link.name.as_str().cmp(name));
        found.ok()
    }

    /// Takes in an entry of this node's own.
    ///
    /// # Errors
    ///
    /// Those of [`Replica::merge`].
    pub(super) fn add(&mut self, entry: &RawValue) -> Result<(), Error> {
        let end = self.replica.end();
        self.replica.merge(entry)?;
        if self.replica.end() > end {
            self.links.iter_mut().for_each(Link::add_news);
        }
        Ok(())
    }

    /// Another node tells something: what stands in the field `gossip` of its message.
    ///
    /// # Errors
    ///
    /// When it tells nothing, is no other node of this cluster, or what it tells is no entry. Then nothing counts as
    /// heard.
    pub(super) fn hear(
        &mut self,
        src: &str,
        told: Option<&Told<'_>>,
        now: Duration,
    ) -> Result<(), Error> {
        let told = told.ok_or_else(|| Error::missing("gossip"))?;
        let Some(index) = self.link(src) else {
            return Err(Error::new(
                ErrorCode::MALFORMED_REQUEST,
                "only the other nodes of this cluster gossip",
            ));
        };
        let times = (now, now + self.patience.wait(0));
        let heard = self.links[index].hear(told, self.life, self.replica.end(), times);
        for entry in &told.entries {
            let end = self.replica.end();
            let position = self.replica.merge(entry)?;
            if let Some(position) = position {
                self.links[index].add_held(position);
            }
            if self.replica.end() > end {
                let others = self.links.iter_mut().enumerate();
                others
                    .filter(|(other, _)| *other != index)
                    .for_each(|(_, link)| link.add_news());
            }
        }
        let link = &mut self.links[index];
        if heard.follows {
            link.has_heard(told.end);
        }
        match heard.answer {
            Some(Answer::AtOnce) => link.owe_ack(now),
            Some(Answer::Soon) => link.owe_ack(now + self.options.retry_timeout / 2),
            None => {}
        }
        Ok(())
    }

    /// When [`advance`](Self::advance) is wanted.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.links.iter().filter_map(Link::due).min()
    }

    /// Tells what is due.
    pub(super) fn advance(&mut self, now: Duration, outbox: &mut Outbox) {
        self.tell(now, self.options.batch, outbox);
    }

    /// Tells what there is to tell, due or not.
    pub(super) fn finish(&mut self, outbox: &mut Outbox) {
        self.links.iter_mut().for_each(Link::end_heartbeats);
        self.tell(Duration::MAX / 2, Duration::ZERO, outbox);
    }

    fn tell(&mut self, now: Duration, pace: Duration, outbox: &mut Outbox) {
        for link in &mut self.links {
            if link.due().is_none_or(|due| now < due) {
                continue;
            }
            let patience = &mut self.patience;
            let wait = |attempts: u32| pace + patience.wait(attempts.min(DOUBLINGS_MAX));
            let times = (now, pace);
            if let Some(telling) =
                link.tell(&self.replica, self.life, &mut self.entries, times, wait)
            {
                outbox
                    .send(&link.name, "gossip")
                    .field("gossip", telling.with(&self.entries));
            }
        }
    }
}
