//! The other nodes of the cluster. The receiver of messages opens the connection for them: a message that names a peer as
//! its source comes from the address that is configured for the peer.

use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use serde_json::value::RawValue;

use super::PeerAddress;
use super::backoff::Backoff;
use super::clients::PEER;
use super::connections::Role;
use super::limits::{
    DIAL_BACKOFF_MAX, PEER_LINE_BYTES_MAX, PEER_OUTPUT_BYTES_MAX, PEER_SILENCE_MAX,
};
use super::metrics::Loss;
use super::router::Router;
use super::wire::{self, ErrorBody, Head, Introduction, KEEPALIVE};
use crate::protocol::{LineError, LineReader};
use crate::workbench::world::shown;

/// Another node.
pub(super) struct Peer {
    pub id: String,
    address: SocketAddr,
    /// The connection that carries messages to it.
    pub to: Option<usize>,
    /// The connection that carries its messages to this node.
    pub from: Option<usize>,
    is_confirmed: bool,
    backoff: Backoff,
    /// When to connect to it, unless there is a connection.
    dial_at: Duration,
    /// Whether the log says that it is not connected.
    is_reported: bool,
}

impl Peer {
    pub(super) fn new(address: &PeerAddress) -> Self {
        Peer {
            id: address.id.clone(),
            address: address.address,
            to: None,
            from: None,
            is_confirmed: false,
            backoff: Backoff::new(DIAL_BACKOFF_MAX),
            dial_at: Duration::ZERO,
            is_reported: false,
        }
    }

    /// Whether messages are carried in both directions.
    pub(super) fn is_connected(&self) -> bool {
        self.is_confirmed && self.to.is_some()
    }
}

impl Router {
    /// Connects to the peers whose messages do not arrive.
    pub(super) fn dial_due(&mut self) {
        for peer in 0..self.peers.len() {
            if self.peers[peer].from.is_none() && self.now >= self.peers[peer].dial_at {
                self.dial(peer);
            }
        }
    }

    fn dial(&mut self, peer: usize) {
        let role = Role::FromPeer {
            peer,
            heard_at: self.now,
            is_confirmed: false,
        };
        let stream = TcpStream::connect(self.peers[peer].address);
        let reader = LineReader::new(PEER_LINE_BYTES_MAX);
        let key = match stream.and_then(|stream| self.connections.add(stream, reader, role)) {
            Ok(key) => key,
            Err(error) => return self.on_peer_lost(peer, &error.to_string()),
        };
        self.peers[peer].from = Some(key);
        let token = self.settings.token.as_ref();
        let introduction = wire::body(PEER, |body| {
            let body = body.field("id", self.settings.id.as_str());
            let body = match token {
                Some(token) => body.field("token", token.as_str()),
                None => body,
            };
            body.field("msg_id", 1u64)
        });
        self.connections
            .send(key, format!("{{\"body\":{introduction}}}\n").as_bytes());
    }

    /// The connection that carried messages of a peer has ended, or there is none.
    pub(super) fn on_peer_lost(&mut self, index: usize, why: &str) {
        let peer = &mut self.peers[index];
        peer.from = None;
        peer.is_confirmed = false;
        peer.dial_at = self.now + peer.backoff.next();
        if !peer.is_reported && !self.is_ending {
            peer.is_reported = true;
            let Peer { id, address, .. } = peer;
            self.log.say(format_args!(
                "{id} at {address} is not connected ({why}); trying again"
            ));
        }
    }

    /// Handles the introduction of a connection that wants to carry the messages of this node to a peer.
    pub(super) fn on_peer_introduced(&mut self, key: usize, id: &str, msg_id: Option<&RawValue>) {
        let Some(index) = self.peers.iter().position(|peer| peer.id == id) else {
            let nodes = self.settings.nodes.join(", ");
            let text = format!("{id:?} is no peer of {} among {nodes}", self.settings.id);
            return self.refuse(key, msg_id, text);
        };
        if self.peers[index].to.is_some() {
            self.log.complain(
                format_args!("a second connection claims to be {id}, and is refused"),
                self.now,
            );
            return self.refuse(key, msg_id, format!("{id} is connected already"));
        }
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        connection.role = Role::ToPeer {
            peer: index,
            heard_at: self.now,
        };
        self.unknown_count -= 1;
        self.peers[index].to = Some(key);
        let answer = wire::body("peer_ok", |body| {
            body.field("id", self.settings.id.as_str())
                .json_field("in_reply_to", &msg_id)
        });
        let mut line = Vec::new();
        wire::write_message(&mut line, &self.settings.id, id, &answer);
        self.connections.send(key, &line);
    }

