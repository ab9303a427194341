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
//! kept out for as long as it lasts. So a node whose change was lost, or whose forwarder takes long to answer, announces
//! its proposal: it puts it into a register that only this node changes, an [`Announcement`]. And a node that has won a
//! number of times in a row, without a proposal of every other node being applied meanwhile, reads the announcements of
//! those others and applies what it finds with its next change (Herlihy, "Wait-free synchronization", 1991). If it finds
//! nothing, it reads them again after one more win than before.
//!
//! Nothing but speed depends on any of this: a node whose forwarder is silent, or names nobody, changes the register
//! itself.

use alloc::vec::Vec;
use core::{mem, time::Duration};

use super::register::{Announcement, Proposal, SharedRegister, View};
use super::{Options, Received};
use crate::kv::{RegisterId, Registers};
use crate::node::{Context, Outbox, Random, earliest};
use crate::protocol::{Error, MessageId, Name, Text};

/// A forwarder is silent if it has not answered after this many round trips to the store. It gets at least a tenth of the
/// RPC timeout, for where round trips take next to no time it may just be busy, and at most five quarters of it. After half
/// of that, the proposal is announced.
const FORWARDER_ROUND_TRIPS: u32 = 8;

/// How long to avoid a forwarder that did not answer, in multiples of the RPC timeout.
const AVOID_RPC_TIMEOUTS: u32 = 5;

/// A node reads at most this many announcements for each of its wins.
const READS_PER_WIN: usize = 4;

/// Where a node finds nothing, it reads announcements after more and more wins: up to this many times as many as at first.
const WINS_GROWTH_MAX: u32 = 8;

/// What this node forwards to others, and others to it.
#[derive(Debug)]
pub(super) struct Forwarding {
    decrements: bool,
    rpc_timeout: Duration,
    /// The other nodes.
    peers: Vec<Peer>,
    /// The peer that this node's proposals are forwarded to.
    forwarder: Option<usize>,
    /// The proposal that was forwarded and has not been answered.
    sent: Option<Sent>,
    /// Whether the proposals of several nodes went with the last change.
    is_shared: bool,
    /// How many changes of this node were applied in a row.
    wins: u32,
    /// After this many it reads what peers have announced.
    wins_to_help: u32,
    /// The registers of announcements, this node's and its peers'.
    announcements: Registers<Announcement, ()>,
    own_announcement: RegisterId,
    /// Whether this node's proposal is to be announced.
    is_to_announce: bool,
}

#[derive(Debug)]
struct Peer {
    name: Name,
    announcement: RegisterId,
    /// It did not answer, and is not asked again until then.
    avoid_until: Duration,
    /// The proposal that it has forwarded to this node.
    proposal: Option<Proposal>,
    /// The version in which this node last applied one.
    applied_in: u64,
    /// The id of its last proposal that was applied, when this node last thought of helping.
    last_applied: i64,
}

#[derive(Debug)]
struct Sent {
    peer: usize,
    id: i64,
    announce_at: Duration,
    deadline: Duration,
}

impl Forwarding {
    pub(super) fn new(options: &Options, random: &mut Random, node: &str, peers: &[Name]) -> Self {
        let mut announcements = Registers::new(&options.service, &options.limits, random);
        let mut open = |node: &str| {
            let key = alloc::format!("{}-announced/{node}", options.name());
            let register = announcements.open(&key, ());
            announcements.assume_missing(register);
            register
        };
        let own_announcement = open(node);
        let peers = peers.iter().map(|name| Peer {
            name: name.clone(),
            announcement: open(name.as_str()),
            avoid_until: Duration::ZERO,
            proposal: None,
            applied_in: 0,
            last_applied: 0,
        });
        let peers = Vec::from_iter(peers);
        Forwarding {
            decrements: options.decrements,
            rpc_timeout: options.limits.rpc_timeout,
            wins_to_help: wins_min(&peers),
            peers,
            forwarder: None,
            sent: None,
            is_shared: false,
            wins: 0,
            announcements,
            own_announcement,
            is_to_announce: false,
        }
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.peers.iter().position(|peer| peer.name == *name)
    }

    /// From now on `name` is this node's forwarder, if it is another node and answers.
    fn choose(&mut self, name: &str, now: Duration) {
        let peer = self.index(name);
        self.forwarder = peer.filter(|peer| self.peers[*peer].avoid_until <= now);
    }

