//! What happens as time passes.

use std::time::Duration;

use super::fault::{Misdeed, StartError};
use super::{INIT_TIMEOUT, Observer, World};
use crate::workbench::client::CLIENT_TIMEOUT;
use crate::workbench::history::Outcome;
use crate::workbench::nemesis::Step;
use crate::workbench::workload::Workload;

/// Where a run is.
pub(super) enum Phase {
    /// These nodes have not answered `init`.
    Starting { unready: Vec<usize> },
    /// Clients ask.
    Asking,
    /// Clients wait for the answers that are out.
    Draining,
    /// The faults have ended; the network rests until then.
    Resting { until: Duration },
    /// Every client asks its last.
    Finishing,
    /// It never began.
    Failed(StartError),
    /// All done, or a node is gone.
    Over { is_cut_short: bool },
}

impl Phase {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Phase::Starting { .. } => "starting nodes",
            Phase::Asking => "running",
            Phase::Draining => "waiting for answers",
            Phase::Resting { .. } => "recovering",
            Phase::Finishing => "last operations",
            Phase::Failed(_) => "failed to start",
            Phase::Over { .. } => "over",
        }
    }
}

impl<W: Workload, O: Observer> World<W, O> {
    /// Does all that is due by `now`, which never goes back.
    pub fn advance(&mut self, now: Duration) {
        while let Some(envelope) = self.network.arrive(now) {
            self.arrive(&envelope, now);
        }
        self.time_out_operations(now);
        // A phase that ends may be followed by one that has nothing to wait for either.
        while self.advance_phase(now) {}
    }

    /// When [`advance`](Self::advance) has something to do next, if nothing else happens before.
    pub fn next_deadline(&mut self) -> Option<Duration> {
        let (phase, pace, nemesis) = match self.phase {
            Phase::Starting { .. } => (Some(INIT_TIMEOUT), None, None),
            Phase::Asking => {
                let pace = self.pace.next_at().filter(|_| self.clients.has_free());
                (Some(self.ends_at()), pace, self.nemesis.next_at())
            }
            Phase::Draining | Phase::Finishing => (None, None, None),
            Phase::Resting { until } => (Some(until), None, None),
            Phase::Failed(_) | Phase::Over { .. } => return None,
        };
        let started_at = self.started_at;
        [
            phase,
            pace.map(|at| started_at + at),
            nemesis.map(|at| started_at + at),
            self.network.next_arrival_at(),
            self.clients.next_timeout_at(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// A node is gone, though nobody ended it. `how` is for a person.
    ///
    /// The run ends there: with a node less, nothing that follows says anything about the system under test.
    pub fn exited(&mut self, node: usize, how: &str, now: Duration) {
        match self.phase {
            Phase::Failed(_) | Phase::Over { .. } => {}
            Phase::Starting { .. } => {
                self.phase = Phase::Failed(StartError::Exited {
                    node: self.directory.nodes()[node].clone(),
                    how: String::from(how),
                });
            }
            _ => {
                let after_s = (now - self.started_at).as_secs_f64();
                self.faults.note(node, Misdeed::Exited, None, || {
                    format!("ended by itself after {after_s:.1} s: {how}")
                });
                self.phase = Phase::Over { is_cut_short: true };
            }
        }
    }

    fn ends_at(&self) -> Duration {
        self.started_at + self.settings.time_limit
    }

    /// Whether the phase has changed.
    fn advance_phase(&mut self, now: Duration) -> bool {
        let next = match &self.phase {
            Phase::Starting { unready } if unready.is_empty() => {
                self.started_at = now;
                self.observer.began(now);
                Phase::Asking
            }
            Phase::Starting { unready } if now >= INIT_TIMEOUT => {
                let names = unready.iter().map(|&node| &*self.directory.nodes()[node]);
                let nodes = names.collect::<Vec<_>>().join(", ");
                Phase::Failed(StartError::NoInitOk { nodes })
            }
            Phase::Asking if now >= self.ends_at() => Phase::Draining,
            Phase::Asking => {
                self.take_nemesis_step(now);
                self.invoke_due(now);
                return false;
            }
            Phase::Draining if self.clients.are_idle() => {
                if let Some(step) = self.nemesis.end(now - self.started_at) {
                    self.apply(step);
                }
                match self.workload.final_call() {
                    Some(_) => Phase::Resting {
                        until: now + self.settings.recovery,
                    },
                    None => Phase::Over {
                        is_cut_short: false,
                    },
                }
            }
            Phase::Resting { until } if now >= *until => {
                self.invoke_last(now);
                Phase::Finishing
            }
            Phase::Finishing if self.clients.are_idle() => Phase::Over {
                is_cut_short: false,
            },
            _ => return false,
        };
        self.phase = next;
        true
    }

    fn take_nemesis_step(&mut self, now: Duration) {
        if let Some(step) = self.nemesis.step(now - self.started_at) {
            self.apply(step);
        }
    }

    fn apply(&mut self, step: Step) {
        self.network.set_partition(match step {
            Step::Cut(partition) => Some(partition),
            Step::Heal => None,
        });
    }

    fn invoke_due(&mut self, now: Duration) {
        let since_start = now - self.started_at;
        while self.pace.next_at().is_some_and(|at| at <= since_start) {
            let Some(client) = self.clients.take_free(&mut self.random) else {
                self.pace.hold();
                return;
            };
            let call = self.workload.next_call(&mut self.random);
            self.invoke(client, call, false, now);
            self.pace.step(since_start, &mut self.random);
        }
    }

    fn invoke_last(&mut self, now: Duration) {
        for client in self.clients.take_all_free() {
            if let Some(call) = self.workload.final_call() {
                self.invoke(client, call, true, now);
            }
        }
    }

    fn time_out_operations(&mut self, now: Duration) {
        while let Some((client, operation)) = self.clients.time_out(now) {
            let why = format!("no answer within {} s", CLIENT_TIMEOUT.as_secs());
            self.complete(client, operation, Outcome::Indeterminate(why), now);
        }
    }
}
