//! What the levels over a store share: rounds.
//!
//! A *round* is one combined operation and lives in the slab of [`Pending`]; the operations of clients that it carries
//! are its *riders*. A round that changes the register goes
//!
//! ```text
//! Reading ──▶ Casing ──▶ Done          the common way is Casing ──▶ Done, with the state that is known
//!  ▲ ▲ │         │
//!  │ └─┼─────────┘ refused, or no answer: reading tells what became of it
//!  │   ▼
//!  └─ HandedOver ──▶ Done              where nodes fight over one register: see `peers`
//! ```
//!
//! and a round that only looks keys up is `Looking` until every key has been read. At most one round changes and at
//! most one looks up; what arrives meanwhile waits for the next, so that nobody rides on a message that was sent
//! before it arrived.
//!
//! Riders board when their round is first sent on its way, and none do after that: a copy that carried more of them
//! beside a late first copy would count them twice. What they add up to, the [`Step`], stays as it is until the
//! register shows that it was made or never will be ([`Seen`]). Then its riders are answered, or board again.

mod change;
mod look;

use alloc::{borrow::Cow, collections::VecDeque, string::String, vec::Vec};
use core::{fmt, time::Duration};

use smallvec::SmallVec;

use super::answers::{Answers, Rider, Want, pop_expired};
use super::peers::Peers;
use super::shared::Step;
use super::{Fields, Level, Options};
use crate::kv::{Answer, Patience, Register, Seen, Service};
use crate::node::{Outbox, Pending, Random};
use crate::protocol::{Error, ErrorCode, Message, Name};

/// What makes a level: which register is changed, what has to be looked up for a read, and what both add up to.
pub(super) trait Guarantee: Default + fmt::Debug {
    /// The register that this node changes.
    type Register: Register + fmt::Debug;

    /// Whether all nodes change the same register.
    const IS_SHARED: bool;

    /// Whether a node may let others make its steps. Only if its reads are never answered from the store's own word: a
    /// node's next life knows no more than that.
    const HANDS_OVER: bool;

    /// Whether reads ride on a change of the register; if not, they only look up.
    const READS_CHANGE: bool;

    /// `counter` is what every key begins with.
    fn init(&mut self, counter: &str, node_id: &str, node_ids: &[Cow<'_, str>]);

    /// The key of the register.
    fn key(&self) -> &str;

    /// Whether the counter can grow by `delta` without leaving the range of its numbers.
    fn fits(&self, known: &Self::Register, delta: i64) -> bool;

    /// The id of this node's last round in the register, 0 if there is none.
    fn last_round(&self, _known: &Self::Register) -> i64 {
        0
    }

    /// The same for any node.
    fn last_round_of(&self, _known: &Self::Register, _node: &str) -> i64 {
        0
    }

    /// Who wrote this state.
    fn author<'a>(&self, _known: &'a Self::Register) -> &'a str {
        ""
    }

    /// Whether no other node's rounds led from one state to the other.
    fn is_alone(&self, _before: &Self::Register, _after: &Self::Register) -> bool {
        true
    }

    /// Makes `wanted`, which equals some state, the one after it, with this node's step if it has one.
    fn change(&self, wanted: &mut Self::Register, step: Option<&Step>);

    /// Takes another node's step along.
    fn carry(&self, _wanted: &mut Self::Register, _node: &Name, _step: &Step) {}

    /// What became of a step, by the newest state that is known; the last cas that made it was from the first to the
    /// second of `cas`.
    fn judge(
        &self,
        known: &Self::Register,
        step: &Step,
        cas: (&Self::Register, &Self::Register),
    ) -> Seen;

    /// The keys that a read looks up.
    fn keys_to_look_up(&self) -> &[String];

    /// Takes in what stands under the key with this index, if it is newer than what is known.
    ///
    /// # Errors
    ///
    /// When it is nothing that a counter wrote.
    fn learn(
        &mut self,
        index: usize,
        json: &str,
        known: &mut Self::Register,
    ) -> Result<(), serde_json::Error>;

    /// The counter's value, by all that is known.
    fn value(&self, known: &Self::Register) -> i128;
}

type Riders = SmallVec<[Rider; 4]>;

#[derive(Debug)]
struct Round {
    state: State,
    riders: Riders,
    /// What the riders add up to, once they are on board. It may be on its way, so it stays as it is.
    step: Option<Step>,
    was_handed_over: bool,
    /// How often an answer has been missed.
    attempts: u32,
    /// The cas was refused since it was last sent, or since the last pause.
    is_refused: bool,
}

#[derive(Debug)]
enum State {
    /// Nothing has been sent yet.
    Boarding,
    /// The register is being read, to learn where it stands and whether the cas, if there is one, was applied.
    Reading { message_id: i64 },
    /// The cas is on its way.
    Casing { message_id: i64 },
    /// A carrier has been asked to take the step along.
    HandedOver { message_id: i64 },
    /// Keys are being read side by side for riders that want the counter's value.
    Looking,
}

