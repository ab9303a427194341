//! Runs on nodes that run elsewhere, each behind an address to which clients connect.
//!
//! Such nodes have had their `init`, and messages between them do not pass here. Each client has a connection of its own
//! to its node. The driver sends the lines of a client's [outbox](World::outbox) over it, and reports the lines that come
//! back ([`World::on_answer`]) and the end of a connection ([`World::on_disconnected`]). A client that is replaced has
//! another connection than its successor: an answer to the one is never taken for an answer to the other.

use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::node_states::NodeStates;
use super::phase::Phase;
use super::route::Asker;
use super::start_error::StartError;
use super::violations::{ProtocolViolation, shown, shown_bytes};
use super::{Observer, Settings, World};
use crate::protocol::LineError;
use crate::workbench::history::{NOT_SENT, Outcome};
use crate::workbench::network::Endpoint;
use crate::workbench::workload::{Workload, json_error};

/// A line that a client receives. Its sender and receiver are known from the connection.
#[derive(Deserialize)]
struct Received<'a> {
    #[serde(borrow)]
    body: &'a RawValue,
}

impl<W: Workload, O: Observer> World<W, O> {
    /// A run at time zero on nodes that run elsewhere and are ready.
    pub fn elsewhere(workload: W, settings: Settings, observer: O) -> Self {
        let nodes = NodeStates::ready_before(settings.nodes.len(), settings.init_timeout);
        let mut world = World::with(workload, settings, observer, nodes, Vec::new());
        world.is_elsewhere = true;
        world.begin();
        world
    }

    /// The clients that send the workload's introduction, one for each node in the order of the nodes, by the numbers in
    /// their names. Empty if the workload has none.
    pub fn introducers(&self) -> Range<usize> {
        let node_count = self.directory.nodes().len();
        match self.workload.introduction() {
            Some(_) => node_count..2 * node_count,
            None => 0..0,
        }
    }

    /// The client that has a place now, by the number in its name. Places are counted from zero to the number of clients.
    pub fn client_at(&self, place: usize) -> usize {
        self.joined(self.clients.at(place))
    }

    /// The index of the node to which a client sends its requests.
    pub fn node_of(&self, client: usize) -> usize {
        match self.asker(client) {
            Asker::Initializer(node) | Asker::Introducer(node) => node,
            Asker::Client(number) => self.clients.node(number),
        }
    }

    /// The lines of a client that have not been sent yet: at most one request. The driver takes them.
    pub fn outbox(&mut self, client: usize) -> &mut Vec<u8> {
        &mut self.inboxes[client]
    }

    /// A client has received a line. It is ignored when the run is over.
    pub fn on_answer(&mut self, client: usize, line: &str, now: Duration) {
        if self.is_over() {
            return;
        }
        let node = self.node_of(client);
        match serde_json::from_str::<Received<'_>>(line) {
            Ok(Received { body }) => {
                let (src, dest) = (Endpoint::Node(node), Endpoint::Client(client));
                self.send(src, dest, body.get(), now);
            }
            Err(error) => self.answered_garbage(node, &json_error(&error), &shown(line)),
        }
    }

    /// A client has received a line that can't be read.
    pub fn on_unreadable_answer(&mut self, client: usize, error: &LineError<'_>) {
        let line = match error {
            LineError::NotUtf8(bytes) => shown_bytes(bytes),
            LineError::TooLong(_) => String::from("(not shown)"),
        };
        self.answered_garbage(self.node_of(client), &error.to_string(), &line);
    }

    fn answered_garbage(&mut self, node: usize, why: &str, line: &str) {
        self.violations
            .note(node, ProtocolViolation::PrintedNoMessage, None, || {
                format!("sent a client what is no message ({why}): {line}")
            });
    }

    /// The connection of a client has ended, or could not be made; `why` says why, in words.
    ///
    /// If the client waits for an answer, its request has failed if no byte of it `was_sent`. Otherwise its outcome is
    /// unknown.
    pub fn on_disconnected(&mut self, client: usize, was_sent: bool, why: &str, now: Duration) {
        if self.is_over() {
            return;
        }
        self.inboxes[client].clear();
        match self.asker(client) {
            Asker::Client(number) => {
                if let Some(operation) = self.clients.waits_for(number) {
                    let outcome = match was_sent {
                        true => Outcome::Indeterminate(format!("no answer: {why}")),
                        false => Outcome::Failed(format!("{NOT_SENT}: {why}")),
                    };
                    self.complete(number, operation, outcome, now);
                }
            }
            Asker::Initializer(node) | Asker::Introducer(node) => {
                if let Phase::Introducing { unready, .. } = &self.phase
                    && unready.contains(&node)
                {
                    let asked = self.workload.introduction();
                    self.phase = Phase::Failed(StartError::Disconnected {
                        node: self.directory.nodes()[node].clone(),
                        asked: asked.map_or("", |introduction| introduction.kind),
                        why: String::from(why),
                    });
                }
            }
        }
    }
}
