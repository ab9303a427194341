//! The services that Maelstrom offers to nodes: key-value stores and a timestamp oracle.
//!
//! | address | what | consistency |
//! |---|---|---|
//! | `seq-kv` | key-value store | sequential: upstream's ([`Sequential`]), with or without its wrap, or the laziest legal one ([`Lazy`]) |
//! | `lin-kv` | key-value store | linearizable ([`Linearizable`]) |
//! | `lww-kv` | key-value store | none: two replicas that never merge ([`LastWriteWins`]) |
//! | `lin-tso` | timestamps | linearizable ([`TimestampOracle`]) |
//!
//! A cluster of [`etcd`] can answer as `seq-kv` and `lin-kv` instead. A service of this crate replies at once; the network
//! adds latency. Bodies are read and written as text: two values are parsed only to compare them when their texts differ.

#[cfg(test)]
mod agreement;
pub mod etcd;
mod kv;
mod last_write_wins;
mod lazy;
mod linearizable;
mod sequential;
#[cfg(test)]
mod testing;
mod timestamp;

use std::borrow::Cow;

use clap::ValueEnum;
use rand::SeedableRng;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::network::Endpoint;
use super::random::Random;
use crate::protocol::{Error, ErrorCode, present};

pub use last_write_wins::LastWriteWins;
pub use lazy::Lazy;
pub use linearizable::Linearizable;
pub use sequential::{STATE_COUNT, Sequential};
pub use timestamp::TimestampOracle;

use super::body::BodyWriter;
use kv::Request;

/// A service.
pub trait Service {
    /// Performs `call` and writes the body of the reply to `out`, or nothing if a [`LateAnswer`] follows.
    ///
    /// # Errors
    ///
    /// The error to reply with. Then nothing is written to `out`.
    fn handle(&mut self, call: &Call<'_>, out: &mut Vec<u8>) -> Result<(), Error>;

    /// Whether the last reply was about a value that had been replaced: a real-time store would have given another. A
    /// service that cannot tell says no.
    fn is_stale(&self) -> bool {
        false
    }
}

/// A request to a service.
pub struct Call<'a> {
    client: Endpoint,
    body: &'a Body<'a>,
}

/// A reply that a service gives after [`Service::handle`] has returned.
pub struct LateAnswer {
    /// The address of the service.
    pub service: &'static str,
    /// The client whose request it answers.
    pub client: Endpoint,
    /// The body of the reply, as JSON.
    pub body: String,
}

/// The body of a request, with the fields that the services use. A field that is null is there.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    /// Any JSON. The reply repeats it unchanged.
    #[serde(borrow, default, deserialize_with = "present")]
    msg_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    key: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    from: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    to: Option<&'a RawValue>,
    #[serde(borrow)]
    create_if_not_exists: Option<&'a RawValue>,
}

