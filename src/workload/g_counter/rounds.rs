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

use alloc::{borrow::Cow, string::String, vec::Vec};
use core::time::Duration;

use super::answers::{Answers, Rider, Riders, Want, expired};
use super::peers::Peers;
use super::tally::{Step, Tally};
use super::turns::Turns;
use super::{Fields, Level, Options, others};
use crate::kv::{Answer, Patience, Register, Service};
use crate::node::{Outbox, Pending, Random};
use crate::protocol::{Error, ErrorCode, Message, Name};

/// What makes a level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Whether all nodes change one register, or each its own.
    pub(super) is_shared: bool,
    /// Whether a read rides on a change of the register. Then it looks up the registers of others, if they have their
    /// own. If not, it just looks up the one that is shared.
    pub(super) reads_change: bool,
}

impl Plan {
    /// Whether nodes see to it that none is kept out of the register: see `peers` and `turns`. A node may only let others
    /// make its steps if its reads are never answered from the store's own word: its next life knows no more than that.
    fn is_fair(self) -> bool {
        self.is_shared && self.reads_change
    }
}

#[derive(Debug)]
struct Round {
    state: State,
    riders: Riders,
    /// When the store was last asked.
    asked_at: Duration,
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
pub(super) struct Rounds {
    plan: Plan,
    options: Options,
    node: Name,
    /// The key of the register that this node changes.
    key: String,
    /// The keys that reads look up.
    keys_to_look_up: Vec<String>,
    service: Service,
    patience: Patience,
    last_round_id: i64,
    rounds: Pending<Round>,
    /// The round that changes the register.
    changing: Option<usize>,
    is_looking: bool,
    /// Operations that wait for the next change, oldest first.
    to_change: Riders,
    /// Reads that wait for the next look, oldest first.
    to_look: Riders,
    answers: Answers,
    peers: Peers,
    turns: Turns,
    /// The newest state of the register that this node knows, whoever told it, once it knows one.
    known: Tally,
    is_known: bool,
    /// The newest states that are known of the registers that others change, by their keys' places.
    others: Vec<Tally>,
    /// What the cas under way replaces, and what it installs.
    from: Tally,
    wanted: Tally,
    /// Where a state that was read is decoded.
    seen: Tally,
    /// For each key to look up, the read that has not been answered yet.
    looked_for: Vec<Option<i64>>,
    /// Memory of ended rounds, for the next ones.
    spare: Vec<Riders>,
}

impl Rounds {
    pub(super) fn new(plan: Plan, options: Options, seed: u64) -> Self {
        let mut random = Random::new(seed);
        Rounds {
            plan,
            node: Name::default(),
            key: String::new(),
            keys_to_look_up: Vec::new(),
            service: Service::new(&options.service),
            rounds: Pending::new(&mut random),
            last_round_id: random.sequence_start(53) as i64,
            turns: Turns::default(),
            patience: Patience::new(options.rpc_timeout, random).within(options.op_timeout),
            answers: Answers::new(options.pending_max),
            options,
            changing: None,
            peers: Peers::default(),
            is_looking: false,
            to_change: Riders::new(),
            to_look: Riders::new(),
            known: Tally::default(),
            is_known: false,
            others: Vec::new(),
            from: Tally::default(),
            wanted: Tally::default(),
            seen: Tally::default(),
            looked_for: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Starts the rounds that have something to do and are not under way.
    fn advance(&mut self, now: Duration, outbox: &mut Outbox) {
        if self.waits_for_turn() && self.turns.rest_until() <= now {
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

    /// Whether there is something to change the register for, and no round does.
    fn waits_for_turn(&self) -> bool {
        self.changing.is_none() && (self.peers.has_guests() || !self.to_change.is_empty())
    }

    /// The counter's value, by all that is known.
    fn value(&self) -> i128 {
        let others = self.others.iter().map(|other| i128::from(other.total()));
        i128::from(self.known.total()) + others.sum::<i128>()
    }

    /// Decodes a register into `seen`. The answer is whether it is one that a counter of this level wrote.
    fn decode(&mut self, json: &str) -> bool {
        self.seen.decode(json).is_ok() && self.seen.is_shared() == self.plan.is_shared
    }

    fn start_round(&mut self) -> usize {
        self.rounds.insert(Round {
            state: State::Boarding,
            asked_at: Duration::ZERO,
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

impl Level for Rounds {
    fn init(&mut self, node_id: &str, node_ids: &[Cow<'_, str>]) {
        let counter = self.options.name();
        let others = others(node_id, node_ids);
        let key_of = |node: &str| alloc::format!("{counter}/{node}");
        if self.plan.is_shared {
            self.key = counter.into();
        } else {
            self.key = key_of(node_id);
            self.keys_to_look_up = others.iter().map(|other| key_of(other.as_str())).collect();
            self.others.resize_with(others.len(), Tally::default);
        }
        if !self.plan.reads_change {
            self.keys_to_look_up.push(self.key.clone());
        }
        if self.plan.is_fair() {
            self.turns.init(others.len());
            self.peers.init(others);
        }
        self.node = node_id.into();
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
            Want::Read if !self.plan.reads_change => self.to_look.push(rider),
            _ => self.to_change.push(rider),
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
        if let State::Casing { message_id } | State::Reading { message_id } = round.state
            && message_id == asked
        {
            self.turns.answered(now.saturating_sub(round.asked_at));
        }
        match (&round.state, answer) {
            (State::Casing { message_id }, answer) if *message_id == asked => match answer {
                Answer::Swapped => self.swapped(slot, now, outbox),
                Answer::Mismatch | Answer::Missing => {
                    round.is_refused = true;
                    self.turns.lost();
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
        let rest_until = self.waits_for_turn().then(|| self.turns.rest_until());
        riding
            .chain(self.to_change.first())
            .chain(self.to_look.first())
            .map(|rider| rider.deadline)
            .chain(self.rounds.deadline())
            .chain(rest_until)
            .min()
    }

    fn wake(&mut self, now: Duration, outbox: &mut Outbox) {
        for rider in expired(&mut self.to_change, now) {
            self.answers.error(
                &rider,
                &Error::new(ErrorCode::TEMPORARILY_UNAVAILABLE, LATE),
                outbox,
            );
        }
        for rider in expired(&mut self.to_look, now) {
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
