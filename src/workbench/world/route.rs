//! The way of a message: from a node's output or a client, through the network, to whom it is for.

use std::mem;
use std::time::Duration;

use super::{Loss, Observer, Sighting, World};
use crate::protocol::Encode;
use crate::workbench::body::BodyWriter;
use crate::workbench::directory::Directory;
use crate::workbench::network::{Endpoint, Envelope};
use crate::workbench::workload::Workload;

impl<W: Workload, O: Observer> World<W, O> {
    /// Clients of their own ask every node to get ready. They have the first names, as upstream.
    pub(super) fn send_init(&mut self) {
        let nodes = self.directory.nodes().to_vec();
        for (node, name) in nodes.iter().enumerate() {
            let client = Endpoint::Client(self.directory.add_client());
            let mut body = Vec::new();
            BodyWriter::new(&mut body, "init")
                .field("node_id", name.as_str())
                .field("node_ids", NameList(&nodes))
                .field("msg_id", 1u64);
            self.send(client, Endpoint::Node(node), &body, Duration::ZERO);
        }
        for _ in 0..self.settings.client_count {
            self.directory.add_client();
        }
    }

    /// Sends what a client asks of a node.
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
        let client = Endpoint::Client(self.endpoint_number(client));
        self.send(client, Endpoint::Node(node), &body, now);
        self.scratch = body;
    }

    /// Puts a message into the network, or delivers it if it takes no time.
    pub(super) fn send(&mut self, src: Endpoint, dest: Endpoint, body: &[u8], now: Duration) {
        let (id, due_at) = self.network.send(src, dest, now);
        let sighting = sighting(&self.directory, now, id, now, src, dest, body);
        self.observer.sent(&sighting);
        if due_at > now {
            self.network.keep(Envelope {
                due_at,
                id,
                src,
                sent_at: now,
                dest,
                body: Box::from(body),
            });
        } else if self.network.lets_through(src, dest) {
            self.deliver(id, now, src, dest, body, now);
        } else {
            self.observer.lost(&sighting, Loss::Partition);
        }
    }

    /// A message is due.
    pub(super) fn arrive(&mut self, envelope: &Envelope, now: Duration) {
        let &Envelope {
            id,
            sent_at,
            src,
            dest,
            ..
        } = envelope;
        if self.network.lets_through(src, dest) {
            self.deliver(id, sent_at, src, dest, &envelope.body, now);
        } else {
            self.lose(envelope, Loss::Partition, now);
        }
    }

    /// A message will not arrive.
    pub(super) fn lose(&mut self, envelope: &Envelope, why: Loss, now: Duration) {
        let Envelope {
            id,
            sent_at,
            src,
            dest,
            body,
            ..
        } = envelope;
        let sighting = sighting(&self.directory, now, *id, *sent_at, *src, *dest, body);
        self.observer.lost(&sighting, why);
    }

    /// A message has arrived.
    pub(super) fn deliver(
        &mut self,
        id: u64,
        sent_at: Duration,
        src: Endpoint,
        dest: Endpoint,
        body: &[u8],
        now: Duration,
    ) {
        let sighting = sighting(&self.directory, now, id, sent_at, src, dest, body);
        self.observer.received(&sighting);
        match (dest, src) {
            (Endpoint::Node(node), _) => write_line(&mut self.inboxes[node], &sighting),
            (Endpoint::Service(service), Endpoint::Node(node)) => {
                self.serve(service, node, body, now);
            }
            (Endpoint::Client(client), Endpoint::Node(node)) => {
                self.answer_client(client, node, body, now);
            }
            // Clients and services talk to nodes only.
            (Endpoint::Client(_) | Endpoint::Service(_), _) => {}
        }
    }

    fn serve(&mut self, service: usize, node: usize, body: &[u8], now: Duration) {
        let mut answer = mem::take(&mut self.scratch);
        answer.clear();
        let client = Endpoint::Node(node);
        match self.services.handle(service, client, body, &mut answer) {
            Err(error) => self.heard_garbage(node, body, &error.to_string()),
            // It asked without a msg_id, and so for no answer.
            Ok(()) if answer.is_empty() => {}
            Ok(()) => self.send(Endpoint::Service(service), client, &answer, now),
        }
        self.scratch = answer;
    }
}

/// Writes a message as a node reads it.
fn write_line(out: &mut Vec<u8>, message: &Sighting<'_>) {
    out.extend_from_slice(b"{\"id\":");
    message.id.encode(out);
    out.extend_from_slice(b",\"src\":");
    message.src.encode(out);
    out.extend_from_slice(b",\"dest\":");
    message.dest.encode(out);
    out.extend_from_slice(b",\"body\":");
    out.extend_from_slice(message.body);
    out.extend_from_slice(b"}\n");
}

/// Names as a JSON list.
struct NameList<'a>(&'a [String]);

impl Encode for NameList<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        let names: Vec<&str> = self.0.iter().map(String::as_str).collect();
        names.as_slice().encode(out);
    }
}

fn sighting<'a>(
    directory: &'a Directory,
    at: Duration,
    id: u64,
    sent_at: Duration,
    src: Endpoint,
    dest: Endpoint,
    body: &'a [u8],
) -> Sighting<'a> {
    Sighting {
        at,
        id,
        sent_at,
        src: directory.name(src),
        dest: directory.name(dest),
        body,
    }
}
