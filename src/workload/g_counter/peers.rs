//! Who swaps for whom, while several nodes fight over one register.
//!
//! A cas fails when another node's came first. The loser then needs two round trips, a read and a cas, where the winner
//! needs one, so under load the winner goes on winning and the others wait for seconds. The way out is that the winner
//! swaps for all: a node whose cas was refused hands its [`Step`], which is what its riders add up to, to the node that
//! wrote what it then reads, and that node takes it along on its own cas:
//!
//! ```text
//! carry{step: [after, round_id, delta]} → carry_ok{value}      the value is the register, as the carrier knows it
//! ```
//!
//! The answer is the same whether the step was taken or not: the register itself tells, and it also tells who to ask
//! next, the node that wrote it. A carrier that loses to another node sends its guests there with it. Nothing depends
//! on any of this but speed: a node whose carrier is silent, or sends it nowhere, swaps for itself.
//!
//! A node that has handed over goes on to do so as long as the register shows that others are at work too.

use alloc::vec::Vec;
use core::time::Duration;

use super::tally::Step;
use crate::protocol::Name;

/// The other nodes of the cluster.
#[derive(Debug, Default)]
pub(super) struct Peers {
    peers: Vec<Peer>,
    /// Who carries this node's steps, and until when, if no new sign comes that it is needed.
    carrier: Option<(usize, Duration)>,
}

#[derive(Debug)]
struct Peer {
    name: Name,
    /// It did not answer, and is not asked again until then.
    silent_until: Duration,
    /// What it wants to be carried.
    guest: Option<Guest>,
}

/// Another node's step that is to be carried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guest {
    pub(super) step: Step,
    pub(super) msg_id: Option<i64>,
}

impl Peers {
    pub(super) fn init(&mut self, others: Vec<Name>) {
        let peers = others.into_iter().map(|name| Peer {
            name,
            silent_until: Duration::ZERO,
            guest: None,
        });
        self.peers = peers.collect();
    }

    /// Which of the peers has that name.
    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.peers.iter().position(|peer| peer.name == *name)
    }

    pub(super) fn name(&self, peer: usize) -> &str {
        self.peers[peer].name.as_str()
    }

    /// Who carries this node's next step, if anyone.
    pub(super) fn carrier(&self, now: Duration) -> Option<usize> {
        let (carrier, until) = self.carrier?;
        (now < until).then_some(carrier)
    }

    /// `author`, which may be this node itself, wrote the newest register that is known: it carries this node's next
    /// step, if it is another and not silent.
    pub(super) fn choose(&mut self, author: &str, now: Duration, until: Duration) {
        let author = self.index(author);
        let author = author.filter(|&author| self.peers[author].silent_until <= now);
        self.carrier = author.map(|author| (author, until));
    }

    /// Others than the carrier and this node are at work too.
    pub(super) fn is_needed(&mut self, until: Duration) {
        if let Some((_, needed_until)) = &mut self.carrier {
            *needed_until = until;
        }
    }

    /// From now on this node swaps for itself, until a cas is refused.
    pub(super) fn release(&mut self) {
        self.carrier = None;
    }

    /// The carrier did not answer.
    pub(super) fn leave_alone(&mut self, until: Duration) {
        if let Some((carrier, _)) = self.carrier.take() {
            self.peers[carrier].silent_until = until;
        }
    }

    /// A message of that peer has come.
    pub(super) fn heard(&mut self, peer: usize) {
        self.peers[peer].silent_until = Duration::ZERO;
    }

    /// Takes a guest on, in the place of its last step.
    pub(super) fn invite(&mut self, peer: usize, guest: Guest) {
        self.peers[peer].guest = Some(guest);
    }

    /// Whether anyone waits to be carried.
    pub(super) fn has_guests(&self) -> bool {
        self.guests().next().is_some()
    }

    /// Those who wait to be carried.
    pub(super) fn guests(&self) -> impl Iterator<Item = (&Name, &Guest)> {
        let guests = self.peers.iter();
        guests.filter_map(|peer| Some((&peer.name, peer.guest.as_ref()?)))
    }

    /// Takes the guests out for which that holds, each with its name.
    pub(super) fn dismiss(
        &mut self,
        is_done: impl Fn(&Name, &Guest) -> bool,
        mut each: impl FnMut(&Name, Guest),
    ) {
        for peer in &mut self.peers {
            let name = &peer.name;
            if let Some(guest) = peer.guest.take_if(|guest| is_done(name, guest)) {
                each(name, guest);
            }
        }
    }
}
