//! What the levels over a store share: rounds.
//!
//! A *round* is one combined operation and lives in the slab of [`Pending`]; the operations of clients that it carries
//! are its *riders*. A round that changes the register goes
//!
//! ```text
//! Reading ──▶ Casing ──▶ Done          the common way is Casing ──▶ Done, with the state that is known
//!    ▲           │
//!    └───────────┘ refused, or no answer: the cas is unsettled, and reading settles it
//! ```
//!
//! and a round that only looks keys up is `Looking` until every key has been read. At most one round changes and at
//! most one looks up; what arrives meanwhile waits for the next, so that nobody rides on a message that was sent
//! before it arrived.
//!
//! Riders board at the moment a cas is sent, never while it is unsettled: a copy that carried more of them beside a
//! late first copy would count them twice. An unsettled cas is repeated unchanged, under the same message id, until
//! it is applied or certain never to be ([`Seen`]). Then its riders are answered, or board again.

use alloc::{borrow::Cow, collections::VecDeque, string::String, vec::Vec};
use core::{fmt, mem, time::Duration};

use smallvec::SmallVec;

use super::answers::{Answers, Rider, Want, out_of_range, pop_expired};
use super::{Fields, Level, Options};
use crate::kv::{Answer, Patience, Register, Seen, Service};
use crate::node::{Outbox, Pending, Random};
use crate::protocol::{Error, ErrorCode, Message};

/// What makes a level: which register is changed, what has to be looked up for a read, and what both add up to.
pub(super) trait Guarantee: Default + fmt::Debug {
    /// The register that this node changes.
    type Register: Register + fmt::Debug;

    /// Whether reads ride on a change of the register; if not, they only look up.
    const READS_CHANGE: bool;

