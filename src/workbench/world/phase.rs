//! The phases of a run, and what is due in each.

use std::time::Duration;

use super::start_error::StartError;
use super::violations::ProtocolViolation;
use super::{Event, MemberCommand, Observer, UNREAD_BYTES_MAX, World};
use crate::workbench::check::names;
use crate::workbench::client::CLIENT_TIMEOUT;
use crate::workbench::history::Outcome;
use crate::workbench::nemesis::{Damage, Fault, Step};
use crate::workbench::network::Endpoint;
use crate::workbench::workload::Workload;

/// How long clients go on sending requests in the last phase. Maelstrom has this limit because a node that has lost
/// something never shows it, however often it is asked.
pub(super) const LAST_PHASE_LIMIT: Duration = Duration::from_secs(10);

/// A phase of a run.
pub(super) enum Phase {
    /// Not all nodes have answered `init`.
    Starting,
    /// These nodes have not answered the workload's introduction, such as `topology`.
    Introducing {
        unready: Vec<usize>,
        until: Duration,
    },
    /// Clients send requests.
    Asking,
    /// No new requests; clients wait for answers.
    Draining,
    /// The faults have ended; messages have until this time to arrive.
    Resting { until: Duration },
    /// Clients send their final requests, and until this time those that follow from their answers.
    Finishing { until: Duration },
    /// The run did not begin.
    Failed(StartError),
    /// The run has ended; if it was cut short, at this time since its start.
    Over { cut_short_at: Option<Duration> },
}

impl Phase {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Phase::Starting => "starting nodes",
            Phase::Introducing { .. } => "introducing nodes",
            Phase::Asking => "running",
            Phase::Draining => "waiting for answers",
            Phase::Resting { .. } => "recovering",
            Phase::Finishing { .. } => "last operations",
            Phase::Failed(_) => "failed to start",
            Phase::Over { .. } => "over",
        }
    }
}

impl<W: Workload, O: Observer> World<W, O> {
    /// Does all that is due by `now`, which never goes back.
    pub fn advance(&mut self, now: Duration) {
        self.send_due_inits(now);
        while let Some(envelope) = self.network.arrive(now) {
            self.arrive(&envelope, now);
        }
        self.time_out_operations(now);
        self.invoke_follow_ups(now);
        // The next phase may have nothing to wait for either.
        while self.advance_phase(now) {}
    }

