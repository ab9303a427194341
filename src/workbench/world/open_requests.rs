//! The requests of a node to services that it has no reply to yet.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The requests of a node to services, from when it sends them until its driver takes the replies.
#[derive(Default)]
pub(super) struct OpenRequests {
    /// The bodies of the requests. Only ever looked up, never iterated: their order can't leak into a run.
    bodies: HashMap<Key, String>,
    /// The requests whose replies the driver has not taken yet.
    answered: Vec<Key>,
}

/// The service, and the message id as it was written.
type Key = (usize, String);

/// The id of a request. One that is null counts as none.
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    msg_id: Option<&'a RawValue>,
}

impl OpenRequests {
    /// Adds a request. If another with its message id is open, returns the body of that. Two that are equal are one that
    /// is repeated: then either reply is right for both.
    pub(super) fn ask(&mut self, service: usize, body: &str) -> Option<String> {
        let request: Request<'_> = serde_json::from_str(body).ok()?;
        let key = (service, request.msg_id?.to_string());
        let other = self.bodies.insert(key, String::from(body));
        other.filter(|other| other != body)
    }

    /// A reply of a service waits for the driver. Services write the id last: there is no need to parse the body.
    pub(super) fn answer(&mut self, service: usize, body: &str) {
        if let Some((_, end)) = body.rsplit_once("\"in_reply_to\":") {
            let id = end.trim_end_matches('}');
            self.answered.push((service, String::from(id)));
        }
    }

    /// The driver takes the replies that wait.
    pub(super) fn take_answers(&mut self) {
        for request in self.answered.drain(..) {
            self.bodies.remove(&request);
        }
    }
}
