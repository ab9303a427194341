//! The route of a message: from the output of a node, or from a client, through the network to its receiver.

use std::mem;
use std::time::Duration;

use super::phase::Phase;
use super::{Event, Loss, MessageEvent, Observer, UNREAD_BYTES_MAX, World};
use crate::protocol::Encode;
use crate::workbench::body::{BodyWriter, write_envelope};
use crate::workbench::directory::Directory;
use crate::workbench::network::{Endpoint, Envelope, Header};
use crate::workbench::service::{LateAnswer, Service};
use crate::workbench::workload::Workload;

/// The message id of the introduction.
pub(super) const INTRODUCTION_MSG_ID: i64 = 1;

/// The purpose of a client.
pub(super) enum Asker {
    /// To send `init` to this node.
    Initializer(usize),
    /// To send the introduction to this node.
    Introducer(usize),
    /// To send the workload's requests, as the run's client with this number.
    Client(usize),
}

/// How long the first message between nodes takes that is sent while nodes start; those that follow do not overtake it. On
/// Maelstrom, whose code is cold then, it took 45 to 80 ms, and in that time the other nodes had read their `init`.
const FIRST_LATENCY: Duration = Duration::from_millis(50);

impl<W: Workload, O: Observer> World<W, O> {
    /// Names all clients, and sends the first node its `init`. As upstream, the clients that send `init` have the first
    /// names, and those that send the introduction the next ones.
    pub(super) fn begin(&mut self) {
        let node_count = self.directory.nodes().len();
        for _ in 0..2 * node_count + self.settings.client_count {
            self.add_client();
        }
        self.send_due_inits(Duration::ZERO);
    }

    /// Names the next client.
    pub(super) fn add_client(&mut self) {
        self.directory.add_client();
        if self.is_elsewhere {
            self.inboxes.push(Vec::new());
        }
    }

    /// Sends the nodes their first `init` whose time has come.
    pub(super) fn send_due_inits(&mut self, now: Duration) {
        while let Some((node, init_msg_id)) = self.node_states.next_init(now) {
            self.send_init(node, init_msg_id, now);
        }
    }

    /// Sends `init` to a node.
    pub(super) fn send_init(&mut self, node: usize, msg_id: i64, now: Duration) {
        let mut body = Vec::new();
        let nodes = self.directory.nodes();
        self.observer.happened(now, &Event::Joined(&nodes[node]));
        BodyWriter::new(&mut body, "init")
            .field("node_id", nodes[node].as_str())
            .field("node_ids", NameList(nodes))
            .field("msg_id", msg_id);
        self.send(
            Endpoint::Client(node),
            Endpoint::Node(node),
            text(&body),
            now,
        );
    }

    /// Sends the workload's introduction to every node. Returns the nodes that must reply.
    pub(super) fn introduce(&mut self, now: Duration) -> Vec<usize> {
        self.first_sent.fill(None);
        let Some(introduction) = self.workload.introduction() else {
            return Vec::new();
        };
        let mut body = Vec::new();
        let (name, value) = introduction.field;
        BodyWriter::new(&mut body, introduction.kind)
            .json_field(name, &value)
            .field("msg_id", INTRODUCTION_MSG_ID);
        let node_count = self.directory.nodes().len();
        for node in 0..node_count {
            let introducer = Endpoint::Client(node_count + node);
            self.send(introducer, Endpoint::Node(node), text(&body), now);
        }
        (0..node_count).collect()
    }

    /// The purpose of the client that joined with this number.
    pub(super) fn asker(&self, joined: usize) -> Asker {
        let node_count = self.directory.nodes().len();
        match joined.checked_sub(2 * node_count) {
            Some(client) => Asker::Client(client),
            None if joined < node_count => Asker::Initializer(joined),
            None => Asker::Introducer(joined - node_count),
        }
    }

    /// The number in the name of a client of the run.
    pub(super) fn joined(&self, client: usize) -> usize {
        client + 2 * self.directory.nodes().len()
    }

    /// Sends a request of a client to its node.
    pub(super) fn send_request(
        &mut self,
        client: usize,
        node: usize,
        call: &W::Call,
        msg_id: i64,
        now: Duration,
    ) {
        let mut body = mem::take(&mut self.scratch);
        body.clear();
        let writer = BodyWriter::new(&mut body, W::request_kind(call));
        drop(W::write_request(call, writer).field("msg_id", msg_id));
        let client = Endpoint::Client(self.joined(client));
        self.send(client, Endpoint::Node(node), text(&body), now);
        self.scratch = body;
    }

    /// Puts a message into the network, or delivers it if it has no latency.
    pub(super) fn send(&mut self, src: Endpoint, dest: Endpoint, body: &str, now: Duration) {
        self.send_marked(src, dest, body, false, now);
    }

    /// Like [`send`](Self::send), and marks the message if it is the stale reply of a service.
    fn send_marked(
        &mut self,
        src: Endpoint,
        dest: Endpoint,
        body: &str,
        is_stale: bool,
        now: Duration,
    ) {
        let (id, due_at) = self.network.send(src, dest, now);
        let due_at = due_at.max(self.held_until(src, dest, now));
        let header = Header {
            id,
            src,
            sent_at: now,
            dest,
            is_stale,
        };
        let event = message_event(&self.directory, now, &header, body);
        self.observer.sent(&event);
        let copies = self.network.copies(src, dest);
        if copies[0].is_none() {
            self.observer.lost(&event, Loss::Chance);
        }
        for delay in copies.into_iter().flatten() {
            let due_at = due_at + delay;
            if due_at > now {
                self.network.keep(Envelope {
                    due_at,
                    header,
                    body: Box::from(body),
                });
            } else if self.network.lets_through(src, dest) {
                self.deliver(&header, body, now);
            } else {
                let event = message_event(&self.directory, now, &header, body);
                self.observer.lost(&event, Loss::Partition);
            }
        }
    }