/// All services, by address.
pub struct Services(Vec<(&'static str, Box<dyn Service>)>);

/// The store that answers as `seq-kv`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum SequentialStore {
    /// Upstream's store. A client that is far behind can see time go backwards.
    #[default]
    Maelstrom,
    /// Upstream's store without that fault: it is sequentially consistent, and a change brings its client up to date.
    Strict,
    /// A sequentially consistent store whose replies are as old as that permits, even after a change.
    Lazy,
}

impl Services {
    /// Upstream's services, with the given store as `seq-kv`.
    pub fn new(sequential: SequentialStore, mut random: Random) -> Self {
        let own = Random::from_rng(&mut random);
        let sequential: Box<dyn Service> = match sequential {
            SequentialStore::Maelstrom => Box::new(Sequential::new(own)),
            SequentialStore::Strict => Box::new(Sequential::strict(own)),
            SequentialStore::Lazy => Box::new(Lazy::default()),
        };
        let last_write_wins = LastWriteWins::new(Random::from_rng(&mut random));
        Services(vec![
            ("seq-kv", sequential),
            ("lin-kv", Box::new(Linearizable::default())),
            ("lww-kv", Box::new(last_write_wins)),
            ("lin-tso", Box::new(TimestampOracle::default())),
        ])
    }

    /// Only these services, each with its address.
    pub fn only(services: Vec<(&'static str, Box<dyn Service>)>) -> Self {
        Services(services)
    }

    /// Replaces the service at `address`.
    pub fn replace(&mut self, address: &str, service: Box<dyn Service>) {
        let mut services = self.0.iter_mut();
        let place = services.find(|(other, _)| *other == address);
        place.expect("services are replaced by their address").1 = service;
    }

    /// The addresses of the services, in the order of [`Endpoint::Service`].
    pub fn addresses(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|&(address, _)| address)
    }

    /// Whether the last reply of a service was about a value that had been replaced.
    pub fn is_stale(&self, service: usize) -> bool {
        self.0[service].1.is_stale()
    }

    /// Handles one message. Writes the body of the reply to `out`, or nothing if the reply comes later. Returns a warning
    /// about the request for the report, if there is one.
    ///
    /// As upstream, `in_reply_to` is the `msg_id` unchanged, whatever JSON it is, and null if there is none. Upstream
    /// does not reply to a request of an unknown type; this returns error 10.
    ///
    /// # Errors
    ///
    /// When the body has no `type`. Upstream does not reply to it.
    pub fn handle(
        &mut self,
        service: usize,
        client: Endpoint,
        body: &str,
        out: &mut Vec<u8>,
    ) -> Result<Option<String>, serde_json::Error> {
        let body: Body<'_> = serde_json::from_str(body)?;
        let call = Call {
            client,
            body: &body,
        };
        let (_, service) = &mut self.0[service];
        let Err(error) = service.handle(&call, out) else {
            return Ok(missing_fields(&body).or_else(|| odd_id(body.msg_id)));
        };
        write_error(&error, body.msg_id, out);
        let is_unknown = error.code == ErrorCode::NOT_SUPPORTED;
        let unknown =
            is_unknown.then(|| format!("{}. Maelstrom's leaves it unanswered", error.text));
        let odd = unknown.or_else(|| missing_fields(&body));
        Ok(odd.or_else(|| odd_id(body.msg_id)))
    }
}

/// A warning about a request without a field that it needs, for the report.
fn missing_fields(body: &Body<'_>) -> Option<String> {
    let (id, key) = (("msg_id", body.msg_id), ("key", body.key));
    let needed: &[(&str, Option<&RawValue>)] = match &*body.kind {
        "read" => &[id, key],
        "write" => &[id, key, ("value", body.value)],
        "cas" => &[id, key, ("from", body.from), ("to", body.to)],
        _ => &[id],
    };
    let missing = needed.iter().filter(|(_, field)| field.is_none());
    let names: Vec<&str> = missing.map(|(name, _)| *name).collect();
    (!names.is_empty()).then(|| {
        let names = names.join(" and no ");
        format!("it has no {names}. Maelstrom takes a missing field as null")
    })
}

/// A warning about an id that is not an integer, for the report.
fn odd_id(msg_id: Option<&RawValue>) -> Option<String> {
    let is_number = |id: &&RawValue| {
        id.get()
            .starts_with(|char: char| char == '-' || char.is_ascii_digit())
    };
    let id = msg_id.filter(|id| !is_number(id))?;
    Some(format!(
        "its msg_id is {id}, not a number. Maelstrom takes it as it is"
    ))
}

/// The reply to a request on a key whose value is `current`.
fn answer(
    call: &Call<'_>,
    request: &Request<'_>,
    current: Option<&RawValue>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let body = match request {
        Request::Read => {
            let value = current.ok_or_else(no_such_key)?;
            BodyWriter::new(out, "read_ok").field("value", value)
        }
        Request::Write { .. } => BodyWriter::new(out, "write_ok"),
        Request::CompareAndSet { from, create, .. } => match current {
            Some(value) if !kv::same(value, from) => {
                return Err(unexpected_value(value, from));
            }
            None if !create => return Err(no_such_key()),
            _ => BodyWriter::new(out, "cas_ok"),
        },
    };
    body.json_field("in_reply_to", &call.body.msg_id);
    Ok(())
}

fn no_such_key() -> Error {
    Error::new(ErrorCode::KEY_DOES_NOT_EXIST, "key does not exist")
}

fn unexpected_value(value: &RawValue, from: &RawValue) -> Error {
    let text = format!("current value {value} is not {from}");
    Error::new(ErrorCode::PRECONDITION_FAILED, text)
}

/// Writes the body of an error reply.
fn write_error(error: &Error, msg_id: Option<&RawValue>, out: &mut Vec<u8>) {
    BodyWriter::new(out, "error")
        .field("code", error.code.0)
        .field("text", &*error.text)
        .json_field("in_reply_to", &msg_id);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::random::Stream;

    #[test]
    fn the_id_of_a_request_is_given_back_as_it_came() {
        let random = Stream::Services.seeded(1);
        let mut services = Services::new(SequentialStore::Maelstrom, random);
        let oracle = services.addresses().position(|name| name == "lin-tso");
        let oracle = oracle.expect("a service");
        for id in ["9223372036854775808", "-1180591620717411303425", "1.0"] {
            for kind in ["ts", "sing"] {
                let mut out = Vec::new();
                let request = format!(r#"{{"type":"{kind}","msg_id":{id}}}"#);
                let handled = services.handle(oracle, Endpoint::Node(0), &request, &mut out);
                handled.expect("a request with a type");
                let answer = String::from_utf8(out).expect("JSON");
                let in_reply_to = format!(r#""in_reply_to":{id}}}"#);
                assert!(answer.ends_with(&in_reply_to), "{answer}");
            }
        }
    }
}
