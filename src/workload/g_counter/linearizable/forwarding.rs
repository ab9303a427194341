//! How nodes that change one register apply each other's proposals instead of keeping each other out.
//!
//! # Forwarding
//!
//! A compare-and-swap fails when another node's came first. The loser then needs two round trips, a read and a
//! compare-and-swap, where the winner needs one, so under load the winner goes on winning and the others wait for
//! seconds. Therefore the winner changes the register for all (flat combining: Hendler, Incze, Shavit and Tzafrir,
//! 2010). A node whose change was lost forwards its [`Proposal`] to the node that wrote the value that stands in its way,
//! and that node applies it with its own next change:
//!
//! ```text
//! forward{value: [previous, delta], msg_id} → forward_ok{value, next}       msg_id is the id of the proposal
//! ```
//!
//! `value` is `[total, version, id]` of the newest register value that the forwarder knows, where `id` is the last
//! proposal of the node that asks: that tells what became of the proposal. `next` says which node to forward to next,
//! be it this proposal or another. It is the forwarder itself while others are at work too, another node if the
//! forwarder has lost to that, and nobody if a node may as well change the register itself.
//!
//! # Helping
//!
//! A partition cuts nodes off from each other but not from the store, and those that cannot reach the winner would be
//! kept out for as long as it lasts. So a node whose change was refused, or whose forwarder takes long to answer, announces
//! its proposal: it puts it into a register that only this node changes. And a node that has won, without a proposal of
//! every other node being applied meanwhile, reads the announcements of those others and applies what it finds with its
//! next change (Herlihy, "Wait-free synchronization", 1991). If it finds nothing, it reads them again after one more win
//! than before.
//!
//! Nothing but speed depends on any of this: a node whose forwarder is silent, or names nobody, changes the register
//! itself.

use core::{mem, time::Duration};

use super::{Linearizable, known};
use crate::kv::RegisterId;
use crate::node::{Context, Outbox};
use crate::protocol::{Error, MessageId, Name, Text};
use crate::workload::g_counter::Received;
use crate::workload::g_counter::register::{Proposal, SharedRegister, View};

/// A forwarder is silent if it has not answered after this many round trips to the store that take long. It gets at least
/// a tenth of the RPC timeout, for where round trips take next to no time it may just be busy, and at most three halves of
/// it. After four tenths of that time the proposal is announced. From the half on the register is read, each tenth: perhaps
/// only the answer is late, or another node has applied the proposal.
const FORWARDER_ROUND_TRIPS: u32 = 5;

/// How long to avoid a forwarder that seems to be out of reach, in multiples of the RPC timeout.
const AVOID_RPC_TIMEOUTS: u32 = 5;

/// A node reads at most this many announcements for each of its wins.
const READS_PER_WIN: usize = 4;

/// Where a node finds nothing, it reads announcements after more and more wins: up to this many times as many as at first.
const WINS_GROWTH_MAX: u32 = 16;

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: Name,
    /// The register in which it announces its proposals.
    announcement: RegisterId,
    /// It seems that it can't be reached, and nothing is forwarded to it until then.
    avoid_until: Duration,
    /// The proposal that it has forwarded to this node.
    pub(super) proposal: Option<Proposal>,
    /// The version in which this node last applied one.
    applied_in: u64,
    /// The id of its last proposal that was applied, when this node last thought of helping.
    last_applied: i64,
}

#[derive(Debug)]
pub(super) struct Sent {
    peer: usize,
    id: i64,
    /// A tenth of the wait, how many of them have passed, and when the next one will have.
    tenth: Duration,
    tenths: u32,
    pub(super) at: Duration,
}

impl Linearizable {
    fn index(&self, name: &str) -> Option<usize> {
        self.peers.iter().position(|peer| peer.name == *name)
    }

    /// From now on `name` is this node's forwarder, if it is another node and answers.
    fn choose(&mut self, name: &str, now: Duration) {
        let peer = self.index(name);
        self.forwarder = peer.filter(|peer| self.peers[*peer].avoid_until <= now);
    }

    /// Whether this node announces its proposals and has no announcement under way.
    pub(super) fn announces(&self) -> bool {
        let is_wanted = self.is_to_announce || self.registers.is_refused(self.register);
        is_wanted && self.registers.is_idle(self.announcement)
    }

    /// Announces this node's proposal, if that is wanted and the announcement is of another.
    pub(super) fn announce(&mut self, proposal: &Proposal, context: &mut Context<'_>) {
        let announced = known(&self.registers, self.announcement).announced();
        if self.announces() && announced != Some(*proposal) {
            let announce = |register: &mut SharedRegister| register.announce(&self.node, proposal);
            self.registers.change(self.announcement, announce, context);
        }
    }

