//! The requests of clients, and how operations end.

use std::time::Duration;

use super::phase::Phase;
use super::{Event, Observer, World};
use crate::workbench::history::{Operation, Outcome};
use crate::workbench::words;
use crate::workbench::workload::{FollowUp, Turn, Workload};

impl<W: Workload, O: Observer> World<W, O> {
    /// The next request of a free client, at this time since the start of the run.
    pub(super) fn next_call(&mut self, client: usize, at: Duration) -> W::Call {
        self.workload.next_call(Turn {
            client: self.joined(client),
            place: self.clients.place(client),
            at,
            random: &mut self.random,
        })
    }

    /// Begins an operation of a client that does not wait.
    pub(super) fn invoke(&mut self, client: usize, call: W::Call, is_final: bool, now: Duration) {
        let operation = self.history.len();
        let msg_id = self.clients.ask(client, operation, now);
        let node = self.clients.node(client);
        let began = Event::OperationBegan {
            index: operation,
            client: self.joined(client),
            node: &self.directory.nodes()[node],
            request: &|| words::call::<W>(&call),
        };
        self.observer.happened(now, &began);
        self.send_request(client, node, &call, msg_id, now);
        let invoked_at = self.since_start(now);
        self.history.push(Operation {
            client: self.joined(client),
            node: self.nodes[node].clone(),
            call,
            is_final,
            invoked_at,
            completed_at: invoked_at,
            outcome: Outcome::Indeterminate(String::from("no answer yet")),
        });
    }

    /// Ends an operation.
    pub(super) fn complete(
        &mut self,
        client: usize,
        index: usize,
        outcome: Outcome<W::Answer>,
        now: Duration,
    ) {
        let completed_at = self.since_start(now);
        let operation = &mut self.history[index];
        operation.completed_at = completed_at;
        operation.outcome = outcome;
        let ended = Event::OperationEnded {
            index,
            client: operation.client,
            node: &self.directory.nodes()[operation.node.index()],
            outcome: &|| words::outcome::<W>(operation),
        };
        self.observer.happened(now, &ended);
        if matches!(operation.outcome, Outcome::Indeterminate(_)) {
            self.clients.replace(client);
            self.add_client();
            return;
        }
        let is_final = operation.is_final;
        let follow_up = self.workload.follow_up(operation);
        match follow_up.filter(|_| !self.is_too_late(now)) {
            None => self.clients.release(client),
            Some(FollowUp { call, after }) => {
                self.clients.keep(client);
                if after.is_zero() {
                    self.invoke(client, call, is_final, now);
                } else {
                    self.follow_ups.insert((now + after, client), call);
                }
            }
        }
    }

    /// The time since the start, in whole microseconds: the history that is checked is the one that is stored.
    fn since_start(&self, now: Duration) -> Duration {
        let since_start = now - self.started_at;
        Duration::from_micros(since_start.as_micros() as u64)
    }

    /// When the next request is due that follows from an answer.
    pub(super) fn next_follow_up_at(&self) -> Option<Duration> {
        let ((at, _), _) = self.follow_ups.first_key_value()?;
        Some(*at)
    }

    /// Sends the requests that follow from answers and are due.
    pub(super) fn invoke_follow_ups(&mut self, now: Duration) {
        let is_final = matches!(self.phase, Phase::Finishing { .. });
        if self.is_too_late(now) {
            self.follow_ups.clear();
        }
        while self.next_follow_up_at().is_some_and(|at| at <= now) {
            if let Some(((_, client), call)) = self.follow_ups.pop_first() {
                self.invoke(client, call, is_final, now);
            }
        }
    }

    /// Whether the time for final requests is over.
    fn is_too_late(&self, now: Duration) -> bool {
        matches!(self.phase, Phase::Finishing { until } if now >= until)
    }
}