    /// `counter` is what every key begins with.
    fn init(&mut self, counter: &str, node_id: &str, node_ids: &[Cow<'_, str>]);

    /// The key of the register.
    fn key(&self) -> &str;

    /// Whether the counter can grow by `delta` without leaving the range of its numbers.
    fn fits(&self, known: &Self::Register, delta: i64) -> bool;

    /// Makes `wanted`, which equals the known state, the one after it: `delta` more, by the round with this id.
    fn change(&self, wanted: &mut Self::Register, delta: i64, round_id: i64);

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
    /// The message id that all copies of this round's cas bear, once one is sent.
    cas: Option<i64>,
    riders: Riders,
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
    Casing,
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
    is_changing: bool,
    is_looking: bool,
    /// Operations that wait for the next change, oldest first.
    to_change: VecDeque<Rider>,
    /// Reads that wait for the next look, oldest first.
    to_look: VecDeque<Rider>,
    answers: Answers,
    /// The newest state of the register that this node knows, once it has read one.
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
            is_changing: false,
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
        if !self.is_changing && !self.to_change.is_empty() {
            let slot = self.start_round();
            self.is_changing = true;
            if self.is_known {
                self.change(slot, now, outbox);
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
            cas: None,
            riders: self.spare.pop().unwrap_or_default(),
            attempts: 0,
            is_refused: false,
        })
    }

    /// Ends the rounds that nobody waits for, so that those who come later need not wait for them. A cas that has been
    /// sent must be settled first.
    fn end_idle_rounds(&mut self) {
        let nobody_changes = self.to_change.is_empty();
        let is_idle = |round: &Round| match round.state {
            State::Looking => round.riders.iter().all(|rider| rider.is_answered),
            State::Reading { .. } => round.cas.is_none() && nobody_changes,
            State::Boarding | State::Casing => false,
        };
        let find_idle = |rounds: &mut Pending<Round>| {
            let mut rounds = rounds.iter_mut();
            rounds.find_map(|(slot, round)| is_idle(round).then_some(slot))
        };
        while let Some(slot) = find_idle(&mut self.rounds) {
            match self.rounds.get(slot).state {
                State::Looking => self.is_looking = false,
                _ => self.is_changing = false,
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

    /// Takes riders on board and sends the cas that carries them.
    fn change(&mut self, slot: usize, now: Duration, outbox: &mut Outbox) {
        let mut delta = 0;
        let riders = &mut self.rounds.get(slot).riders;
        while riders.len() < self.options.batch_max
            && let Some(rider) = self.to_change.pop_front()
        {
            if let Want::Add(more) = rider.want {
                let total = i128::from(delta) + i128::from(more);
                match i64::try_from(total) {
                    Ok(total) if self.guarantee.fits(&self.known, total) => delta = total,
                    _ => {
                        self.answers.error(&rider, &out_of_range(), outbox);
                        continue;
                    }
                }
            }
            riders.push(rider);
        }
        if riders.is_empty() {
            self.is_changing = false;
            return self.end_round(slot, |_, _| {});
        }
        self.last_round_id += 1;
        self.from.clone_from(&self.known);
        self.wanted.clone_from(&self.known);
        self.guarantee
            .change(&mut self.wanted, delta, self.last_round_id);
        let message_id = self.rounds.message_id(slot);
        self.rounds.get(slot).cas = Some(message_id);
        self.cas(slot, message_id, now, outbox);
    }

    /// Sends the cas, for the first time or again: every copy is the same.
    fn cas(&mut self, slot: usize, message_id: i64, now: Duration, outbox: &mut Outbox) {
        let round = self.rounds.get(slot);
        round.state = State::Casing;
        let deadline = now.saturating_add(self.patience.wait(round.attempts));
        self.rounds.set_deadline(slot, deadline);
        let swap = (&self.from, &self.wanted);
        let create = self.from.version() == 0;
        self.service
            .cas(self.guarantee.key(), swap, create, message_id, outbox);
    }

    fn start_reading(&mut self, slot: usize) {
        let message_id = self.rounds.message_id(slot);
        self.rounds.get(slot).state = State::Reading { message_id };
    }

    /// Reads the register; all copies of the question are the same, so that a late answer to the first still serves.
    fn read(&mut self, slot: usize, now: Duration, outbox: &mut Outbox) {
        let round = self.rounds.get(slot);
        let State::Reading { message_id } = round.state else {
            unreachable!("only a round that is Reading reads");
        };
        let deadline = now.saturating_add(self.patience.wait(round.attempts));
        self.rounds.set_deadline(slot, deadline);
        self.service.read(self.guarantee.key(), message_id, outbox);
    }

    /// The service has refused; it is asked again, but not at once.
    fn pause(&mut self, slot: usize, now: Duration) {
        let pause = self.patience.pause(self.rounds.get(slot).attempts);
        self.rounds.set_deadline(slot, now.saturating_add(pause));
    }

    /// The register has been read; no JSON if the key is not there.
    fn seen(&mut self, slot: usize, json: Option<&str>, now: Duration, outbox: &mut Outbox) {
        match json.map(|json| self.seen.decode(json)) {
            Some(Ok(())) => {}
            Some(Err(_)) => return self.fail_change(slot, outbox),
            None => self.seen = G::Register::default(),
        }
        let cas = self.rounds.get(slot).cas;
        let outcome = match cas {
            Some(_) => Seen::judge(&self.seen, &self.from, &self.wanted),
            None => Seen::Lost,
        };
        // A store may answer from the past: only what is newer counts.
        if !self.is_known || self.seen.version() > self.known.version() {
            mem::swap(&mut self.known, &mut self.seen);
            self.is_known = true;
        }
        match (outcome, cas) {
            (Seen::Applied, _) => self.applied(slot, outbox),
            // Refused, though nothing stands in its way: the store has gone back in time, or forgotten what it knew.
            (Seen::Open, Some(_)) if mem::take(&mut self.rounds.get(slot).is_refused) => {
                self.pause(slot, now);
            }
            (Seen::Open, Some(message_id)) => self.cas(slot, message_id, now, outbox),
            (Seen::Lost | Seen::Open, _) => {
                // They board the next change, in their old order and before what came later.
                let waiting = self.to_change.len();
                self.end_round(slot, |this, rider| this.to_change.push_back(rider));
                self.to_change.rotate_left(waiting);
                self.is_changing = false;
            }
        }
        self.advance(now, outbox);
    }

    /// The cas of this round was made: its riders are done, or look up what else a read needs.
    fn applied(&mut self, slot: usize, outbox: &mut Outbox) {
        if self.wanted.version() > self.known.version() {
            self.known.clone_from(&self.wanted);
        }
        self.is_changing = false;
        let value = self.guarantee.value(&self.wanted);
        let is_enough = self.guarantee.keys_to_look_up().is_empty();
        self.end_round(slot, |this, rider| match rider.want {
            Want::Read if !is_enough => this.to_look.push_back(rider),
            _ => this.answers.ok(&rider, value, outbox),
        });
    }

    /// The register holds what no counter wrote. There is nothing to do but to say so, and to read again next time.
    fn fail_change(&mut self, slot: usize, outbox: &mut Outbox) {
        let error = foreign_value(self.guarantee.key(), &self.service);
        self.end_round(slot, |this, rider| {
            this.answers.give_up(&rider, &error.text, outbox);
        });
        for rider in self.to_change.drain(..) {
            self.answers.error(&rider, &error, outbox);
        }
        self.is_changing = false;
        self.is_known = false;
    }

    fn start_looking(&mut self, slot: usize) {
        let boarding = self.to_look.len().min(self.options.batch_max);
        let round = self.rounds.get(slot);
        round.state = State::Looking;
        round.riders.extend(self.to_look.drain(..boarding));
        self.looked_for.clear();
        for _ in self.guarantee.keys_to_look_up() {
            self.looked_for.push(Some(self.rounds.message_id(slot)));
        }
    }

    /// Asks for what has not been read yet.
    fn look(&mut self, slot: usize, now: Duration, outbox: &mut Outbox) {
        let deadline = now.saturating_add(self.patience.wait(self.rounds.get(slot).attempts));
        self.rounds.set_deadline(slot, deadline);
        let keys = self.guarantee.keys_to_look_up();
        for (key, message_id) in keys.iter().zip(&self.looked_for) {
            if let Some(message_id) = *message_id {
                self.service.read(key, message_id, outbox);
            }
        }
    }

    /// One of the keys has been read; no JSON if it is not there.
    fn looked_up(&mut self, slot: usize, index: usize, json: Option<&str>, outbox: &mut Outbox) {
        let learnt = match json {
            Some(json) => self.guarantee.learn(index, json, &mut self.known),
            None => Ok(()),
        };
        if learnt.is_err() {
            let error = foreign_value(&self.guarantee.keys_to_look_up()[index], &self.service);
            self.is_looking = false;
            return self.end_round(slot, |this, rider| {
                this.answers.error(&rider, &error, outbox)
            });
        }
        self.looked_for[index] = None;
        if self.looked_for.iter().all(Option::is_none) {
            self.is_looking = false;
            let value = self.guarantee.value(&self.known);
            self.end_round(slot, |this, rider| this.answers.ok(&rider, value, outbox));
        }
    }
}

impl<G: Guarantee> Level for Rounds<G> {
    fn init(&mut self, node_id: &str, node_ids: &[Cow<'_, str>]) {
        let counter = self.options.name();
        self.guarantee.init(counter, node_id, node_ids);
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

    fn reply(&mut self, reply: &Message<'_, Fields<'_>>, now: Duration, outbox: &mut Outbox) {
        let body = &reply.body;
        let (Some(message_id), Some(answer)) = (
            body.in_reply_to,
            self.service.answer(reply, body.fields.value),
        ) else {
            return;
        };
        let Some((slot, round)) = self.rounds.find(message_id) else {
            return;
        };
        let is_cas = round.cas == Some(message_id);
        match (&round.state, answer) {
            // Any copy's success is the success of all, whenever it comes.
            (_, Answer::Swapped) if is_cas => self.applied(slot, outbox),
            (State::Casing, Answer::Mismatch | Answer::Missing) if is_cas => {
                round.is_refused = true;
                self.start_reading(slot);
                self.read(slot, now, outbox);
            }
            (State::Casing, Answer::Unclear(_)) if is_cas => {
                self.start_reading(slot);
                self.pause(slot, now);
            }
            (State::Reading { message_id: asked }, answer) if *asked == message_id => {
                match answer {
                    Answer::Value(value) => self.seen(slot, Some(value.get()), now, outbox),
                    Answer::Missing => self.seen(slot, None, now, outbox),
                    Answer::Unclear(_) => self.pause(slot, now),
                    Answer::Swapped | Answer::Written | Answer::Mismatch => {}
                }
            }
            (State::Looking, answer) => {
                let asked = Some(message_id);
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
                State::Casing => {
                    self.start_reading(slot);
                    self.read(slot, now, outbox);
                }
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
