//! How nodes that change one register keep out of each other's way: forwarding, and fairness.
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
//! Nothing but speed depends on any of this: a node whose forwarder is silent, or names nobody, changes the register
//! itself.
//!
//! # Fairness
//!
//! A partition cuts nodes off from each other but not from the store, and those that cannot reach the winner would be
//! kept out for as long as it lasts. So a node that has won a number of times in a row, without a proposal of every other
//! node being applied meanwhile, backs off for a few round trips. If nobody has used that, the next backoff comes after
//! twice as many wins.

use alloc::vec::Vec;
use core::time::Duration;

use super::register::{Proposal, Resolution, SharedRegister, View};
use super::{Options, Received};
use crate::node::{Context, Outbox};
use crate::protocol::{Error, MessageId, Name, Text};

/// A forwarder is silent if it has not answered after this many round trips to the store. It gets at least a tenth of the
/// RPC timeout, for where round trips take next to no time it may just be busy, and at most five quarters of it.
const FORWARDER_ROUND_TRIPS: u32 = 8;

/// How long to avoid a forwarder that did not answer, in multiples of the RPC timeout.
const AVOID_RPC_TIMEOUTS: u32 = 5;

/// How long a backoff lasts, in round trips to the store. A read may be answered from the past, so that another node
/// seldom gets in with one read and one compare-and-swap.
const BACKOFF_ROUND_TRIPS: u32 = 3;

/// There is no backoff shorter than this: timers wait for whole milliseconds, and a store that fast lets everybody in.
const BACKOFF_MIN: Duration = Duration::from_millis(1);

/// A node backs off after at least this many wins in a row, and at least two for each other node.
const WINS_MIN: u32 = 4;

/// A node backs off after at most this many wins in a row.
const WINS_MAX: u32 = 64;

/// What this node forwards to others, and others to it.
#[derive(Debug, Default)]
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
    /// After this many it backs off.
    wins_to_backoff: u32,
    backoff_until: Option<Duration>,
}

#[derive(Debug, Default)]
struct Peer {
    name: Name,
    /// It did not answer, and is not asked again until then.
    avoid_until: Duration,
    /// The proposal that it has forwarded to this node.
    proposal: Option<Proposal>,
    /// The version in which this node last applied one.
    applied_in: u64,
    /// The id of its last proposal that was applied, when this node last thought of backing off.
    last_applied: i64,
}

#[derive(Debug)]
struct Sent {
    peer: usize,
    id: i64,
    deadline: Duration,
}

impl Forwarding {
    pub(super) fn new(options: &Options, peers: &[Name]) -> Self {
        let peers = peers.iter().map(|name| Peer {
            name: name.clone(),
            ..Peer::default()
        });
        let mut forwarding = Forwarding {
            decrements: options.decrements,
            rpc_timeout: options.limits.rpc_timeout,
            peers: peers.collect(),
            ..Forwarding::default()
        };
        forwarding.wins_to_backoff = forwarding.wins_min();
        forwarding
    }

    /// The more nodes there are, the longer it may take until each has had a turn.
    fn wins_min(&self) -> u32 {
        WINS_MIN.max(2 * self.peers.len() as u32)
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.peers.iter().position(|peer| peer.name == *name)
    }

    /// From now on `name` is this node's forwarder, if it is another node and answers.
    fn choose(&mut self, name: &str, now: Duration) {
        let peer = self.index(name);
        self.forwarder = peer.filter(|peer| self.peers[*peer].avoid_until <= now);
    }