    /// Forwards this node's proposal, if there is a forwarder and it was sent none.
    pub(super) fn forward(&mut self, proposal: &Proposal, context: &mut Context<'_>) {
        if let (None, Some(peer)) = (&self.sent, self.forwarder) {
            let request = context.outbox.send(&self.peers[peer].name, "forward");
            let request = request.field("value", [proposal.previous, proposal.delta]);
            request.field("msg_id", proposal.id);
            // With the variation, as in RFC 6298: one round trip alone says little of how long the next may take.
            let round_trip_max = self.registers.round_trip() + 4 * self.registers.variation();
            let wait = round_trip_max.saturating_mul(FORWARDER_ROUND_TRIPS);
            let wait_max = self.rpc_timeout.saturating_mul(3) / 2;
            let tenth = wait.clamp(self.rpc_timeout / 10, wait_max) / 10;
            self.sent = Some(Sent {
                peer,
                id: proposal.id,
                tenth,
                tenths: 0,
                at: context.now.saturating_add(tenth),
            });
        }
    }

    /// An announcement was read. If it is a peer's, its proposal goes with this node's next change.
    pub(super) fn on_announcement(&mut self, announcement: RegisterId, now: Duration) {
        let announced = known(&self.registers, announcement).announced();
        let Some(proposal) = announced.filter(|proposal| self.is_possible(proposal)) else {
            return;
        };
        let avoid_until = self.avoid_until(now);
        let known = known(&self.registers, self.register);
        let mut peers = self.peers.iter_mut();
        if let Some(peer) = peers.find(|peer| peer.announcement == announcement)
            && proposal.is_open(&known.view(peer.name.as_str()))
        {
            // What the peer has forwarded in place of the same previous id may hold more.
            let forwarded = peer.proposal.filter(|it| it.previous == proposal.previous);
            if forwarded.is_none() {
                // It would have forwarded this if it reached this node.
                peer.avoid_until = avoid_until;
            }
            peer.proposal = forwarded.or(Some(proposal));
            self.wins_to_help = wins_min(&self.peers);
        }
    }

    /// A forwarder has answered, perhaps late or twice: what it tells of the register counts in any case.
    pub(super) fn on_forward_ok(&mut self, reply: &Received<'_>, now: Duration) -> Option<View> {
        let peer = self.index(&reply.src)?;
        self.peers[peer].avoid_until = Duration::ZERO;
        let body = &reply.body;
        let id = body.in_reply_to?.number()?;
        self.sent.take_if(|sent| sent.peer == peer && sent.id == id);
        if self.sent.is_none() {
            self.is_to_announce = false;
            let next = body.fields.next;
            let next = next.and_then(|next| serde_json::from_str(next.get()).ok());
            let Text(next) = next.unwrap_or_default();
            self.choose(&next, now);
        }
        let value = body.fields.value.filter(|_| body.kind == "forward_ok")?;
        View::decode(value.get())
    }

    /// A peer forwards a proposal. It waits for this node's next change, unless it was applied or this node waits for a
    /// forwarder itself.
    ///
    /// Fails when it does not come from another node of the cluster, or no node makes such a proposal.
    pub(in crate::workload::g_counter) fn on_forward(
        &mut self,
        request: &Received<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let Some(peer) = self.index(&request.src) else {
            return Err(Error::not_supported(&request.body.kind));
        };
        let proposal = self.parse(request)?;
        let (next, view) = (self.next(), self.known().view(&request.src));
        let peer = &mut self.peers[peer];
        peer.avoid_until = Duration::ZERO;
        if self.sent.is_some() || view.last_applied == proposal.id {
            answer(peer, &proposal, &view, next.as_ref(), context.outbox);
        } else {
            peer.proposal = Some(proposal);
        }
        self.advance(context);
        Ok(())
    }

    fn parse(&self, request: &Received<'_>) -> Result<Proposal, Error> {
        let body = &request.body;
        let value = body.fields.value.ok_or_else(|| Error::missing("value"))?;
        let [previous, delta] = serde_json::from_str(value.get())
            .map_err(|error| Error::malformed(alloc::format!("malformed value: {error}")))?;
        let id = body.msg_id.and_then(MessageId::number);
        let id = id.ok_or_else(|| Error::missing("msg_id"))?;
        let proposal = Proposal {
            previous,
            id,
            delta,
        };
        match self.is_possible(&proposal) {
            true => Ok(proposal),
            false => Err(Error::malformed(alloc::format!(
                "no node makes such a proposal: {proposal:?}"
            ))),
        }
    }