    /// Forwards this node's proposal, if there is a forwarder, and announces it, if it is time to. Whether a forwarder is
    /// now to be waited for. `round_trip` is how long the store takes to reply.
    pub(super) fn forward(
        &mut self,
        proposal: &Proposal,
        round_trip: Duration,
        context: &mut Context<'_>,
    ) -> bool {
        self.announce(proposal, context);
        if let (None, Some(peer)) = (&self.sent, self.forwarder) {
            context
                .outbox
                .send(&self.peers[peer].name, "forward")
                .field("value", [proposal.previous, proposal.delta])
                .field("msg_id", proposal.id);
            let wait = round_trip.saturating_mul(FORWARDER_ROUND_TRIPS);
            let wait_max = self.rpc_timeout.saturating_mul(5) / 4;
            let wait = wait.clamp(self.rpc_timeout / 10, wait_max);
            self.sent = Some(Sent {
                peer,
                id: proposal.id,
                announce_at: context.now.saturating_add(wait / 2),
                deadline: context.now.saturating_add(wait),
            });
        }
        self.sent.is_some()
    }

    /// Whether [`forward`](Self::forward) sends a new proposal to anybody, or announces it.
    pub(super) fn sends(&self) -> bool {
        let announces = self.is_to_announce && self.announcements.is_idle(self.own_announcement);
        announces || self.sent.is_none() && self.forwarder.is_some()
    }

    /// Whether a forwarder has not answered yet.
    pub(super) fn is_waiting(&self) -> bool {
        self.sent.is_some()
    }

    /// Announces this node's proposal, if that is wanted and the announcement is of another.
    fn announce(&mut self, proposal: &Proposal, context: &mut Context<'_>) {
        let register = self.own_announcement;
        let known = self.announcements.known(register);
        let known = known.expect("it is taken for missing until it is read");
        let is_new = known.proposal.id != proposal.id;
        if self.is_to_announce && is_new && self.announcements.is_idle(register) {
            let replace = |announcement: &mut Announcement| {
                announcement.version += 1;
                announcement.proposal = *proposal;
            };
            self.announcements.change(register, replace, context);
        }
    }

    /// Takes in a reply of a peer, or one of the store's about announcements. `known` is the register as the store has told
    /// it. What a forwarder tells of the register is given back.
    pub(super) fn on_reply(
        &mut self,
        reply: &Received<'_>,
        known: &SharedRegister,
        context: &mut Context<'_>,
    ) -> Option<View> {
        let value = reply.body.fields.value;
        let Some(done) = self.announcements.on_reply(reply, value, context) else {
            return self.on_forward_ok(reply, context.now);
        };
        self.on_announcement(done.register, known);
        None
    }

    /// An announcement was read. If it is a peer's, its proposal goes with this node's next change.
    fn on_announcement(&mut self, register: RegisterId, known: &SharedRegister) {
        let announced = self.announcements.known(register);
        let proposal = announced.map(|announcement| announcement.proposal);
        let Some(proposal) = proposal.filter(|proposal| self.is_possible(proposal)) else {
            return;
        };
        let mut peers = self.peers.iter_mut();
        if let Some(peer) = peers.find(|peer| peer.announcement == register)
            && proposal.is_open(&known.view(peer.name.as_str()))
        {
            // What the peer has forwarded in place of the same previous id may hold more.
            let forwarded = peer.proposal.filter(|it| it.previous == proposal.previous);
            peer.proposal = forwarded.or(Some(proposal));
            self.wins_to_help = wins_min(&self.peers);
        }
    }

    /// A forwarder has answered, perhaps late or twice: what it tells of the register counts in any case.
    fn on_forward_ok(&mut self, reply: &Received<'_>, now: Duration) -> Option<View> {
        let peer = self.index(&reply.src)?;
        self.peers[peer].avoid_until = Duration::ZERO;
        let body = &reply.body;
        let id = body.in_reply_to?.number()?;
        let sent = self.sent.take_if(|sent| sent.peer == peer && sent.id == id);
        if sent.is_some() {
            let next = body
                .fields
                .next
                .map(|next| serde_json::from_str(next.get()));
            let Text(next) = next.and_then(Result::ok).unwrap_or(Text("".into()));
            self.choose(&next, now);
        }
        let value = body.fields.value.filter(|_| body.kind == "forward_ok")?;
        View::decode(value.get()).ok()
    }

