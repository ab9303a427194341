//! Polls: which chunks they wait for, and what they are answered.

use alloc::{string::String, sync::Arc, vec::Vec};
use core::time::Duration;

use serde_json::value::RawValue;

use super::{
    KEYS_MAX, Kafka, Offsets, Operation, POLL_BYTES_MAX, POLL_ENTRIES_MAX, POLL_KEYS, Received,
    full,
};
use crate::node::{Context, Outbox, Random};
use crate::protocol::{Array, Error, Object, Text};
use crate::workload::log::Place;

/// A poll, until it is answered.
pub(super) struct Poll {
    /// The keys, each with the offset of the first message that is wanted.
    offsets: Vec<(String, u64)>,
    /// What was true at that time or later is fresh enough.
    since: Duration,
    /// How many of the keys wait for a chunk to be read.
    unknown: usize,
}

impl Kafka {
    pub(super) fn poll(
        &mut self,
        request: &Received<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let offsets = self.choose(request.body.fields.offsets()?, context.now);
        if self.logs.capacity_left() < offsets.len() {
            return Err(full());
        }
        let operation = Operation::Poll(Poll {
            offsets,
            since: self.since(context.now),
            unknown: 0,
        });
        let id = self.requests.admit(request, operation, context.now)?;
        let Some(Operation::Poll(poll)) = self.requests.get_mut(id) else {
            unreachable!("it has just been admitted");
        };
        let mut left_out = 0;
        for (key, offset) in &poll.offsets {
            // Where one log can't be opened, no other can.
            let log = match left_out {
                0 => self.logs.open(key),
                _ => self.logs.find(key),
            };
            let Some(log) = log else {
                left_out += 1;
                continue;
            };
            if !self.logs.read((log, *offset), poll.since, context) {
                poll.unknown += 1;
                self.polls.insert((Place::of(log, *offset), id, *offset));
            }
        }
        if left_out > 0 && left_out == poll.offsets.len() {
            self.fail(id, &full(), context.outbox);
        } else if poll.unknown == 0 {
            self.answer_poll(id, context.outbox);
        }
        Ok(())
    }

    /// The keys that a poll is answered for. Of more than [`KEYS_MAX`] they are others after each
    /// [`Options::staleness`](super::Options::staleness), but the same until then: of the many clients that poll all logs
    /// at once, one makes the node read the chunks that the others get.
    fn choose(&self, offsets: &Offsets<'_>, now: Duration) -> Vec<(String, u64)> {
        let (start, count) = match offsets.len() {
            len @ 0..=KEYS_MAX => (0, len),
            len => {
                let turn = now.as_nanos() / self.staleness.as_nanos().max(1);
                let start = Random::new(turn as u64).below(len as u64);
                (start as usize, POLL_KEYS)
            }
        };
        let chosen = offsets.iter().cycle().skip(start).take(count);
        let chosen = chosen.map(|(Text(key), offset)| ((&**key).into(), *offset));
        chosen.collect()
    }

    /// More is known of a chunk: answers the polls for which it was the last one.
    pub(super) fn on_chunk(&mut self, place: Place, context: &mut Context<'_>) {
        for (_, id, offset) in self.take_polls(place) {
            let Some(Operation::Poll(poll)) = self.requests.get_mut(id) else {
                unreachable!("only polls wait for chunks");
            };
            if !self.logs.read((place.log, offset), poll.since, context) {
                self.polls.insert((place, id, offset));
                continue;
            }
            poll.unknown -= 1;
            if poll.unknown == 0 {
                self.answer_poll(id, context.outbox);
            }
        }
    }

    /// Answers the polls that wait for a chunk with an error.
    pub(super) fn fail_polls(&mut self, place: Place, why: &str, outbox: &mut Outbox) {
        for (_, id, _) in self.take_polls(place) {
            self.fail(id, &Error::unavailable(String::from(why)), outbox);
        }
    }

    fn take_polls(&mut self, place: Place) -> Vec<(Place, i64, u64)> {
        let range = (place, i64::MIN, 0)..=(place, i64::MAX, u64::MAX);
        self.polls.extract_if(range, |_| true).collect()
    }

    fn answer_poll(&mut self, id: i64, outbox: &mut Outbox) {
        if let Some(request) = self.requests.take(id)
            && let Operation::Poll(Poll { offsets, .. }) = &request.operation
        {
            let (logs, mut bytes_left) = (&self.logs, POLL_BYTES_MAX);
            // What is known from each offset on: `{"k1": [[0, "a"], [1, "b"]]}`.
            let messages = offsets.iter().filter_map(move |(key, offset)| {
                let log = logs.find(key)?;
                let entries = logs.entries(log, *offset).take(POLL_ENTRIES_MAX);
                let fits = |(_, entry): &(u64, &Arc<RawValue>)| {
                    let fits = bytes_left > 0;
                    bytes_left = bytes_left.saturating_sub(entry.get().len());
                    fits
                };
                let count = entries.clone().take_while(fits).count();
                let entries = entries.map(|(offset, entry)| (offset, &**entry));
                (count > 0).then(|| (key, Array(entries.take(count))))
            });
            let answer = request.answer("poll_ok", outbox);
            answer.field("msgs", Object(messages));
        }
    }

    /// A poll no longer waits.
    pub(super) fn forget_poll(&mut self, id: i64, poll: &Poll) {
        for (key, offset) in &poll.offsets {
            if let Some(log) = self.logs.find(key) {
                self.polls.remove(&(Place::of(log, *offset), id, *offset));
            }
        }
    }
}