    /// Forwards this node's proposal, if there is a forwarder. Whether that is now to be waited for.
    /// `round_trip` is how long the store takes to reply.
    pub(super) fn forward(
        &mut self,
        proposal: &Proposal,
        round_trip: Duration,
        context: &mut Context<'_>,
    ) -> bool {
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
                deadline: context.now.saturating_add(wait),
            });
        }
        self.sent.is_some()
    }

    /// A forwarder has answered, perhaps late or twice: what it tells of the register counts in any case.
    pub(super) fn on_forward_ok(&mut self, reply: &Received<'_>, now: Duration) -> Option<View> {
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
        known: Option<&SharedRegister>,
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
        let view = known.map_or(View::default(), |known| known.view(&request.src));
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
        let may_be = proposal.is_possible() && (proposal.delta >= 0 || self.decrements);
        may_be.then_some(proposal).ok_or_else(|| {
            Error::malformed(alloc::format!(
                "no node makes such a proposal: {proposal:?}"
            ))
        })
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

    /// The change was applied; now the register is `known`. `round_trip` is how long the store takes to reply.
    pub(super) fn on_applied(
        &mut self,
        node: &Name,
        known: &SharedRegister,
        round_trip: Duration,
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
        if self.wins == 1 {
            for peer in &mut self.peers {
                peer.last_applied = known.view(peer.name.as_str()).last_applied;
            }
        } else if self.wins >= self.wins_to_backoff {
            self.back_off(known, round_trip, context.now);
        }
    }

    /// Leaves the register to others for a while, unless all of them have had a turn since this was last called.
    fn back_off(&mut self, known: &SharedRegister, round_trip: Duration, now: Duration) {
        let had_a_turn =
            |peer: &Peer| known.view(peer.name.as_str()).last_applied != peer.last_applied;
        self.wins = 0;
        if self.peers.iter().all(had_a_turn) {
            self.wins_to_backoff = self.wins_min();
        } else {
            self.wins_to_backoff = (2 * self.wins_to_backoff)
                .min(WINS_MAX)
                .max(self.wins_min());
            let backoff = round_trip.saturating_mul(BACKOFF_ROUND_TRIPS);
            self.backoff_until = (backoff >= BACKOFF_MIN).then(|| now.saturating_add(backoff));
        }
    }

    /// The change was lost: another node came first, and now the register is `known`. If that node can be this node's
    /// forwarder, it is the peers' too.
    pub(super) fn on_lost(&mut self, known: &SharedRegister, context: &mut Context<'_>) {
        self.wins = 0;
        self.wins_to_backoff = self.wins_min();
        self.choose(known.writer(), context.now);
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

    /// Whether this node leaves the register to others.
    pub(super) fn backs_off(&self, now: Duration) -> bool {
        self.backoff_until.is_some_and(|until| now < until)
    }

    /// When [`wake`](Self::wake) is wanted; `has_work` if the node has reason to change the register.
    pub(super) fn deadline(&self, has_work: bool) -> Option<Duration> {
        let backoff = self.backoff_until.filter(|_| has_work);
        let sent = self.sent.as_ref().map(|sent| sent.deadline);
        backoff.into_iter().chain(sent).min()
    }

    /// Ends what has taken long enough. Whether that is the wait for a forwarder.
    pub(super) fn wake(&mut self, now: Duration) -> bool {
        self.backoff_until.take_if(|until| *until <= now);
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
        let is_resolved = |proposal: &mut Proposal| proposal.resolve(view) != Resolution::Open;
        self.proposal.take_if(is_resolved)
    }
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

    const ROUND_TRIP: Duration = Duration::from_millis(10);

    /// What a node of three knows after winning a hundred times in a row.
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
            Winner {
                forwarding: Forwarding::new(&Options::default(), &peers),
                node: "n0".into(),
                register: SharedRegister::default(),
                outbox: Outbox::of_n0(),
                now: Duration::ZERO,
            }
        }

        /// A change is applied, with a proposal of each of these nodes. Whether the node backs off then.
        fn win(&mut self, nodes: &[&str]) -> bool {
            self.forwarding.on_change(true);
            self.now += ROUND_TRIP;
            self.register.advance(&self.node);
            for node in nodes {
                let proposal = Proposal {
                    previous: self.register.view(node).last_applied,
                    id: self.now.as_millis() as i64,
                    delta: 1,
                };
                self.register.apply(&(*node).into(), &proposal);
            }
            let mut context = Context {
                now: self.now,
                outbox: &mut self.outbox,
            };
            self.forwarding
                .on_applied(&self.node, &self.register, ROUND_TRIP, &mut context);
            let backs_off = self.forwarding.backs_off(self.now);
            self.forwarding.wake(Duration::MAX);
            backs_off
        }

        /// Another node comes first.
        fn lose(&mut self) {
            let mut context = Context {
                now: self.now,
                outbox: &mut self.outbox,
            };
            self.forwarding.on_lost(&self.register, &mut context);
        }
    }

    #[test]
    fn a_node_that_is_alone_at_work_backs_off_less_and_less() {
        let mut winner = Winner::new();
        let backoffs: Vec<u32> = (1..=100).filter(|_| winner.win(&[])).collect();
        assert_eq!(backoffs, [4, 12, 28, 60]);
    }

    #[test]
    fn a_node_that_keeps_another_out_backs_off_soon_again_after_that_has_come_in() {
        let mut winner = Winner::new();
        let mut backoffs = Vec::new();
        for win in 1..=30 {
            backoffs.extend(winner.win(&["n1"]).then_some(win));
            if win % 10 == 0 {
                winner.lose();
            }
        }
        assert_eq!(backoffs, [4, 14, 24]);
    }

    #[test]
    fn a_node_that_applies_proposals_of_all_others_never_backs_off() {
        let mut winner = Winner::new();
        let nodes = |win| if win % 2 == 0 { ["n1"] } else { ["n2"] };
        assert!(!(1..=100).any(|win| winner.win(&nodes(win))));
    }

    #[test]
    fn a_clock_that_jumps_as_far_as_it_can_is_survived() {
        let mut winner = Winner::new();
        winner.now = Duration::MAX - Duration::from_millis(40);
        for _ in 0..4 {
            winner.win(&[]);
        }
        assert_eq!(winner.now, Duration::MAX);
    }
}