/// The rounds of one node.
#[derive(Debug)]
pub(super) struct Rounds<G: Guarantee> {
    guarantee: G,
    options: Options,
    service: Service,
    patience: Patience,
    last_round_id: i64,
    rounds: Pending<Round>,
    /// The round that changes the register.
    changing: Option<usize>,
    is_looking: bool,
    /// Operations that wait for the next change, oldest first.
    to_change: VecDeque<Rider>,
    /// Reads that wait for the next look, oldest first.
    to_look: VecDeque<Rider>,
    answers: Answers,
    peers: Peers,
    /// The newest state of the register that this node knows, whoever told it, once it knows one.
    known: G::Register,
    is_known: bool,
    /// What the cas under way replaces, and what it installs.
    from: G::Register,
    wanted: G::Register,
    /// Where a state that was read is decoded.
    seen: G::Register,
    /// For each key to look up, the read that has not been answered yet.
    looked_for: Vec<Option<i64>>,
    /// Memory of ended rounds, for the next ones.
    spare: Vec<Riders>,
}

impl<G: Guarantee> Rounds<G> {
    pub(super) fn new(options: Options, seed: u64) -> Self {
        let mut random = Random::new(seed);
        Rounds {
            guarantee: G::default(),
            service: Service::new(&options.service),
            rounds: Pending::new(&mut random),
            last_round_id: random.sequence_start(53) as i64,
            patience: Patience::new(options.rpc_timeout, random).within(options.op_timeout),
            answers: Answers::new(options.pending_max),
            options,
            changing: None,
            peers: Peers::default(),
            is_looking: false,
            to_change: VecDeque::new(),
            to_look: VecDeque::new(),
            known: G::Register::default(),
            is_known: false,
            from: G::Register::default(),
            wanted: G::Register::default(),
            seen: G::Register::default(),
            looked_for: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Starts the rounds that have something to do and are not under way.
    fn advance(&mut self, now: Duration, outbox: &mut Outbox) {
        let is_wanted = self.peers.has_guests() || !self.to_change.is_empty();
        if self.changing.is_none() && is_wanted {
            let slot = self.start_round();
            self.changing = Some(slot);
            if self.is_known {
                self.go_on(slot, now, outbox);
            } else {
                self.start_reading(slot);
                self.read(slot, now, outbox);
            }
        }
        if !self.is_looking && !self.to_look.is_empty() {
            let slot = self.start_round();
            self.is_looking = true;
            self.start_looking(slot);
            self.look(slot, now, outbox);
        }
    }

    fn start_round(&mut self) -> usize {
        self.rounds.insert(Round {
            state: State::Boarding,
            step: None,
            was_handed_over: false,
            riders: self.spare.pop().unwrap_or_default(),
            attempts: 0,
            is_refused: false,
        })
    }

    /// Ends the rounds that nobody waits for, so that those who come later need not wait for them. A cas that has been
    /// sent must be settled first.
    fn end_idle_rounds(&mut self) {
        let nobody_changes = self.to_change.is_empty() && !self.peers.has_guests();
        let is_idle = |round: &Round| match round.state {
            State::Looking => round.riders.iter().all(|rider| rider.is_answered),
            State::Reading { .. } => round.step.is_none() && nobody_changes,
            State::Boarding | State::Casing { .. } | State::HandedOver { .. } => false,
        };
        let find_idle = |rounds: &mut Pending<Round>| {
            let mut rounds = rounds.iter_mut();
            rounds.find_map(|(slot, round)| is_idle(round).then_some(slot))
        };
        while let Some(slot) = find_idle(&mut self.rounds) {
            match self.rounds.get(slot).state {
                State::Looking => self.is_looking = false,
                _ => self.changing = None,
            }
            self.end_round(slot, |_, _| {});
        }
    }

    fn end_round(&mut self, slot: usize, mut each: impl FnMut(&mut Self, Rider)) {
        let mut riders = self.rounds.remove(slot).riders;
        for rider in riders.drain(..) {
            if !rider.is_answered {
                each(self, rider);
            }
        }
        self.spare.push(riders);
    }
}

impl<G: Guarantee> Level for Rounds<G> {
    fn init(&mut self, node_id: &str, node_ids: &[Cow<'_, str>]) {
        let counter = self.options.name();
        self.guarantee.init(counter, node_id, node_ids);
        if G::HANDS_OVER {
            self.peers.init(node_id, node_ids);
        }
    }

    fn accept(
        &mut self,
        client: &str,
        msg_id: Option<i64>,
        want: Want,
        now: Duration,
        outbox: &mut Outbox,
    ) -> Result<(), Error> {
        let deadline = now.saturating_add(self.options.op_timeout);
        let rider = self.answers.admit(client, msg_id, want, deadline)?;
        match want {
            Want::Read if !G::READS_CHANGE => self.to_look.push_back(rider),
            _ => self.to_change.push_back(rider),
        }
        self.advance(now, outbox);
        Ok(())
    }

    fn peer_request(
        &mut self,
        request: &Message<'_, Fields<'_>>,
        now: Duration,
        outbox: &mut Outbox,
    ) -> Result<(), Error> {
        match &*request.body.kind {
            "carry" => self.carry(request, now, outbox),
            kind => Err(Error::not_supported(kind)),
        }
    }

    fn reply(&mut self, reply: &Message<'_, Fields<'_>>, now: Duration, outbox: &mut Outbox) {
        let body = &reply.body;
        let Some(asked) = body.in_reply_to else {
            return;
        };
        if let Some(peer) = self.peers.index(&reply.src) {
            return self.told(peer, reply, now, outbox);
        }
        let Some(answer) = self.service.answer(reply, body.fields.value) else {
            return;
        };
        let Some((slot, round)) = self.rounds.find(asked) else {
            return;
        };
        match (&round.state, answer) {
            (State::Casing { message_id }, answer) if *message_id == asked => match answer {
                Answer::Swapped => self.swapped(slot, now, outbox),
                Answer::Mismatch | Answer::Missing => {
                    round.is_refused = true;
                    self.start_reading(slot);
                    self.read(slot, now, outbox);
                }
                Answer::Unclear(_) => {
                    self.start_reading(slot);
                    self.pause(slot, now);
                }
                Answer::Value(_) | Answer::Written => {}
            },
            (State::Reading { message_id }, answer) if *message_id == asked => match answer {
                Answer::Value(value) => self.seen(slot, Some(value.get()), now, outbox),
                Answer::Missing => self.seen(slot, None, now, outbox),
                Answer::Unclear(_) => self.pause(slot, now),
                Answer::Swapped | Answer::Written | Answer::Mismatch => {}
            },
            (State::Looking, answer) => {
                let asked = Some(asked);
                let Some(index) = self.looked_for.iter().position(|it| *it == asked) else {
                    return;
                };
                match answer {
                    Answer::Value(value) => self.looked_up(slot, index, Some(value.get()), outbox),
                    Answer::Missing => self.looked_up(slot, index, None, outbox),
                    Answer::Unclear(_) => self.pause(slot, now),
                    Answer::Swapped | Answer::Written | Answer::Mismatch => {}
                }
            }
            _ => {}
        }
        self.advance(now, outbox);
    }

    fn deadline(&self) -> Option<Duration> {
        let riding = self.rounds.iter().filter_map(|round| {
            let mut riders = round.riders.iter();
            riders.find(|rider| !rider.is_answered)
        });
        riding
            .chain(self.to_change.front())
            .chain(self.to_look.front())
            .map(|rider| rider.deadline)
            .chain(self.rounds.deadline())
            .min()
    }

    fn wake(&mut self, now: Duration, outbox: &mut Outbox) {
        while let Some(rider) = pop_expired(&mut self.to_change, now) {
            self.answers.error(
                &rider,
                &Error::new(ErrorCode::TEMPORARILY_UNAVAILABLE, LATE),
                outbox,
            );
        }
        while let Some(rider) = pop_expired(&mut self.to_look, now) {
            self.answers.give_up(&rider, LATE, outbox);
        }
        for (_, round) in self.rounds.iter_mut() {
            for rider in &mut round.riders {
                if !rider.is_answered && rider.deadline <= now {
                    rider.is_answered = true;
                    self.answers.give_up(rider, LATE, outbox);
                }
            }
        }
        self.end_idle_rounds();
        while let Some(slot) = self.rounds.expired(now) {
            let round = self.rounds.get(slot);
            round.attempts += 1;
            match round.state {
                State::Boarding => unreachable!("a round that is Boarding has no deadline"),
                State::Casing { .. } => {
                    self.start_reading(slot);
                    self.read(slot, now, outbox);
                }
                State::HandedOver { .. } => self.leave_carrier(slot, now, outbox),
                State::Reading { .. } => self.read(slot, now, outbox),
                State::Looking => self.look(slot, now, outbox),
            }
        }
        self.advance(now, outbox);
    }

    fn finish(&mut self, outbox: &mut Outbox) {
        for rider in self.to_change.drain(..).chain(self.to_look.drain(..)) {
            self.answers.error(
                &rider,
                &Error::new(ErrorCode::TEMPORARILY_UNAVAILABLE, ENDED),
                outbox,
            );
        }
        for (_, round) in self.rounds.iter_mut() {
            for rider in round.riders.drain(..) {
                if !rider.is_answered {
                    self.answers.give_up(&rider, ENDED, outbox);
                }
            }
        }
    }
}

const LATE: &str = "no answer from the store in time";
const ENDED: &str = "the node's input has ended, so no answer from the store can come";

fn foreign_value(key: &str, service: &Service) -> Error {
    let name = service.name();
    Error::new(
        ErrorCode::TEMPORARILY_UNAVAILABLE,
        alloc::format!(
            "key {key:?} of {name} holds something that is no counter's; who else writes there?"
        ),
    )
}
