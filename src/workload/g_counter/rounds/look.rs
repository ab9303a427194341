//! Rounds that look keys up: reads side by side, for riders that want the counter's value.

use core::{mem, time::Duration};

use super::{Rounds, State, foreign_value};
use crate::kv::Register;
use crate::node::Outbox;
use crate::workload::g_counter::answers::take_batch;

impl Rounds {
    pub(super) fn start_looking(&mut self, slot: usize) {
        let round = self.rounds.get(slot);
        round.state = State::Looking;
        take_batch(&mut self.to_look, self.options.batch_max, &mut round.riders);
        self.looked_for.clear();
        for _ in &self.keys_to_look_up {
            self.looked_for.push(Some(self.rounds.message_id(slot)));
        }
    }

    /// Asks for what has not been read yet.
    pub(super) fn look(&mut self, slot: usize, now: Duration, outbox: &mut Outbox) {
        let deadline = now.saturating_add(self.patience.wait(self.rounds.get(slot).attempts));
        self.rounds.set_deadline(slot, deadline);
        for (key, message_id) in self.keys_to_look_up.iter().zip(&self.looked_for) {
            if let Some(message_id) = *message_id {
                self.service.read(key, message_id, outbox);
            }
        }
    }

    /// One of the keys has been read; no JSON if it is not there.
    pub(super) fn looked_up(
        &mut self,
        slot: usize,
        index: usize,
        json: Option<&str>,
        outbox: &mut Outbox,
    ) {
        if json.is_some_and(|json| !self.decode(json)) {
            let error = foreign_value(&self.keys_to_look_up[index], &self.service);
            self.is_looking = false;
            return self.end_round(slot, |this, rider| {
                this.answers.error(&rider, &error, outbox)
            });
        }
        let newest = match self.plan.is_shared {
            true => &mut self.known,
            false => &mut self.others[index],
        };
        if json.is_some() && self.seen.version() > newest.version() {
            mem::swap(&mut self.seen, newest);
        }
        self.looked_for[index] = None;
        if self.looked_for.iter().all(Option::is_none) {
            self.is_looking = false;
            let value = self.value();
            self.end_round(slot, |this, rider| this.answers.ok(&rider, value, outbox));
        }
    }
}
