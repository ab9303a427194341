//! The lines of clients, and of connections that have not said who they are.

use mio::net::TcpStream;
use serde_json::value::RawValue;

use super::connections::{OpenRequest, Role};
use super::limits::{
    NODE_INPUT_BYTES_MAX, OPEN_REQUESTS_MAX, REFUSALS_MAX, SCRAPE_LINE_BYTES_MAX, SCRAPES_MAX,
};
use super::metrics::Outcome;
use super::router::{NodeState, Router};
use super::scrape::Scrape;
use super::wire::{self, CLOSED, Head, Introduction};
use crate::protocol::{Error, ErrorCode, LineError};
use crate::workbench::words::counted;

/// The type of the request with which a client shows that it knows the token.
const AUTHENTICATE: &str = "authenticate";

/// The answer to a first line without a token, if there is one.
const NO_TOKEN: &str =
    r#"the first line has to be {"body":{"type":"authenticate","token":"...","msg_id":1}}"#;

/// The type of the request with which a peer introduces itself.
pub(super) const PEER: &str = "peer";

impl Router {
    /// Takes a connection that was accepted, or refuses it.
    pub(super) fn on_accepted(&mut self, stream: TcpStream) {
        let limits = &self.settings.limits;
        // Peers must get in however many clients there are.
        let accepted_max = limits.connections_max + self.peers.len();
        let most = accepted_max + 2 * self.peers.len() + SCRAPES_MAX + REFUSALS_MAX;
        if self.connections.len() >= most {
            return;
        }
        let role = Role::Unknown { since: self.now };
        let Ok(key) = self.connections.accept(stream, limits.line_bytes_max, role) else {
            return;
        };
        self.unknown_count += 1;
        if self.clients.len() + self.unknown_count > accepted_max {
            self.refuse_for_number(key);
        }
    }

    /// Takes a connection to the metrics. Others beyond the limit are dropped.
    pub(super) fn on_scrape_accepted(&mut self, stream: TcpStream) {
        let connections = self.connections.iter_mut();
        let roles = connections.map(|(_, connection)| &connection.role);
        if roles.filter(|role| matches!(role, Role::Scrape(_))).count() < SCRAPES_MAX {
            let role = Role::Scrape(Scrape::new(self.now));
            // This fails only for want of memory in the kernel. Prometheus will ask again.
            let _ = self.connections.accept(stream, SCRAPE_LINE_BYTES_MAX, role);
        }
    }

    /// Closes a connection with an error that says why.
    pub(super) fn refuse(&mut self, key: usize, in_reply_to: Option<&RawValue>, why: String) {
        self.send_error(key, in_reply_to, &Error::new(CLOSED, why));
        self.close(key);
    }

    fn refuse_for_number(&mut self, key: usize) {
        let most = self.settings.limits.connections_max;
        self.refuse(
            key,
            None,
            format!(
                "{} at a time is the limit; try again later",
                counted(most, "connection")
            ),
        );
    }

    /// Handles the first line of a connection, which says who it is.
    pub(super) fn on_first_line(&mut self, key: usize, line: Result<&str, LineError<'_>>) {
        let body = line.ok().and_then(|line| wire::client_body(line).ok());
        let introduction = body.and_then(|body| wire::object(body.get()).ok());
        // What introduces nobody is a request, which is examined later.
        let introduction: Introduction<'_> = introduction.unwrap_or_default();
        let Introduction { kind, id, .. } = &introduction;
        let msg_id = (introduction.msg_id).filter(|id| wire::open_id(id).is_ok());
        if let Some(token) = &self.settings.token {
            let wrong = match &**kind {
                AUTHENTICATE | PEER if token.is(&introduction.token) => None,
                AUTHENTICATE | PEER => Some("the token is wrong"),
                _ => Some(NO_TOKEN),
            };
            if let Some(wrong) = wrong {
                return self.refuse(key, msg_id, String::from(wrong));
            }
        }
        if kind == PEER {
            return self.on_peer_introduced(key, id, msg_id);
        }
        if self.clients.len() >= self.settings.limits.connections_max {
            return self.refuse_for_number(key);
        }
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        connection.role = Role::Client { open: Vec::new() };
        self.clients.insert(connection.number, key);
        self.unknown_count -= 1;
        self.on_client_line(key, line);
    }