    /// Until when a message is held because it is one of the first between nodes, which pass slowly while nodes start.
    fn held_until(&mut self, src: Endpoint, dest: Endpoint, now: Duration) -> Duration {
        if !matches!((src, dest), (Endpoint::Node(_), Endpoint::Node(_))) {
            return Duration::ZERO;
        }
        if self.first_pass_at.is_zero() && matches!(self.phase, Phase::Starting) {
            self.first_pass_at = now + FIRST_LATENCY;
        }
        self.first_pass_at
    }

    /// A message, or a copy of one, is due.
    pub(super) fn arrive(&mut self, envelope: &Envelope, now: Duration) {
        let Envelope { header, body, .. } = envelope;
        if self.network.lets_through(header.src, header.dest) {
            self.deliver(header, body, now);
        } else {
            self.lose(envelope, Loss::Partition, now);
        }
    }

    /// A message will not arrive.
    pub(super) fn lose(&mut self, envelope: &Envelope, why: Loss, now: Duration) {
        let Envelope { header, body, .. } = envelope;
        let event = message_event(&self.directory, now, header, body);
        self.observer.lost(&event, why);
    }

    /// A message has arrived. It is lost if its receiver is down.
    fn deliver(&mut self, header: &Header, body: &str, now: Duration) {
        let &Header { src, dest, .. } = header;
        let event = message_event(&self.directory, now, header, body);
        if matches!(dest, Endpoint::Node(node) if !self.node_states.is_up(node)) {
            return self.observer.lost(&event, Loss::NodeDown);
        }
        self.received.count(src, dest);
        self.stale_received += u64::from(header.is_stale);
        self.observer.received(&event);
        match (dest, src) {
            (Endpoint::Node(node), _) => {
                if header.is_stale {
                    self.last_stale_at[node] = Some(now);
                }
                let is_from_last = self.last_sent[node].is_some_and(|(_, last)| last == src);
                if is_from_last
                    && !matches!(src, Endpoint::Client(_))
                    && body.contains(r#""in_reply_to""#)
                {
                    self.heard_back_at[node].get_or_insert(now);
                }
                let inbox = match src {
                    Endpoint::Client(client) if self.is_elsewhere => &mut self.inboxes[client],
                    _ => &mut self.inboxes[node],
                };
                write_line(inbox, &event);
                if inbox.len() > UNREAD_BYTES_MAX {
                    self.stopped_reading(node, now);
                }
            }
            (Endpoint::Service(service), client) => self.serve(service, client, body, now),
            (Endpoint::Client(client), _) => self.answer_client(client, src, body, now),
        }
    }

    fn serve(&mut self, service: usize, client: Endpoint, body: &str, now: Duration) {
        let mut answer = mem::take(&mut self.scratch);
        answer.clear();
        let handled = self.services.handle(service, client, body, &mut answer);
        if let Endpoint::Node(node) = client {
            match &handled {
                Ok(None) => {}
                Ok(Some(why)) => self.asked_oddly(node, service, body, why),
                Err(error) => self.on_wrong_body(node, body, error),
            }
        }
        if handled.is_ok() && !answer.is_empty() {
            let is_stale = self.services.is_stale(service);
            self.send_marked(
                Endpoint::Service(service),
                client,
                text(&answer),
                is_stale,
                now,
            );
        }
        self.scratch = answer;
    }

    /// Replaces the service at `address`.
    pub fn replace_service(&mut self, address: &str, service: Box<dyn Service>) {
        self.services.replace(address, service);
    }

    /// A service has replied to an earlier request. The reply is ignored when the run is over.
    pub fn on_late_answer(&mut self, answer: &LateAnswer, now: Duration) {
        let service = self.directory.find(answer.service);
        let service = service.expect("a service of the run");
        if !self.is_over() {
            self.send(service, answer.client, &answer.body, now);
        }
    }
}

/// A body that the workbench wrote.
fn text(body: &[u8]) -> &str {
    str::from_utf8(body).expect("what is written as JSON is text")
}

/// Writes a message as a node reads it.
fn write_line(out: &mut Vec<u8>, message: &MessageEvent<'_>) {
    out.extend_from_slice(b"{\"id\":");
    message.id.encode(out);
    out.push(b',');
    write_envelope(out, message.src, message.dest, message.body);
}

/// Names as a JSON list.
struct NameList<'a>(&'a [String]);

impl Encode for NameList<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        let names: Vec<&str> = self.0.iter().map(String::as_str).collect();
        names.as_slice().encode(out);
    }
}

fn message_event<'a>(
    directory: &'a Directory,
    at: Duration,
    header: &Header,
    body: &'a str,
) -> MessageEvent<'a> {
    MessageEvent {
        at,
        id: header.id,
        sent_at: header.sent_at,
        src: directory.name(header.src),
        dest: directory.name(header.dest),
        body,
        is_stale: header.is_stale,
    }
}
