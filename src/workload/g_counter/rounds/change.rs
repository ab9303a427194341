//! The round that changes the register.

use core::{mem, time::Duration};

use super::{Rounds, State, foreign_value};
use crate::kv::{Register, Seen};
use crate::node::Outbox;
use crate::protocol::{Encode, Error, ErrorCode, Message};
use crate::workload::g_counter::Fields;
use crate::workload::g_counter::answers::{Want, out_of_range, take_batch};
use crate::workload::g_counter::peers::Guest;
use crate::workload::g_counter::tally::{Step, Tally};

/// A node goes on to hand over for so many times the patience with the store after it last saw a need for it.
const NEED_RPC_TIMEOUTS: u32 = 2;

/// For so many times the patience with the store, a carrier that was silent is left alone.
const SILENCE_RPC_TIMEOUTS: u32 = 5;

/// A carrier that has not answered after so many round trips to the store is silent, but not before a tenth of the
/// patience with the store: where those take next to no time, a carrier that is merely busy would seem so.
const CARRIER_ROUND_TRIPS: u32 = 8;

impl Rounds {
    /// Goes on with the change: takes riders on board if there are none yet, and sends their step on its way, by a
    /// carrier or by a cas from what is known.
    pub(super) fn go_on(&mut self, slot: usize, now: Duration, outbox: &mut Outbox) {
        self.from.clone_from(&self.known);
        self.board(slot, outbox);
        let carrier = self.peers.carrier(now);
        if carrier.is_some() {
            self.send_guests_on(outbox);
        }
        match (carrier, self.rounds.get(slot).step) {
            (Some(carrier), Some(step)) => self.hand_over(slot, carrier, step, now, outbox),
            (None, None) if !self.peers.has_guests() => self.end_change(slot),
            (None, _) => self.cas(slot, now, outbox),
            (Some(_), None) => self.end_change(slot),
        }
    }

    fn end_change(&mut self, slot: usize) {
        self.changing = None;
        self.end_round(slot, |_, _| {});
    }

    fn board(&mut self, slot: usize, outbox: &mut Outbox) {
        let (own, value) = (self.known.total(), self.value());
        let fits = |delta: i64| {
            own.checked_add(delta).is_some() && i64::try_from(value + i128::from(delta)).is_ok()
        };
        let round = self.rounds.get(slot);
        if round.step.is_some() {
            return;
        }
        let riders = &mut round.riders;
        take_batch(&mut self.to_change, self.options.batch_max, riders);
        let mut delta = 0;
        riders.retain(|rider| {
            let Want::Add(more) = rider.want else {
                return true;
            };
            match i64::checked_add(delta, more).filter(|&total| fits(total)) {
                Some(total) => delta = total,
                None => {
                    self.answers.error(rider, &out_of_range(), outbox);
                    return false;
                }
            }
            true
        });
        if !riders.is_empty() {
            self.last_round_id += 1;
            round.step = Some(Step {
                after: self.known.last_round(self.node.as_str()),
                round_id: self.last_round_id,
                delta,
            });
        }
    }

    /// Sends a cas from `from`.
    fn cas(&mut self, slot: usize, now: Duration, outbox: &mut Outbox) {
        let message_id = self.rounds.message_id(slot);
        let round = self.rounds.get(slot);
        round.state = State::Casing { message_id };
        round.asked_at = now;
        self.wanted.clone_from(&self.from);
        if self.plan.is_shared {
            self.wanted.sign(&self.node);
            if let Some(step) = &round.step {
                self.wanted.take(&self.node, step);
            }
            for (node, guest) in self.peers.guests() {
                self.wanted.take(node, &guest.step);
            }
        } else {
            self.wanted.add(round.step.map_or(0, |step| step.delta));
        }
        let deadline = now.saturating_add(self.patience.wait(round.attempts));
        self.rounds.set_deadline(slot, deadline);
        let swap = (&self.from, &self.wanted);
        let create = self.from.version() == 0;
        self.service
            .cas(&self.key, swap, create, message_id, outbox);
    }

    pub(super) fn hand_over(
        &mut self,
        slot: usize,
        carrier: usize,
        step: Step,
        now: Duration,
        outbox: &mut Outbox,
    ) {
        let message_id = self.rounds.message_id(slot);
        let round = self.rounds.get(slot);
        round.state = State::HandedOver { message_id };
        round.was_handed_over = true;
        let wait = self.patience.wait(0);
        let round_trip = self.turns.round_trip().unwrap_or(wait);
        let patience = round_trip
            .saturating_mul(CARRIER_ROUND_TRIPS)
            .max(wait / 10);
        let deadline = now.saturating_add(wait.min(patience));
        self.rounds.set_deadline(slot, deadline);
        outbox
            .send(self.peers.name(carrier), "carry")
            .field("step", [step.after, step.round_id, step.delta])
            .field("msg_id", message_id);
    }