    /// Handles a line of a client.
    pub(super) fn on_client_line(&mut self, key: usize, line: Result<&str, LineError<'_>>) {
        let line = match line {
            // As nodes do.
            Ok(line) if line.trim_ascii().is_empty() => return,
            Ok(line) => line,
            Err(LineError::TooLong(most)) => {
                return self.refuse(
                    key,
                    None,
                    format!("the line is longer than {}", counted(most, "byte")),
                );
            }
            Err(error @ LineError::NotUtf8(_)) => {
                return self.send_error(key, None, &Error::malformed(error.to_string()));
            }
        };
        let body = wire::client_body(line);
        let read =
            body.and_then(|body| wire::object::<Head<'_>>(body.get()).map(|head| (body, head)));
        let (body, head) = match read {
            Ok(read) => read,
            Err(error) => {
                let id = wire::msg_id_of(line);
                let error = Error::malformed(format!("this is no request: {error}"));
                return self.send_error(key, id.as_deref(), &error);
            }
        };
        if head.in_reply_to.is_some() && head.msg_id.is_none() {
            // It asks for no answer.
            return;
        }
        match &*head.kind {
            AUTHENTICATE => self.on_authenticate(key, body, head.msg_id),
            _ => {
                if let Err(error) = self.on_request(key, body, &head) {
                    self.metrics
                        .request(&head.kind, Outcome::Error(error.code), None);
                    let id = head.msg_id.filter(|id| wire::open_id(id).is_ok());
                    self.send_error(key, id, &error);
                }
            }
        }
    }

    fn on_authenticate(&mut self, key: usize, body: &RawValue, msg_id: Option<&RawValue>) {
        let given = wire::object::<Introduction<'_>>(body.get());
        let is_right = match (&self.settings.token, &given) {
            (None, _) => true,
            (Some(token), Ok(given)) => token.is(&given.token),
            (Some(_), Err(_)) => false,
        };
        if !is_right {
            return self.refuse(key, msg_id, String::from("the token is wrong"));
        }
        let answer = wire::body("authenticate_ok", |body| {
            body.json_field("in_reply_to", &msg_id)
        });
        self.send_body(key, &answer);
    }

    /// Passes a request of a client to the node.
    ///
    /// # Errors
    ///
    /// The error to answer with. Then nothing was passed.
    fn on_request(&mut self, key: usize, body: &RawValue, head: &Head<'_>) -> Result<(), Error> {
        let unavailable = |text: &'static str| Error::new(ErrorCode::TEMPORARILY_UNAVAILABLE, text);
        if head.in_reply_to.is_some() {
            // The node could take it for the reply of a peer or a service.
            let text = "a message with in_reply_to is a reply, and clients can't send replies";
            return Err(Error::new(ErrorCode::NOT_SUPPORTED, text));
        }
        match &*head.kind {
            "init" => {
                let text = "eddy serve sends init, and clients can't";
                return Err(Error::new(ErrorCode::NOT_SUPPORTED, text));
            }
            PEER => {
                return Err(Error::malformed(
                    "a peer introduces itself in its first line",
                ));
            }
            _ => {}
        }
        if self.is_ending {
            return Err(unavailable("the service ends"));
        }
        if !matches!(self.node, NodeState::Ready { .. }) {
            return Err(unavailable("the node is being started"));
        }
        if self.inbox.len() > NODE_INPUT_BYTES_MAX {
            return Err(unavailable("the node does not read its input"));
        }
        let Some(connection) = self.connections.get(key) else {
            return Ok(());
        };
        let client = connection.client_name();
        let Role::Client { open } = &mut connection.role else {
            return Ok(());
        };
        if let Some(msg_id) = head.msg_id
            && let Some(id) = wire::open_id(msg_id)?
        {
            if open.len() == OPEN_REQUESTS_MAX {
                return Err(unavailable("too many requests of this connection are open"));
            }
            open.push(OpenRequest {
                id,
                msg_id: msg_id.to_owned(),
                kind: Box::from(&*head.kind),
                began_at: self.now,
            });
            self.open_count += 1;
        }
        self.deliver(&client, body.get());
        Ok(())
    }
}
