//! Routes messages: between the node, clients, peers and services.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use serde_json::value::RawValue;

use super::connections::{Connections, Filled, OpenRequest, Role};
use super::limits::{
    KEEPALIVE_INTERVAL, NODE_INPUT_BYTES_MAX, REQUEST_TIMEOUT, SCRAPE_TIMEOUT, STEADY_AFTER,
};
use super::log::Log;
use super::metrics::{Loss, Metrics, Outcome};
use super::peers::Peer;
use super::wire::{self, Envelope, ErrorBody, Head};
use super::{Settings, scrape};
use crate::protocol::{Error, ErrorCode, LineError};
use crate::workbench::network::Endpoint;
use crate::workbench::service::{LateAnswer, Services};
use crate::workbench::world::shown;

/// The client that sends `init`. Clients that connect have the names from `c1` up.
const INITIALIZER: &str = "c0";

/// The message id of `init`.
const INIT_MSG_ID: u64 = 1;

/// The time between two lines in the log about a request to a store that this service does not have.
const NO_STORE_INTERVAL: Duration = Duration::from_secs(10);

/// What the node does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeState {
    /// It does not run.
    Down,
    /// It was started at this time, and has not answered `init`.
    Starting { since: Duration },
    /// It answered `init` at this time.
    Ready { since: Duration },
    /// It was asked to end, or answered `init` wrongly: nothing is sent to it.
    Ending,
}

pub(super) struct Router {
    pub settings: Settings,
    pub connections: Connections,
    pub peers: Vec<Peer>,
    services: Services,
    pub metrics: Metrics,
    pub log: Log,
    pub node: NodeState,
    /// Whether the node has ever answered `init`.
    pub has_been_ready: bool,
    /// The lines that wait for the node to read them.
    pub inbox: Vec<u8>,
    /// The connections of clients, by the number in the name.
    pub clients: HashMap<u64, usize>,
    /// The number of connections whose first line has not come.
    pub unknown_count: usize,
    /// The number of requests that the node has not answered, of all clients.
    pub open_count: usize,
    /// Whether new requests are refused because the service ends.
    pub is_ending: bool,
    /// The time since the service began.
    pub now: Duration,
    keepalive_at: Duration,
    /// The stores that did not answer the last request.
    silent_stores: BTreeSet<&'static str>,
    /// From this time on, a request to a store that this service does not have is logged.
    no_store_at: Duration,
}

impl Router {
    pub(super) fn new(settings: Settings, connections: Connections, services: Services) -> Self {
        let peers = settings.peers.iter().map(Peer::new).collect();
        Router {
            settings,
            connections,
            peers,
            services,
            metrics: Metrics::new(),
            log: Log::new(),
            node: NodeState::Down,
            has_been_ready: false,
            inbox: Vec::new(),
            clients: HashMap::new(),
            unknown_count: 0,
            open_count: 0,
            is_ending: false,
            now: Duration::ZERO,
            keepalive_at: Duration::ZERO,
            silent_stores: BTreeSet::new(),
            no_store_at: Duration::ZERO,
        }
    }

    /// Reads once from each connection that may hold bytes, and handles the lines.
    pub(super) fn read_connections(&mut self) {
        for key in self.connections.take_readable() {
            match self.connections.fill(key) {
                Filled::Lines(mut reader) => {
                    for line in reader.lines() {
                        self.on_line(key, line);
                    }
                    let is_last = self.connections.get(key).is_some_and(|connection| {
                        let is_client =
                            matches!(connection.role, Role::Client { .. } | Role::Unknown { .. });
                        is_client && connection.is_at_end
                    });
                    // The newline of the last request may be missing.
                    if is_last {
                        reader.end();
                        reader.lines().for_each(|line| self.on_line(key, line));
                    }
                    self.connections.give_back(key, reader);
                }
                Filled::Nothing => {}
                Filled::Broken(error) => self.remove(key, &error.to_string()),
            }
        }
    }

    fn on_line(&mut self, key: usize, line: Result<&str, LineError<'_>>) {
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        match &mut connection.role {
            Role::Unknown { .. } => self.on_first_line(key, line),
            Role::Client { .. } => self.on_client_line(key, line),
            // Only keepalives are expected.
            Role::ToPeer { heard_at, .. } => *heard_at = self.now,
            Role::FromPeer { .. } => self.on_peer_line(key, line),
            Role::Scrape(_) => self.on_scrape_line(key, line),
            Role::Closing { .. } => {}
        }
    }