    /// When [`advance`](Self::advance) has to be called next, if nothing else happens before.
    pub fn next_deadline(&mut self) -> Option<Duration> {
        let (phase, pace, nemesis) = match self.phase {
            Phase::Starting => (self.node_states.start_deadline(), None, None),
            Phase::Introducing { until, .. } => (Some(until), None, None),
            Phase::Asking => {
                let pace = self.pace.next_at().filter(|_| self.clients.has_free());
                (Some(self.ends_at()), pace, self.nemesis.next_at())
            }
            Phase::Draining | Phase::Finishing { .. } => (None, None, None),
            Phase::Resting { until } => (Some(self.rested_at(until)), None, None),
            Phase::Failed(_) | Phase::Over { .. } => return None,
        };
        let started_at = self.started_at;
        [
            phase,
            pace.map(|at| started_at + at),
            nemesis.map(|at| started_at + at),
            self.network.next_arrival_at(),
            self.clients.next_timeout_at(),
            self.next_follow_up_at(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Takes note that a node has ended by itself; `how` says how, in words.
    ///
    /// The run ends: without a node, what follows would say nothing about the system under test.
    pub fn on_exit(&mut self, node: usize, how: &str, now: Duration) {
        self.end_without(node, ProtocolViolation::Exited, "ended by itself", how, now);
    }

    /// Takes note that a node has closed its stdout at this time but goes on. The run fails if it has not begun yet.
    pub fn on_stdout_closed(&mut self, node: usize, at: Duration) {
        match self.phase {
            Phase::Starting | Phase::Introducing { .. } => {
                self.phase = Phase::Failed(StartError::ClosedStdout {
                    node: self.directory.nodes()[node].clone(),
                    instead: self.violations.of_one(&[node], self.directory.nodes()),
                });
            }
            // Then nodes are to end.
            Phase::Failed(_) | Phase::Over { .. } => {}
            _ => self.stdout_closed_at[node] = Some(at),
        }
    }

    /// Ends the run because a node has left more input unread than is kept for it.
    pub(super) fn stopped_reading(&mut self, node: usize, now: Duration) {
        let how = format!(
            "{} MiB of messages wait on its stdin. A node must go on reading while it writes",
            UNREAD_BYTES_MAX >> 20
        );
        self.end_without(
            node,
            ProtocolViolation::StoppedReading,
            "had stopped reading",
            &how,
            now,
        );
    }

    fn end_without(
        &mut self,
        node: usize,
        violation: ProtocolViolation,
        what: &str,
        how: &str,
        now: Duration,
    ) {
        match self.phase {
            Phase::Failed(_) | Phase::Over { .. } => {}
            Phase::Starting | Phase::Introducing { .. } => {
                self.phase = Phase::Failed(StartError::Exited {
                    node: self.directory.nodes()[node].clone(),
                    how: format!(
                        "{how}{}",
                        self.violations.of_one(&[node], self.directory.nodes())
                    ),
                });
            }
            _ => {
                let after = now - self.started_at;
                self.violations.note(node, violation, None, || {
                    format!("{what} after {:.1} s: {how}", after.as_secs_f64())
                });
                self.phase = Phase::Over {
                    cut_short_at: Some(after),
                };
            }
        }
    }

    /// Ends the run now. What is known of it is kept.
    pub fn interrupt(&mut self, now: Duration) {
        self.phase = match self.phase {
            Phase::Starting | Phase::Introducing { .. } => Phase::Failed(StartError::Interrupted),
            Phase::Failed(_) | Phase::Over { .. } => return,
            _ => {
                self.interrupted_at = Some(now - self.started_at);
                Phase::Over {
                    cut_short_at: self.interrupted_at,
                }
            }
        };
    }

    fn ends_at(&self) -> Duration {
        self.started_at + self.settings.time_limit
    }

    /// Changes the phase if the present one has ended. Returns whether it has.
    fn advance_phase(&mut self, now: Duration) -> bool {
        let next = match &self.phase {
            Phase::Starting if self.node_states.unready().next().is_none() => Phase::Introducing {
                unready: self.introduce(now),
                until: now + CLIENT_TIMEOUT,
            },
            Phase::Starting
                if self
                    .node_states
                    .start_deadline()
                    .is_some_and(|at| at <= now) =>
            {
                let unready: Vec<_> = self.node_states.unready().collect();
                let timeout = self.settings.init_timeout;
                self.failed_to_answer(&unready, "init", "init_ok", timeout)
            }
            // Its answer would be ignored.
            Phase::Starting
                if self
                    .node_states
                    .unready()
                    .any(|node| self.node_states.is_mute(node)) =>
            {
                Phase::Over {
                    cut_short_at: Some(Duration::ZERO),
                }
            }
            Phase::Introducing { unready, .. }
                if unready.iter().any(|&node| self.node_states.is_mute(node)) =>
            {
                Phase::Over {
                    cut_short_at: Some(Duration::ZERO),
                }
            }
            Phase::Introducing { unready, .. } if unready.is_empty() => {
                self.started_at = now;
                self.observer.began(now);
                Phase::Asking
            }
            Phase::Introducing { unready, until } if now >= *until => {
                let introduction = self.workload.introduction();
                let (asked, answer) = introduction.map_or(("", ""), |introduction| {
                    (introduction.kind, introduction.answer_kind)
                });
                self.failed_to_answer(unready, asked, answer, CLIENT_TIMEOUT)
            }
            Phase::Asking if now >= self.ends_at() => Phase::Draining,
            Phase::Asking => {
                self.take_nemesis_step(now);
                self.invoke_due(now);
                return false;
            }
            Phase::Draining if self.clients.are_idle() => {
                for fault in self.nemesis.under_way() {
                    self.observer.happened(now, &Event::FaultEnded(&fault.what));
                }
                for step in self.nemesis.end(now - self.started_at) {
                    self.apply(step, now);
                }
                if W::HAS_LAST_PHASE {
                    Phase::Resting {
                        until: now + self.settings.recovery,
                    }
                } else {
                    Phase::Over { cut_short_at: None }
                }
            }
            Phase::Resting { until } if now >= self.rested_at(*until) => {
                self.note_unready();
                self.invoke_last(now);
                Phase::Finishing {
                    until: now + LAST_PHASE_LIMIT,
                }
            }
            Phase::Finishing { .. }
                if self.clients.are_idle() && self.next_follow_up_at().is_none() =>
            {
                Phase::Over { cut_short_at: None }
            }
            _ => return false,
        };
        self.phase = next;
        true
    }

    fn failed_to_answer(
        &self,
        nodes: &[usize],
        asked: &'static str,
        answer: &'static str,
        timeout: Duration,
    ) -> Phase {
        let names = nodes.iter().map(|&node| &*self.directory.nodes()[node]);
        let mut instead = self.violations.of_one(nodes, self.directory.nodes());
        if instead.is_empty() {
            instead = self.sent_elsewhere(nodes, asked);
        }
        let nodes = names.collect::<Vec<_>>().join(", ");
        Phase::Failed(StartError::NoAnswer {
            nodes,
            asked,
            answer,
            timeout_s: timeout.as_secs_f64(),
            instead,
        })
    }

    /// The first message of the first of these nodes that has sent any, on a line of its own, or that none has. It did not
    /// go to the client that waits for the answer to `asked`: there it would be that answer, or a protocol violation.
    fn sent_elsewhere(&self, nodes: &[usize], asked: &str) -> String {
        let sent = |&node: &usize| Some((node, self.first_sent[node].as_ref()?));
        let Some((node, (dest, line))) = nodes.iter().find_map(sent) else {
            let names = names(
                "node",
                nodes.iter().map(|&node| &self.directory.nodes()[node]),
            );
            return format!("\nIn that time no line came from the stdout of {names}");
        };
        let client = match self.phase {
            Phase::Starting => node,
            _ => self.directory.nodes().len() + node,
        };
        let [node, dest, client] = [Endpoint::Node(node), *dest, Endpoint::Client(client)]
            .map(|end| self.directory.name(end));
        format!(
            "\n{node} sent this to {dest}, and not to {client}, from which {asked} came: {line}"
        )
    }

    /// When the recovery ends: not before all nodes have had their time to answer `init`.
    fn rested_at(&self, until: Duration) -> Duration {
        self.node_states
            .unready_until()
            .map_or(until, |at| at.max(until))
    }

    fn note_unready(&mut self) {
        let timeout_s = self.settings.init_timeout.as_secs_f64();
        for node in self.node_states.unready() {
            self.violations.note(node, ProtocolViolation::StayedUnready, None, || {
                format!(
                    "was killed and started again, and did not answer its new init within {timeout_s} s."
                )
            });
        }
    }

    fn take_nemesis_step(&mut self, now: Duration) {
        while let Some((step, fault)) = self.nemesis.step(now - self.started_at) {
            let event = match step {
                Step::Begin(..) => Event::FaultBegan(&fault.what),
                Step::End(_) => Event::FaultEnded(&fault.what),
            };
            self.observer.happened(now, &event);
            self.apply(step, now);
        }
    }

    fn apply(&mut self, step: Step, now: Duration) {
        match step {
            Step::Begin(fault, Damage::Cut(partition)) => self.network.cut(fault, partition),
            Step::Begin(fault, Damage::Disturb) => self.network.disturb(fault),
            Step::Begin(fault, Damage::Hit(nodes)) => {
                for index in nodes {
                    self.hit(fault, index);
                }
            }
            Step::End(Fault::Kill) => {
                for (node, init_msg_id) in self.node_states.start_all(now) {
                    self.send_init(node, init_msg_id, now);
                }
            }
            Step::End(Fault::Pause) => self.node_states.continue_all(),
            Step::End(Fault::MemberKill) => self.member_commands.push_back(MemberCommand::StartAll),
            Step::End(Fault::MemberPause) => {
                self.member_commands.push_back(MemberCommand::ContinueAll);
            }
            Step::End(fault) => self.network.mend(fault),
        }
    }

    fn hit(&mut self, fault: Fault, index: usize) {
        match fault {
            Fault::MemberKill => self.member_commands.push_back(MemberCommand::Kill(index)),
            Fault::MemberPause => self.member_commands.push_back(MemberCommand::Pause(index)),
            Fault::Kill => {
                // Messages that it has not read are lost with it.
                self.inboxes[index].clear();
                self.node_states.kill(index);
            }
            _ => self.node_states.pause(index),
        }
    }

    fn invoke_due(&mut self, now: Duration) {
        let since_start = now - self.started_at;
        while self.pace.next_at().is_some_and(|at| at <= since_start) {
            let Some(client) = self.clients.take_free(&mut self.random) else {
                self.pace.hold();
                return;
            };
            let call = self.next_call(client, since_start);
            self.invoke(client, call, false, now);
            self.pace.step(since_start, &mut self.random);
        }
    }

    fn invoke_last(&mut self, now: Duration) {
        for client in self.clients.take_all_free() {
            if let Some(call) = self.workload.last_call(self.joined(client)) {
                self.invoke(client, call, true, now);
            }
        }
    }

    fn time_out_operations(&mut self, now: Duration) {
        while let Some((client, operation)) = self.clients.time_out(now) {
            let node = self.clients.node(client);
            if !self.is_elsewhere && !self.node_states.is_mute(node) {
                self.unanswered.insert(client, operation);
            }
            let why = format!(
                "no answer within {} s",
                self.clients.timeout().as_secs_f64()
            );
            self.complete(client, operation, Outcome::Indeterminate(why), now);
        }
    }
}