    pub(super) fn start_reading(&mut self, slot: usize) {
        let message_id = self.rounds.message_id(slot);
        self.rounds.get(slot).state = State::Reading { message_id };
    }

    /// Reads the register; all copies of the question are the same, so that a late answer to the first still serves.
    pub(super) fn read(&mut self, slot: usize, now: Duration, outbox: &mut Outbox) {
        let round = self.rounds.get(slot);
        let State::Reading { message_id } = round.state else {
            unreachable!("only a round that is Reading reads");
        };
        round.asked_at = now;
        let deadline = now.saturating_add(self.patience.wait(round.attempts));
        self.rounds.set_deadline(slot, deadline);
        self.service.read(&self.key, message_id, outbox);
    }

    /// The service has refused; it is asked again, but not at once.
    pub(super) fn pause(&mut self, slot: usize, now: Duration) {
        let pause = self.patience.pause(self.rounds.get(slot).attempts);
        self.rounds.set_deadline(slot, now.saturating_add(pause));
    }

    /// The cas was made.
    pub(super) fn swapped(&mut self, slot: usize, now: Duration, outbox: &mut Outbox) {
        if self.wanted.version() <= self.known.version() {
            // No store that keeps its promises does that.
            self.start_reading(slot);
            return self.pause(slot, now);
        }
        if self.plan.is_fair() {
            let node = self.node.as_str();
            self.turns.won(node, &self.known, &self.wanted, now);
        }
        self.known.clone_from(&self.wanted);
        self.peers.release();
        let known = &self.known;
        self.peers.dismiss(
            |node, guest| known.last_round(node.as_str()) != guest.step.after,
            |node, guest| answer_guest(node.as_str(), guest, known, outbox),
        );
        self.settle(slot, now, outbox, |this, outbox| {
            this.go_on(slot, now, outbox);
        });
    }

    /// The register has been read; no JSON if the key is not there.
    pub(super) fn seen(
        &mut self,
        slot: usize,
        json: Option<&str>,
        now: Duration,
        outbox: &mut Outbox,
    ) {
        match json {
            Some(json) if self.decode(json) => {}
            Some(_) => return self.fail_change(slot, outbox),
            None => self.seen = Tally::default(),
        }
        let seen_version = self.seen.version();
        self.learn();
        let was_refused = mem::take(&mut self.rounds.get(slot).is_refused);
        if was_refused {
            let until = self.soon(now, NEED_RPC_TIMEOUTS);
            let author = self.known.author();
            self.peers.choose(author, now, until);
        }
        self.settle(slot, now, outbox, |this, outbox| {
            if !was_refused || this.peers.carrier(now).is_some() {
                return this.go_on(slot, now, outbox);
            }
            let from_version = this.from.version();
            let is_behind = seen_version < this.known.version();
            if this.plan.is_shared && is_behind && seen_version > 0 && seen_version != from_version
            {
                // The store's answers to this node lag behind what others have told it. A cas that must fail brings
                // them on.
                mem::swap(&mut this.from, &mut this.seen);
                this.cas(slot, now, outbox);
            } else if seen_version <= from_version {
                // Refused, though nothing stands in its way: the store has gone back in time, or forgotten what it knew.
                this.pause(slot, now);
            } else {
                this.go_on(slot, now, outbox);
            }
        });
    }

    /// Takes `seen` in if it is newer than what is known: a store may answer from the past.
    fn learn(&mut self) {
        if !self.is_known || self.seen.version() > self.known.version() {
            mem::swap(&mut self.known, &mut self.seen);
            self.is_known = true;
        }
    }

    fn soon(&self, now: Duration, rpc_timeouts: u32) -> Duration {
        let time = self.options.rpc_timeout.saturating_mul(rpc_timeouts);
        now.saturating_add(time)
    }

    /// Does what has to be done now that more is known of the register; `otherwise` if that says nothing of the round.
    fn settle(
        &mut self,
        slot: usize,
        now: Duration,
        outbox: &mut Outbox,
        otherwise: impl FnOnce(&mut Self, &mut Outbox),
    ) {
        let step = self.rounds.get(slot).step;
        let outcome = step.map(|step| match self.plan.is_shared {
            true => self.known.judge(self.node.as_str(), &step),
            false => Seen::judge(&self.known, &self.from, &self.wanted),
        });
        match outcome {
            Some(Seen::Applied) => self.applied(slot, now, outbox),
            Some(Seen::Lost) => {
                // They board again, in their old order and before what came later.
                let round = self.rounds.get(slot);
                round.step = None;
                round.riders.retain(|rider| !rider.is_answered);
                self.to_change.splice(..0, round.riders.drain(..));
                self.go_on(slot, now, outbox);
            }
            Some(Seen::Open) | None => otherwise(self, outbox),
        }
    }