    /// This node's proposal has been resolved: no forwarder needs to answer any more.
    pub(super) fn on_resolved(&mut self) {
        self.sent = None;
        self.is_to_announce = false;
    }

    /// A peer forwards a proposal. It waits for this node's next change, unless `known` shows it or this node waits for
    /// a forwarder itself.
    ///
    /// # Errors
    ///
    /// When it does not come from another node of the cluster, or no node makes such a proposal.
    pub(super) fn on_forward(
        &mut self,
        request: &Received<'_>,
        known: &SharedRegister,
        outbox: &mut Outbox,
    ) -> Result<(), Error> {
        let body = &request.body;
        let Some(peer) = self.index(&request.src) else {
            return Err(Error::not_supported(&body.kind));
        };
        let proposal = self.parse(request)?;
        let next = self.next();
        let peer = &mut self.peers[peer];
        peer.avoid_until = Duration::ZERO;
        let view = known.view(&request.src);
        if self.sent.is_some() || view.last_applied == proposal.id {
            answer(peer, &proposal, &view, next.as_ref(), outbox);
        } else {
            peer.proposal = Some(proposal);
        }
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

    /// Whether peers wait for this node to apply their proposals.
    pub(super) fn has_proposals(&self) -> bool {
        self.proposals().next().is_some()
    }

    /// The proposals that peers wait for this node to apply.
    pub(super) fn proposals(&self) -> impl Iterator<Item = (&Name, &Proposal)> {
        let peers = self.peers.iter();
        peers.filter_map(|peer| Some((&peer.name, peer.proposal.as_ref()?)))
    }

    /// This node sends a change with all those proposals, and, if `has_own`, with one of its own.
    pub(super) fn on_change(&mut self, has_own: bool) {
        self.is_shared = usize::from(has_own) + self.proposals().count() > 1;
    }

    /// The change was applied; now the register is `known`.
    pub(super) fn on_applied(
        &mut self,
        node: &Name,
        known: &SharedRegister,
        context: &mut Context<'_>,
    ) {
        self.forwarder = None;
        for peer in &mut self.peers {
            let view = known.view(peer.name.as_str());
            if let Some(proposal) = peer.take_resolved(&view) {
                let is_alone = !self.is_shared && peer.applied_in + 1 == view.version;
                peer.applied_in = view.version;
                let next = (!is_alone).then_some(node);
                answer(peer, &proposal, &view, next, context.outbox);
            }
        }
        self.wins += 1;
        if self.wins >= self.wins_to_help {
            self.help(known, context);
        }
    }

    /// Reads what those peers have announced of which no proposal was applied since this was last called.
    fn help(&mut self, known: &SharedRegister, context: &mut Context<'_>) {
        self.wins = 0;
        let mut had_all_a_turn = true;
        for peer in &mut self.peers {
            let View { last_applied, .. } = known.view(peer.name.as_str());
            let had_a_turn = mem::replace(&mut peer.last_applied, last_applied) != last_applied;
            if !had_a_turn && self.announcements.capacity_left() > 0 {
                had_all_a_turn = false;
                self.announcements.read(peer.announcement, context);
            }
        }
        let wins_min = wins_min(&self.peers);
        self.wins_to_help = match had_all_a_turn {
            true => wins_min,
            false => (self.wins_to_help + 1).min(WINS_GROWTH_MAX * wins_min),
        };
    }

    /// The change was lost: another node came first, and now the register is `known`. If that node can be this node's
    /// forwarder, it is the peers' too.
    pub(super) fn on_lost(&mut self, known: &SharedRegister, context: &mut Context<'_>) {
        self.wins = 0;
        self.wins_to_help = wins_min(&self.peers);
        self.choose(known.writer(), context.now);
        self.is_to_announce = true;
        let next = self.next();
        for peer in &mut self.peers {
            let view = known.view(peer.name.as_str());
            let proposal = match next {
                Some(_) => peer.proposal.take(),
                None => peer.take_resolved(&view),
            };
            if let Some(proposal) = proposal {
                answer(peer, &proposal, &view, next.as_ref(), context.outbox);
            }
        }
    }

    /// The name of the forwarder.
    fn next(&self) -> Option<Name> {
        self.forwarder.map(|peer| self.peers[peer].name.clone())
    }

    /// Forgets what has been forwarded: the register holds something unexpected.
    pub(super) fn clear(&mut self) {
        self.sent = None;
        for peer in &mut self.peers {
            peer.proposal = None;
        }
    }

    /// When [`wake`](Self::wake) is wanted.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let sent = self.sent.as_ref().map(|sent| match self.is_to_announce {
            false => sent.announce_at,
            true => sent.deadline,
        });
        earliest([sent, self.announcements.deadline()])
    }

    /// Does what it is time for. Whether the wait for a forwarder has ended.
    pub(super) fn wake(&mut self, context: &mut Context<'_>) -> bool {
        let now = context.now;
        self.announcements.wake(context);
        self.is_to_announce |= self
            .sent
            .as_ref()
            .is_some_and(|sent| sent.announce_at <= now);
        let Some(silent) = self.sent.take_if(|sent| sent.deadline <= now) else {
            return false;
        };
        let avoid = self.rpc_timeout.saturating_mul(AVOID_RPC_TIMEOUTS);
        self.peers[silent.peer].avoid_until = now.saturating_add(avoid);
        self.forwarder = None;
        true
    }
}

