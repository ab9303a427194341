//! Who carries whose batches, while several nodes fight over one register.
//!
//! A cas fails when another node's came first. The loser then needs two round trips, a read and a cas, where the winner
//! needs one, so under load the winner goes on winning and the others wait for seconds. The way out is that the winner
//! swaps for all: a node whose cas has lost hands its next batches to the node that won, which takes them along on its
//! own cas (`carry{after, round, delta} → carry_ok{value, alone}`). That ends when nobody else comes along any more.
//!
//! A batch counts once, whoever carries it and however often: it is the step of its node's round id in the register
//! from `after` to `round`, and a carrier takes it only on a state in which the id is `after`. Ids are never used again,
//! so the step is made once. A batch that has been handed over stays as it is, riders and all, until the register shows
//! its id; if the carrier is silent or refuses, the node makes the same step by its own cas, or hands the batch to
//! another.
//!
//! A carrier that is about to hand over itself refuses; of two that would hand to each other, the one that stands first
//! in the cluster's list carries. A node that a partition keeps from the carrier still has to win against it: while not
//! all nodes hand over their batches, the carrier rests between its changes, up to a round trip by chance.

use alloc::{borrow::Cow, vec::Vec};
use core::time::Duration;

use crate::protocol::Name;

/// What a node adds in one round, in a form that any node can put into the register.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Batch {
    /// The id of the node's round before, 0 if there was none.
    pub(super) after: i64,
    pub(super) round_id: i64,
    pub(super) delta: i64,
}

/// The other nodes of the cluster, as carriers and as those whose batches this node carries.
#[derive(Default)]
pub(super) struct Carriers {
    peers: Vec<Peer>,
    /// Who carries this node's batches, and until when.
    carrier: Option<(usize, Duration)>,
}

struct Peer {
    name: Name,
    /// It stands before this node in the cluster's list.
    is_before: bool,
    /// It was silent when it should have carried, and is not asked again until then.
    left_alone_until: Duration,
    /// It has handed over a batch, and may well do so again until then.
    hands_over_until: Duration,
}

impl Carriers {
    pub(super) fn init(&mut self, node_id: &str, node_ids: &[Cow<'_, str>]) {
        let own = node_ids.iter().position(|id| *id == node_id);
        let others = node_ids
            .iter()
            .enumerate()
            .filter(|(index, _)| Some(*index) != own);
        self.peers = others
            .map(|(index, id)| Peer {
                name: Name::from(&**id),
                is_before: Some(index) < own,
                left_alone_until: Duration::ZERO,
                hands_over_until: Duration::ZERO,
            })
            .collect();
    }

    fn index(&self, node: &str) -> Option<usize> {
        self.peers.iter().position(|peer| peer.name == *node)
    }

    /// Whether this is another node of the cluster.
    pub(super) fn knows(&self, node: &str) -> bool {
        self.index(node).is_some()
    }

    pub(super) fn name(&self, carrier: usize) -> &str {
        self.peers[carrier].name.as_str()
    }

    /// A cas of this node has lost against one of `winner`: it is the carrier until then.
    pub(super) fn lost_to(&mut self, winner: &str, now: Duration, until: Duration) {
        let Some(winner) = self.index(winner) else {
            return;
        };
        let is_carrier = self.peers.iter().any(|peer| peer.hands_over_until > now);
        if self.peers[winner].is_before || !is_carrier {
            self.carrier = Some((winner, until));
        }
    }

    /// Who should carry the next batch, if anyone.
    pub(super) fn choose(&self, now: Duration) -> Option<usize> {
        let (carrier, until) = self.carrier?;
        (now < until && self.peers[carrier].left_alone_until <= now).then_some(carrier)
    }

    /// The carrier has taken others along too, so it is still needed.
    pub(super) fn is_needed(&mut self, until: Duration) {
        if let Some((_, needed_until)) = &mut self.carrier {
            *needed_until = until;
        }
    }

    /// The carrier does not carry.
    pub(super) fn refused(&mut self) {
        self.carrier = None;
    }

    /// The carrier was silent.
    pub(super) fn leave_alone(&mut self, carrier: usize, until: Duration) {
        self.peers[carrier].left_alone_until = until;
    }

    /// Whether this node carries a batch of that one. It may hand over more until then.
    pub(super) fn accept(&mut self, node: &str, now: Duration, until: Duration) -> bool {
        let Some(index) = self.index(node) else {
            return false;
        };
        match self.choose(now) {
            Some(carrier) if carrier == index && !self.peers[index].is_before => {
                self.carrier = None
            }
            Some(_) => return false,
            None => {}
        }
        self.peers[index].hands_over_until = until;
        true
    }

    /// Whether this node carries for some of the others but not for all: the rest may be fighting alone.
    pub(super) fn carries_for_some(&self, now: Duration) -> bool {
        let hands_over = |peer: &Peer| peer.hands_over_until > now;
        self.peers.iter().any(hands_over) && !self.peers.iter().all(hands_over)
    }
}
