use alloc::{string::String, vec::Vec};
use core::time::Duration;

use super::request::{Polled, Rider, Want};
use super::{KEYS_MAX, Kafka, POLL_KEYS};
use crate::node::Outbox;
use crate::protocol::Error;
use crate::workload::log::CHUNK_ENTRIES;

/// Polls: what they look up, and when they are answered.
impl Kafka {
    /// Of more keys than there is room for, a poll looks up some, and others each time.
    pub(super) fn choose(&mut self, offsets: &mut Vec<(String, u64)>) {
        if offsets.len() > KEYS_MAX {
            let start = self.random.below(offsets.len() as u64) as usize;
            offsets.rotate_left(start);
            offsets.truncate(POLL_KEYS);
        }
    }

    /// Looks up what a poll asks for, and answers it if that is known.
    pub(super) fn poll(
        &mut self,
        rider: u64,
        now: Duration,
        outbox: &mut Outbox,
    ) -> Result<(), Error> {
        let Want::Poll { offsets, since, .. } = &self.riders[&rider].want else {
            unreachable!("only polls poll");
        };
        let (offsets, since) = (offsets.clone(), *since);
        let (mut unknown, mut refused) = (0, 0);
        let mut no_room = None;
        for (index, (key, offset)) in offsets.iter().enumerate() {
            // Where there was none for one log, there is none for another.
            if no_room.is_some() && self.logs.find(key).is_none() {
                refused += 1;
                continue;
            }
            match self.look(rider, index, (key, *offset), since, now, outbox) {
                Ok(is_known) => unknown += usize::from(!is_known),
                Err(error) => {
                    refused += 1;
                    no_room = Some(error);
                }
            }
        }
        // It may leave out what there is no room for, if that is not all.
        if refused == offsets.len()
            && let Some(error) = no_room
        {
            return Err(error);
        }
        match self.riders.get_mut(&rider).map(|rider| &mut rider.want) {
            Some(Want::Poll { missing, .. }) if unknown > 0 => *missing = unknown,
            _ => self.answer_poll(rider, outbox),
        }
        Ok(())
    }

    /// Looks up one key of a poll. The answer is whether all is known that the poll has to know of it.
    fn look(
        &mut self,
        rider: u64,
        index: usize,
        (key, offset): (&str, u64),
        since: Duration,
        now: Duration,
        outbox: &mut Outbox,
    ) -> Result<bool, Error> {
        let log = self.open(key)?;
        let is_known = self.logs.look((log, offset), since, now, outbox).is_some();
        if !is_known {
            let chunk = offset / CHUNK_ENTRIES;
            self.polls.insert((log, chunk, rider, index));
        }
        Ok(is_known)
    }

    fn answer_poll(&mut self, rider: u64, outbox: &mut Outbox) {
        let Rider {
            client,
            msg_id,
            want,
            ..
        } = self.riders.remove(&rider).expect("it waits");
        let Want::Poll { offsets, .. } = &want else {
            unreachable!("only polls wait for chunks");
        };
        let entries = Polled {
            logs: &self.logs,
            offsets,
        };
        outbox
            .reply(&client, msg_id, "poll_ok")
            .field("msgs", entries);
    }

    /// More is known of a chunk: the polls that waited for it look again.
    pub(super) fn known(&mut self, log: usize, chunk: u64, now: Duration, outbox: &mut Outbox) {
        let waiting = (log, chunk, 0, 0)..=(log, chunk, u64::MAX, usize::MAX);
        let waiting: Vec<_> = self.polls.range(waiting).copied().collect();
        for entry in waiting {
            self.polls.remove(&entry);
            let (_, _, rider, index) = entry;
            let Some(Want::Poll { offsets, since, .. }) =
                self.riders.get(&rider).map(|rider| &rider.want)
            else {
                continue;
            };
            let ((key, offset), since) = (offsets[index].clone(), *since);
            match self.look(rider, index, (&key, offset), since, now, outbox) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    self.fail(rider, &error, outbox);
                    continue;
                }
            }
            if let Some(Want::Poll { missing, .. }) =
                self.riders.get_mut(&rider).map(|rider| &mut rider.want)
            {
                *missing -= 1;
                if *missing == 0 {
                    self.answer_poll(rider, outbox);
                }
            }
        }
    }
}