    /// The step of this round was made: its riders are done, or look up what else a read needs.
    fn applied(&mut self, slot: usize, now: Duration, outbox: &mut Outbox) {
        if self.rounds.get(slot).was_handed_over {
            match self.known.others_since(&self.from, self.node.as_str()) == 0 {
                true => self.peers.release(),
                false => {
                    let until = self.soon(now, NEED_RPC_TIMEOUTS);
                    self.peers.is_needed(until);
                }
            }
        }
        self.changing = None;
        let value = self.value();
        let is_enough = self.keys_to_look_up.is_empty();
        self.end_round(slot, |this, rider| match rider.want {
            Want::Read if !is_enough => this.to_look.push(rider),
            _ => this.answers.ok(&rider, value, outbox),
        });
    }

    /// The register holds what no counter wrote. There is nothing to do but to say so, and to read again next time.
    fn fail_change(&mut self, slot: usize, outbox: &mut Outbox) {
        let error = foreign_value(&self.key, &self.service);
        self.end_round(slot, |this, rider| {
            this.answers.give_up(&rider, &error.text, outbox);
        });
        for rider in self.to_change.drain(..) {
            self.answers.error(&rider, &error, outbox);
        }
        self.peers.dismiss(|_, _| true, |_, _| {});
        self.changing = None;
        self.is_known = false;
    }

    fn send_guests_on(&mut self, outbox: &mut Outbox) {
        let known = &self.known;
        self.peers.dismiss(
            |_, _| true,
            |node, guest| answer_guest(node.as_str(), guest, known, outbox),
        );
    }

    /// Another node asks for its step to be carried.
    ///
    /// # Errors
    ///
    /// When it is no node of the cluster, or doesn't say what step.
    pub(super) fn carry(
        &mut self,
        request: &Message<'_, Fields<'_>>,
        now: Duration,
        outbox: &mut Outbox,
    ) -> Result<(), Error> {
        let (src, body) = (&*request.src, &request.body);
        let Some(peer) = self.peers.index(src) else {
            return Err(Error::not_supported(&body.kind));
        };
        let told = body.fields.step.ok_or_else(|| Error::missing("step"))?;
        let malformed = |text| Error::new(ErrorCode::MALFORMED_REQUEST, text);
        let (after, round_id, delta) = serde_json::from_str(told.get())
            .map_err(|error| malformed(alloc::format!("malformed step: {error}")))?;
        let step = Step {
            after,
            round_id,
            delta,
        };
        if !step.is_possible() || (delta < 0 && !self.options.decrements) {
            return Err(malformed(alloc::format!(
                "no node takes such a step: {step:?}"
            )));
        }
        let guest = Guest {
            step,
            msg_id: body.msg_id,
        };
        self.peers.heard(peer);
        let hands_over = self.changing.is_some_and(|slot| {
            let state = &self.rounds.get(slot).state;
            matches!(state, State::HandedOver { .. })
        });
        let node = self.peers.name(peer);
        let is_made = self.is_known && self.known.last_round(node) == step.round_id;
        let is_late_copy = self.peers.guests().any(|(name, other)| {
            let last = self.known.last_round(src);
            *name == *src && other.step.after == last && step.after != last
        });
        if hands_over || is_made || is_late_copy {
            answer_guest(src, guest, &self.known, outbox);
        } else {
            self.peers.invite(peer, guest);
            self.advance(now, outbox);
        }
        Ok(())
    }

    /// A peer has told what it knows of the register, or that it does not carry.
    pub(super) fn told(
        &mut self,
        peer: usize,
        reply: &Message<'_, Fields<'_>>,
        now: Duration,
        outbox: &mut Outbox,
    ) {
        self.peers.heard(peer);
        let body = &reply.body;
        let register = body.fields.value.filter(|_| body.kind == "carry_ok");
        if let Some(json) = register
            && self.decode(json.get())
        {
            self.learn();
        }
        let Some(slot) = self.changing else {
            return;
        };
        let is_answer = match self.rounds.get(slot).state {
            State::HandedOver { message_id } => body.in_reply_to == Some(message_id),
            _ => false,
        };
        self.settle(slot, now, outbox, |this, outbox| {
            if is_answer {
                let author = this.known.author();
                if this.peers.index(author) == Some(peer) {
                    this.peers.release();
                } else {
                    let until = this.soon(now, NEED_RPC_TIMEOUTS);
                    this.peers.choose(author, now, until);
                }
                this.go_on(slot, now, outbox);
            }
        });
        self.advance(now, outbox);
    }

    /// The carrier did not answer in time.
    pub(super) fn leave_carrier(&mut self, slot: usize, now: Duration, outbox: &mut Outbox) {
        let until = self.soon(now, SILENCE_RPC_TIMEOUTS);
        self.peers.leave_alone(until);
        self.start_reading(slot);
        self.read(slot, now, outbox);
    }
}

/// Answers with the register, which says what became of the step, and who to ask next.
fn answer_guest(node: &str, guest: Guest, known: &impl Encode, outbox: &mut Outbox) {
    outbox
        .reply(node, guest.msg_id, "carry_ok")
        .field("value", known);
}