    /// Whether a node of this counter could have made it: its id is new, and so is the one under which it is lost.
    fn is_possible(&self, proposal: &Proposal) -> bool {
        let is_new = proposal.previous.unsigned_abs() != proposal.id.unsigned_abs();
        proposal.id > 0 && is_new && (proposal.delta >= 0 || self.decrements)
    }

    /// A change of this node was applied.
    pub(super) fn on_applied(&mut self, context: &mut Context<'_>) {
        self.forwarder = None;
        self.is_to_announce = false;
        let known = known(&self.registers, self.register);
        for peer in &mut self.peers {
            let view = known.view(peer.name.as_str());
            let is_resolved = |proposal: &mut Proposal| !proposal.is_open(&view);
            if let Some(proposal) = peer.proposal.take_if(is_resolved) {
                let is_alone = !self.is_shared && peer.applied_in + 1 == view.version;
                peer.applied_in = view.version;
                let next = (!is_alone).then_some(&self.node);
                answer(peer, &proposal, &view, next, context.outbox);
            }
        }
        self.wins += 1;
        if self.wins >= self.wins_to_help {
            self.help(context);
        }
    }

    /// Reads what those peers have announced of which no proposal was applied since this was last called.
    fn help(&mut self, context: &mut Context<'_>) {
        self.wins = 0;
        let mut had_all_a_turn = true;
        for peer in &mut self.peers {
            let known = known(&self.registers, self.register);
            let View { last_applied, .. } = known.view(peer.name.as_str());
            let had_a_turn = mem::replace(&mut peer.last_applied, last_applied) != last_applied;
            // This node's own operations need capacity for three.
            if !had_a_turn && self.registers.capacity_left() > 3 {
                had_all_a_turn = false;
                self.registers.read(peer.announcement, context);
            }
        }
        let wins_min = wins_min(&self.peers);
        self.wins_to_help = match had_all_a_turn {
            true => wins_min,
            false => (self.wins_to_help + 1).min(WINS_GROWTH_MAX * wins_min),
        };
    }

    /// The change was lost: another node came first. If that can be this node's forwarder, it is the peers' too.
    pub(super) fn on_lost(&mut self, context: &mut Context<'_>) {
        self.wins_to_help = wins_min(&self.peers);
        let writer = self.known().writer.clone();
        self.choose(writer.as_str(), context.now);
        self.is_to_announce = true;
        let next = self.next();
        let known = known(&self.registers, self.register);
        for peer in &mut self.peers {
            let view = known.view(peer.name.as_str());
            let is_over = |proposal: &mut Proposal| next.is_some() || !proposal.is_open(&view);
            if let Some(proposal) = peer.proposal.take_if(is_over) {
                answer(peer, &proposal, &view, next.as_ref(), context.outbox);
            }
        }
    }

    /// The name of the forwarder.
    fn next(&self) -> Option<Name> {
        self.forwarder.map(|peer| self.peers[peer].name.clone())
    }

    /// Does what is due if another tenth of the time has passed in which the forwarder has to answer.
    pub(super) fn wait_for_forwarder(&mut self, context: &mut Context<'_>) {
        let avoid_until = self.avoid_until(context.now);
        let sent = self.sent.as_mut().filter(|sent| sent.at <= context.now);
        let Some(sent) = sent else { return };
        sent.tenths += 1;
        sent.at = context.now.saturating_add(sent.tenth);
        let Sent { peer, tenths, .. } = *sent;
        self.is_to_announce |= tenths == 4;
        if tenths >= 5 {
            self.registers.read(self.register, context);
        }
        if tenths == 10 {
            self.peers[peer].avoid_until = avoid_until;
            self.forwarder = None;
            self.sent = None;
        }
    }

    /// Until when a peer is avoided that can't be reached now.
    fn avoid_until(&self, now: Duration) -> Duration {
        now.saturating_add(self.rpc_timeout.saturating_mul(AVOID_RPC_TIMEOUTS))
    }
}

impl Peer {
    pub(super) fn new(name: &Name, announcement: RegisterId) -> Self {
        Peer {
            name: name.clone(),
            announcement,
            avoid_until: Duration::ZERO,
            proposal: None,
            applied_in: 0,
            last_applied: 0,
        }
    }
}

/// After how many wins a node reads announcements, as long as it finds some.
pub(super) fn wins_min(peers: &[Peer]) -> u32 {
    peers.len().div_ceil(READS_PER_WIN) as u32
}

/// Answers a proposal that a peer has forwarded.
fn answer(peer: &Peer, proposal: &Proposal, view: &View, next: Option<&Name>, outbox: &mut Outbox) {
    let answer = outbox
        .send(&peer.name, "forward_ok")
        .field("in_reply_to", proposal.id)
        .field("value", view);
    if let Some(next) = next {
        answer.field("next", next);
    }
}
