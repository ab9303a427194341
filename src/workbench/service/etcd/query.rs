//! Translates the requests of nodes to requests to etcd, and its responses to replies.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::kv::{self, Request};
use super::super::{Call, no_such_key, unexpected_value};
use super::gateway::{Member, PUT, RANGE, TXN};
use super::session::Keyspace;
use crate::protocol::{Error, ErrorCode};
use crate::workbench::body::BodyWriter;

/// The request to etcd for a request of a node.
pub(super) struct Query {
    json: Value,
    kind: Kind,
    msg_id: Option<Box<RawValue>>,
}

enum Kind {
    Read,
    Write,
    CompareAndSet { from: Box<RawValue> },
}

impl Query {
    /// The query for a request of a node.
    ///
    /// # Errors
    ///
    /// When the request is none of a key-value service's.
    pub(super) fn new(call: &Call<'_>, keyspace: &Keyspace) -> Result<Self, Error> {
        let (key, request) = Request::new(call)?;
        let key = encoded(&keyspace.key(&key));
        let text = |value: &RawValue| encoded(&kv::text_of(value));
        let put = |value: &RawValue| {
            let (value, lease) = (text(value), &keyspace.lease);
            json!({"key": key, "value": value, "lease": lease})
        };
        let (json, kind) = match request {
            Request::Read => {
                let serializable = keyspace.reads_are_serializable;
                let range = json!({"key": key, "serializable": serializable});
                (range, Kind::Read)
            }
            Request::Write { value } => (put(value), Kind::Write),
            Request::CompareAndSet { from, to, create } => {
                let put = json!([{"requestPut": put(to)}]);
                let read = json!([{"requestRange": {"key": key}}]);
                let is_from = json!([{"key": key, "target": "VALUE", "value": text(from)}]);
                let is_missing = json!([{"key": key, "target": "CREATE", "createRevision": "0"}]);
                let otherwise = match create {
                    true => {
                        let create =
                            json!({"compare": is_missing, "success": put, "failure": read});
                        json!([{"requestTxn": create}])
                    }
                    false => read,
                };
                let transaction = json!({"compare": is_from, "success": put, "failure": otherwise});
                let from = kv::kept(from);
                (transaction, Kind::CompareAndSet { from })
            }
        };
        Ok(Query {
            json,
            kind,
            msg_id: call.body.msg_id.map(RawValue::to_owned),
        })
    }

    /// The message id of the node's request, unchanged.
    pub(super) fn msg_id(&self) -> Option<&RawValue> {
        self.msg_id.as_deref()
    }

    /// Sends the query to the member, and writes the body of the reply to `out`.
    ///
    /// # Errors
    ///
    /// The error to reply with, if nothing was written to `out`. It is error 0 unless the response is etcd's.
    pub(super) fn answer(&self, member: &Member, out: &mut Vec<u8>) -> Result<(), Error> {
        let body = match &self.kind {
            Kind::Read => {
                let range: Range = self.ask(member, RANGE)?;
                let value = range.value()?.ok_or_else(no_such_key)?;
                BodyWriter::new(out, "read_ok").json_field("value", &value)
            }
            Kind::Write => {
                let Put {} = self.ask(member, PUT)?;
                BodyWriter::new(out, "write_ok")
            }
            Kind::CompareAndSet { from } => {
                let transaction: Transaction = self.ask(member, TXN)?;
                if let Some(found) = transaction.found_instead()? {
                    let found = found.value()?.ok_or_else(no_such_key)?;
                    return Err(unexpected_value(&found, from));
                }
                BodyWriter::new(out, "cas_ok")
            }
        };
        body.json_field("in_reply_to", &self.msg_id);
        Ok(())
    }

    fn ask<T: DeserializeOwned>(&self, member: &Member, path: &str) -> Result<T, Error> {
        let response = member.ask(path, &self.json);
        let response = response.map_err(|error| Error::new(ErrorCode::TIMEOUT, error.to_string()));
        response.map(|response| response.content)
    }
}

/// The content of the response to a put.
#[derive(Deserialize)]
struct Put {}

/// The content of the response to a range of one key.
#[derive(Deserialize)]
struct Range {
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct KeyValue {
    value: String,
}

/// The content of the response to a transaction.
#[derive(Deserialize)]
struct Transaction {
    /// Whether the comparison was true. Etcd leaves out fields that are false, zero or empty.
    #[serde(default)]
    succeeded: bool,
    #[serde(default)]
    responses: Vec<Part>,
}

#[derive(Deserialize)]
enum Part {
    #[serde(rename = "response_put")]
    Put(IgnoredAny),
    #[serde(rename = "response_range")]
    Range(Range),
    #[serde(rename = "response_txn")]
    Transaction(Transaction),
}

impl Range {
    /// The value of the key; `None` if the key is missing.
    fn value(self) -> Result<Option<Box<RawValue>>, Error> {
        let Some(KeyValue { value }) = self.kvs.into_iter().next() else {
            return Ok(None);
        };
        let bytes = BASE64_STANDARD.decode(value).map_err(not_understood)?;
        let text = String::from_utf8(bytes).map_err(not_understood)?;
        RawValue::from_string(text)
            .map_err(not_understood)
            .map(Some)
    }
}

impl Transaction {
    /// The range that was read because nothing was put.
    fn found_instead(self) -> Result<Option<Range>, Error> {
        if self.succeeded {
            return Ok(None);
        }
        match self.responses.into_iter().next() {
            Some(Part::Range(range)) => Ok(Some(range)),
            Some(Part::Transaction(transaction)) => transaction.found_instead(),
            Some(Part::Put(_)) | None => Err(not_understood("nothing was read or put")),
        }
    }
}

fn encoded(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

/// The error to reply with if a response does not show whether the request took effect.
fn not_understood(why: impl std::fmt::Display) -> Error {
    let text = format!("etcd's response can't be understood: {why}");
    Error::new(ErrorCode::TIMEOUT, text)
}