    /// Handles a line of a peer.
    pub(super) fn on_peer_line(&mut self, key: usize, line: Result<&str, LineError<'_>>) {
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        let Role::FromPeer {
            peer,
            heard_at,
            is_confirmed,
        } = &mut connection.role
        else {
            return;
        };
        let index = *peer;
        *heard_at = self.now;
        let envelope = match &line {
            Ok(line) => wire::envelope(line).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let envelope = match envelope {
            Ok(envelope) => envelope,
            Err(why) => return self.remove(key, &format!("it sent what is no message: {why}")),
        };
        if !*is_confirmed {
            return match self.peers[index].check(envelope.body) {
                Ok(()) => {
                    *is_confirmed = true;
                    self.on_confirmed(index);
                }
                Err(why) => self.remove(key, &why),
            };
        }
        // A keepalive has no destination.
        if envelope.dest.as_deref() == Some(&self.settings.id) {
            let id = self.peers[index].id.clone();
            self.deliver(&id, envelope.body.get());
        }
    }

    fn on_confirmed(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        peer.is_confirmed = true;
        peer.is_reported = false;
        peer.backoff.reset();
        let Peer { id, address, .. } = peer;
        self.log.say(format_args!("{id} at {address} is connected"));
    }

    /// Sends a line of the node to a peer. It is lost if the peer is not connected or does not read.
    pub(super) fn send_to_peer(&mut self, peer: usize, line: &str) {
        let key = self.peers[peer].to;
        let Some(connection) = key.and_then(|key| self.connections.get(key)) else {
            return self.metrics.lost(Loss::PeerNotConnected);
        };
        if connection.output_bytes() + line.len() > PEER_OUTPUT_BYTES_MAX {
            return self.metrics.lost(Loss::PeerSlow);
        }
        let key = key.expect("it has a connection");
        self.connections.send(key, line.as_bytes());
        self.connections.send(key, b"\n");
    }

    /// Shows all peers that this service is there, and drops the connections of those that do not.
    pub(super) fn keep_peers_alive(&mut self) {
        let mut silent = Vec::new();
        let mut alive = Vec::new();
        for (key, connection) in self.connections.iter_mut() {
            let (Role::ToPeer { heard_at, .. } | Role::FromPeer { heard_at, .. }) =
                &connection.role
            else {
                continue;
            };
            match self.now >= *heard_at + PEER_SILENCE_MAX {
                true => silent.push(key),
                // A connection with waiting output needs no line more.
                false if connection.output_bytes() == 0 => alive.push(key),
                false => {}
            }
        }
        for key in alive {
            self.connections.send(key, KEEPALIVE);
        }
        for key in silent {
            self.remove(key, "it is silent");
        }
    }
}

impl Peer {
    /// Checks the answer to the introduction.
    fn check(&self, body: &RawValue) -> Result<(), String> {
        let head: Head<'_> = wire::object(body.get()).map_err(|error| error.to_string())?;
        match &*head.kind {
            "peer_ok" => {
                let introduction: Introduction<'_> =
                    wire::object(body.get()).map_err(|error| error.to_string())?;
                match introduction.id == self.id {
                    true => Ok(()),
                    false => Err(format!("it says that it is {:?}", introduction.id)),
                }
            }
            "error" => {
                let error: ErrorBody<'_> =
                    wire::object(body.get()).map_err(|error| error.to_string())?;
                Err(format!("it answered: {}", error.text))
            }
            _ => Err(format!("it answered: {}", shown(body.get()))),
        }
    }
}