impl Peer {
    /// Takes out the proposal that it has forwarded if it is resolved by what the peer needs to know of the register.
    fn take_resolved(&mut self, view: &View) -> Option<Proposal> {
        self.proposal.take_if(|proposal| !proposal.is_open(view))
    }
}

/// After how many wins in a row a node reads announcements, as long as it finds some.
fn wins_min(peers: &[Peer]) -> u32 {
    1 + peers.len().div_ceil(READS_PER_WIN) as u32
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a node of three knows after winning time and again.
    struct Winner {
        forwarding: Forwarding,
        node: Name,
        register: SharedRegister,
        outbox: Outbox,
        now: Duration,
    }

    impl Winner {
        fn new() -> Self {
            let peers = ["n1", "n2"].map(Name::from);
            let mut random = Random::new(1);
            Winner {
                forwarding: Forwarding::new(&Options::default(), &mut random, "n0", &peers),
                node: "n0".into(),
                register: SharedRegister::default(),
                outbox: Outbox::of_n0(),
                now: Duration::ZERO,
            }
        }

        /// A change is applied, with a proposal of each of these nodes. How many announcements are read then.
        fn win(&mut self, nodes: &[&str]) -> usize {
            self.forwarding.on_change(true);
            self.now += Duration::from_millis(10);
            self.register.advance(&self.node);
            for node in nodes {
                let proposal = Proposal {
                    previous: self.register.view(node).last_applied,
                    id: self.now.as_millis() as i64,
                    delta: 1,
                };
                self.register.apply(&(*node).into(), &proposal);
            }
            let capacity = self.forwarding.announcements.capacity_left();
            let mut context = self.outbox.at(self.now);
            self.forwarding
                .on_applied(&self.node, &self.register, &mut context);
            let left = self.forwarding.announcements.capacity_left();
            for peer in &self.forwarding.peers {
                self.forwarding
                    .announcements
                    .stop_reading(peer.announcement);
            }
            capacity - left
        }

        /// Another node comes first.
        fn lose(&mut self) {
            let mut context = self.outbox.at(self.now);
            self.forwarding.on_lost(&self.register, &mut context);
        }
    }

    #[test]
    fn a_node_that_is_alone_at_work_reads_announcements_less_and_less() {
        let mut winner = Winner::new();
        let helped: Vec<u32> = (1..=170).filter(|_| winner.win(&[]) == 2).collect();
        let expected = [
            2, 5, 9, 14, 20, 27, 35, 44, 54, 65, 77, 90, 104, 119, 135, 151, 167,
        ];
        assert_eq!(helped, expected);
    }

    #[test]
    fn a_node_that_keeps_another_out_helps_soon_again_after_that_has_come_in() {
        let mut winner = Winner::new();
        let mut helped = Vec::new();
        for win in 1..=30 {
            helped.extend((winner.win(&["n1"]) == 1).then_some(win));
            if win % 10 == 0 {
                winner.lose();
            }
        }
        assert_eq!(helped, [2, 5, 9, 12, 15, 19, 22, 25, 29]);
    }

    #[test]
    fn a_node_that_applies_proposals_of_all_others_reads_no_announcements() {
        let mut winner = Winner::new();
        let nodes = |win| if win % 2 == 0 { ["n1"] } else { ["n2"] };
        assert!((1..=100).all(|win| winner.win(&nodes(win)) == 0));
    }
}