    fn on_scrape_line(&mut self, key: usize, line: Result<&str, LineError<'_>>) {
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        let Role::Scrape(scrape) = &mut connection.role else {
            return;
        };
        let status = match line {
            Ok(line) => scrape.take_line(line, self.settings.token.as_ref()),
            Err(_) => Some(scrape::BAD_REQUEST),
        };
        let Some(status) = status else {
            return;
        };
        self.metrics.clients.set(self.clients.len() as i64);
        let connected = self.peers.iter().filter(|peer| peer.is_connected());
        self.metrics.peers_connected.set(connected.count() as i64);
        let response = scrape::response(status, || self.metrics.text());
        self.connections.send(key, response.as_bytes());
        self.close(key);
    }

    /// Sends `init` to the node, which has just been started.
    pub(super) fn on_node_started(&mut self) {
        self.node = NodeState::Starting { since: self.now };
        let ids: Vec<&str> = self.settings.nodes.iter().map(String::as_str).collect();
        let id = self.settings.id.as_str();
        let body = wire::body("init", |body| {
            body.field("node_id", id)
                .field("node_ids", ids.as_slice())
                .field("msg_id", INIT_MSG_ID)
        });
        self.inbox.clear();
        wire::write_message(&mut self.inbox, INITIALIZER, id, &body);
    }

    /// The node has ended. Open requests get error 13. Returns whether it has served for a while.
    pub(super) fn on_node_ended(&mut self) -> bool {
        let was_steady =
            matches!(self.node, NodeState::Ready { since } if self.now >= since + STEADY_AFTER);
        self.node = NodeState::Down;
        self.inbox.clear();
        self.fail_open(
            |_| true,
            &Error::new(
                ErrorCode::CRASH,
                "the node has ended, and the request may have taken effect",
            ),
        );
        was_steady
    }

    /// Answers the open requests for which `is_failed` holds with an error.
    fn fail_open(&mut self, is_failed: impl Fn(&OpenRequest) -> bool, error: &Error) {
        for key in self.connections.keys() {
            let Some(connection) = self.connections.get(key) else {
                continue;
            };
            let Role::Client { open } = &mut connection.role else {
                continue;
            };
            let failed: Vec<OpenRequest> =
                open.extract_if(.., |request| is_failed(request)).collect();
            self.open_count -= failed.len();
            for request in failed {
                self.metrics
                    .request(&request.kind, Outcome::Error(error.code), None);
                self.send_error(key, Some(&request.msg_id), error);
            }
        }
    }

    /// Handles a line that the node has printed.
    pub(super) fn on_node_line(&mut self, line: Result<&str, LineError<'_>>) {
        let line = match line {
            Ok(line) => line,
            Err(error) => return self.blame_node(&error, ""),
        };
        let envelope = match wire::envelope(line) {
            Ok(envelope) => envelope,
            Err(error) => return self.blame_node(&error, line),
        };
        let Envelope {
            src,
            dest: Some(dest),
            body,
        } = envelope
        else {
            return self.blame_node(&"it has no dest", line);
        };
        if src.as_deref() != Some(&self.settings.id) {
            return self.blame_node(&"its src is not the node's id", line);
        }
        if dest == INITIALIZER {
            return self.on_init_answer(body.get());
        }
        if let Some(number) = client_number(&dest) {
            return self.on_answer(number, body, line);
        }
        if let Some(peer) = self.peers.iter().position(|peer| peer.id == dest) {
            return self.send_to_peer(peer, line);
        }
        if dest == *self.settings.id {
            return self.deliver(&dest, body.get());
        }
        self.on_request_to_service(&dest, body, line);
    }

    fn blame_node(&mut self, why: &dyn std::fmt::Display, line: &str) {
        let (id, line) = (&self.settings.id, shown(line));
        self.log.complain(
            format_args!("{id} printed what is no message ({why}): {line}"),
            self.now,
        );
    }

    fn on_init_answer(&mut self, body: &str) {
        if !matches!(self.node, NodeState::Starting { .. }) {
            return;
        }
        let id = &self.settings.id;
        match wire::object::<Head<'_>>(body) {
            Ok(head) if head.kind == "init_ok" => {
                self.node = NodeState::Ready { since: self.now };
                self.has_been_ready = true;
                self.log.say(format_args!("{id} is ready"));
            }
            _ => {
                self.node = NodeState::Ending;
                let body = shown(body);
                self.log
                    .say(format_args!("{id} answered init wrongly: {body}"));
            }
        }
    }

    /// Passes an answer of the node to the client that asked.
    fn on_answer(&mut self, number: u64, body: &RawValue, line: &str) {
        let Ok(head) = wire::object::<Head<'_>>(body.get()) else {
            return self.blame_node(&"its body has no type", line);
        };
        let Some(&key) = self.clients.get(&number) else {
            return self.metrics.lost(Loss::ClientGone);
        };
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        let Role::Client { open } = &mut connection.role else {
            return;
        };
        let id = head
            .in_reply_to
            .and_then(|id| wire::open_id(id).ok().flatten());
        let place = id.and_then(|id| open.iter().position(|request| request.id == id));
        let Some(place) = place else {
            // Answered already, or never asked: a second answer could be taken for that to another request.
            return self.metrics.lost(Loss::NotAsked);
        };
        let request = open.remove(place);
        self.open_count -= 1;
        let outcome = match &*head.kind {
            "error" => {
                let error = wire::object::<ErrorBody<'_>>(body.get());
                Outcome::Error(error.map_or(ErrorCode::CRASH, |error| ErrorCode(error.code)))
            }
            _ => Outcome::Ok,
        };
        let latency = self.now.saturating_sub(request.began_at);
        self.metrics.request(&request.kind, outcome, Some(latency));
        let mut line = Vec::from(line);
        line.push(b'\n');
        self.send_to_client(key, &line);
    }

    /// Adds to the output of a client, which is closed if it does not read.
    pub(super) fn send_to_client(&mut self, key: usize, line: &[u8]) {
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        if connection.output_bytes() > self.settings.limits.output_bytes_max {
            let why = format!("{} does not read its answers", connection.client_name());
            self.log
                .complain(format_args!("{why}; the connection is closed"), self.now);
            return self.remove(key, &why);
        }
        self.connections.send(key, line);
    }

    /// Sends a client an error.
    pub(super) fn send_error(&mut self, key: usize, in_reply_to: Option<&RawValue>, error: &Error) {
        let body = wire::error_body(error, in_reply_to);
        self.send_body(key, &body);
    }

    /// Sends a client a message of this service.
    pub(super) fn send_body(&mut self, key: usize, body: &str) {
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        let mut line = Vec::new();
        let dest = connection.client_name();
        wire::write_message(&mut line, &self.settings.id, &dest, body);
        self.send_to_client(key, &line);
    }

    /// Passes a request of the node to a service.
    fn on_request_to_service(&mut self, address: &str, body: &RawValue, line: &str) {
        let service = self.services.addresses().position(|other| other == address);
        let Some(service) = service else {
            return self.on_unknown_dest(address, body, line);
        };
        let own = self.settings.own_index();
        let mut answer = Vec::new();
        let handled = self
            .services
            .handle(service, Endpoint::Node(own), body.get(), &mut answer);
        if let Err(error) = handled {
            return self.blame_node(&error, line);
        }
        if !answer.is_empty() {
            let answer = String::from_utf8(answer).expect("what is written as JSON is text");
            self.deliver(address, &answer);
        }
    }

    /// Answers a request of the node to a name that nobody has.
    fn on_unknown_dest(&mut self, dest: &str, body: &RawValue, line: &str) {
        let id = &self.settings.id;
        let why = match dest {
            "seq-kv" | "lin-kv" => {
                let why =
                    format!("there is no {dest} here: start eddy serve with --{dest} etcd=URL,...");
                if self.now >= self.no_store_at {
                    self.no_store_at = self.now + NO_STORE_INTERVAL;
                    self.log.say(format_args!("{id} asks {dest}, and {why}"));
                }
                why
            }
            _ => {
                let why = format!("there is no {dest:?} here");
                let line = shown(line);
                self.log.complain(
                    format_args!("{id} sent a message to nobody ({why}): {line}"),
                    self.now,
                );
                why
            }
        };
        if let Ok(Head {
            msg_id: Some(id),
            in_reply_to: None,
            ..
        }) = wire::object(body.get())
        {
            let error = Error::new(ErrorCode::NODE_NOT_FOUND, why);
            self.deliver(dest, &wire::error_body(&error, Some(id)));
        }
    }

    /// Passes the answer of a store to the node, if the node has asked. Logs when the store begins and when it ceases to
    /// be silent.
    pub(super) fn on_late_answer(&mut self, answer: &LateAnswer) {
        let service = answer.service;
        let error = wire::object::<ErrorBody<'_>>(&answer.body).ok();
        let timeout = error.filter(|error| ErrorCode(error.code) == ErrorCode::TIMEOUT);
        let (is_new, what) = match timeout {
            Some(ErrorBody { text, .. }) => (
                self.silent_stores.insert(service),
                format!("warning: {service} does not answer: {text}"),
            ),
            None => (
                self.silent_stores.remove(service),
                format!("{service} answers again"),
            ),
        };
        if is_new {
            self.log.complain(format_args!("{what}"), self.now);
        }
        if let Endpoint::Node(_) = answer.client {
            self.deliver(service, &answer.body);
        }
    }

    /// Passes a message to the node. It is lost if the node is down or does not read.
    pub(super) fn deliver(&mut self, src: &str, body: &str) {
        if !matches!(
            self.node,
            NodeState::Starting { .. } | NodeState::Ready { .. }
        ) {
            return self.metrics.lost(Loss::NodeDown);
        }
        if self.inbox.len() > NODE_INPUT_BYTES_MAX {
            return self.metrics.lost(Loss::NodeSlow);
        }
        wire::write_message(&mut self.inbox, src, &self.settings.id, body);
    }

    /// Lets a connection end once its output has been written.
    pub(super) fn close(&mut self, key: usize) {
        if let Some(connection) = self.connections.get(key) {
            let number = connection.number;
            let role = self.connections.close(key, self.now);
            self.forget(number, role, "closed");
        }
    }

    /// Lets all connections end.
    pub(super) fn close_all(&mut self) {
        for key in self.connections.keys() {
            self.close(key);
        }
    }

    /// Ends a connection at once.
    pub(super) fn remove(&mut self, key: usize, why: &str) {
        if let Some(connection) = self.connections.get(key) {
            let number = connection.number;
            let role = self.connections.remove(key);
            self.forget(number, role, why);
        }
    }

    /// Forgets what is known of a connection that has this number and had this role.
    fn forget(&mut self, number: u64, role: Option<Role>, why: &str) {
        match role {
            Some(Role::Unknown { .. }) => self.unknown_count -= 1,
            Some(Role::Client { open }) => {
                self.clients.remove(&number);
                self.open_count -= open.len();
                for request in &open {
                    self.metrics
                        .request(&request.kind, Outcome::ClientGone, None);
                }
            }
            Some(Role::ToPeer { peer, .. }) => self.peers[peer].to = None,
            Some(Role::FromPeer { peer, .. }) => self.on_peer_lost(peer, why),
            Some(Role::Scrape(_) | Role::Closing { .. }) | None => {}
        }
    }

    /// Does what is due by now.
    pub(super) fn tick(&mut self) {
        self.log.report_dropped(self.now);
        let is_second_over = self.now >= self.keepalive_at;
        if is_second_over {
            self.keepalive_at = self.now + KEEPALIVE_INTERVAL;
            self.keep_peers_alive();
            let now = self.now;
            self.fail_open(
                |request| now >= request.began_at + REQUEST_TIMEOUT,
                &Error::new(ErrorCode::TIMEOUT, "the node has not answered in time"),
            );
        }
        self.end_late_connections();
        self.dial_due();
    }

    /// Ends the connections whose time is over.
    fn end_late_connections(&mut self) {
        let (now, limits) = (self.now, &self.settings.limits);
        let authentication_timeout = limits.authentication_timeout;
        let has_token = self.settings.token.is_some();
        let (mut unauthenticated, mut late) = (Vec::new(), Vec::new());
        for (key, connection) in self.connections.iter_mut() {
            match &connection.role {
                Role::Unknown { since } if has_token && now >= *since + authentication_timeout => {
                    unauthenticated.push(key);
                }
                Role::Scrape(scrape) if now >= scrape.since + SCRAPE_TIMEOUT => late.push(key),
                Role::Closing { until } if now >= *until => late.push(key),
                _ => {}
            }
        }
        for key in unauthenticated {
            let text = format!("no token within {authentication_timeout:?}");
            self.refuse(key, None, text);
        }
        for key in late {
            self.remove(key, "late");
        }
    }
}

/// The number in the name of a client.
fn client_number(name: &str) -> Option<u64> {
    name.strip_prefix('c')?.parse().ok()
}
