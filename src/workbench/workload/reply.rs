//! The replies of nodes to clients, and how a workload reads them.

use serde::de::value::MapDeserializer;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::protocol::Text;
use crate::workbench::json::{Members, is_whole_number};

/// The body of a node's reply to a client, with each field as text.
///
/// Ids and codes are kept as written: a node may use numbers of any size.
pub struct Reply<'a> {
    /// The whole body.
    pub body: &'a str,
    fields: Members<'a>,
}

/// A field whose value is not read: [`Reply::value`] has it, unless the field is missing. serde_json would go through the
/// whole text of a value again to give the same text.
pub struct Unread;

impl<'de> Deserialize<'de> for Unread {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Unread)
    }
}

/// The fields of a reply without contents.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Done {}

impl<'a> Reply<'a> {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// When it is not a JSON object.
    pub fn read(body: &'a str) -> Result<Self, serde_json::Error> {
        let fields = serde_json::from_str(body)?;
        Ok(Reply { body, fields })
    }

    /// The value of a field, if the body has it.
    pub fn value(&self, name: &str) -> Option<&'a RawValue> {
        self.fields.get(name)
    }

    /// The text of a field, if the body has it.
    pub fn field(&self, name: &str) -> Option<&'a str> {
        self.value(name).map(RawValue::get)
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.is_of_kind("error")
    }

    fn is_of_kind(&self, kind: &str) -> bool {
        let text = self.field("type").map(serde_json::from_str);
        matches!(text, Some(Ok(Text(text))) if text == kind)
    }

    /// Expects a reply of type `kind`.
    ///
    /// # Errors
    ///
    /// When it is of another type.
    pub fn check_kind(&self, kind: &str) -> Result<(), String> {
        if self.is_of_kind(kind) {
            return Ok(());
        }
        Err(match self.field("type") {
            Some(other) => format!("its type is {other}, not {kind:?}"),
            None => format!("it has no type, which would be {kind:?}"),
        })
    }

    /// The fields of a reply of type `kind`. Upstream checks replies against closed schemas, so `F` must deny unknown
    /// fields.
    ///
    /// # Errors
    ///
    /// When it is of another type, lacks a field or has an unknown one.
    pub fn fields<F: Deserialize<'a>>(&self, kind: &str) -> Result<F, String> {
        self.check_kind(kind)?;
        if let Some(msg_id) = self.field("msg_id").filter(|id| !is_whole_number(id)) {
            return Err(format!(
                "its msg_id is {msg_id}, and Maelstrom refuses {kind} with one that is no whole number"
            ));
        }
        let own = self.fields.0.iter();
        let own = own.filter(|(name, _)| !matches!(&**name, "type" | "msg_id" | "in_reply_to"));
        let own = own.map(|(name, value)| (&**name, *value));
        F::deserialize(MapDeserializer::new(own)).map_err(|error| reply_error(&error, kind))
    }

    /// Expects a reply of type `kind` without contents, and returns `answer`.
    ///
    /// # Errors
    ///
    /// When it is of another type or has fields of its own.
    pub fn done<A>(&self, kind: &str, answer: A) -> Result<A, String> {
        self.fields(kind).map(|Done {}| answer)
    }
}

/// Reads the fields of a body, which may have others.
///
/// # Errors
///
/// What is wrong with the body.
pub(super) fn fields<'a, F: Deserialize<'a>>(body: &'a str) -> Result<F, String> {
    serde_json::from_str(body).map_err(|error| json_error(&error))
}

fn reply_error(error: &serde_json::Error, kind: &str) -> String {
    let what = json_error(error);
    let unknown = what.strip_prefix("unknown field `");
    match unknown.and_then(|rest| rest.split_once("`, ")) {
        Some((name, _)) => format!(
            "it has a field {name:?}, and Maelstrom refuses {kind} with fields that are not declared"
        ),
        None => what,
    }
}

/// The message for a JSON error. It has no position, which would be one in a body that is shown elsewhere, and no type
/// names of this program.
pub fn json_error(error: &serde_json::Error) -> String {
    let is_json = error.is_data();
    let error = error.to_string();
    let what = error.split(" at line ").next().unwrap_or_default();
    if !is_json {
        return format!("it is not JSON: {what}");
    }
    what.replace("expected i64", "expected a whole number")
        .replace("expected u64", "expected a whole number from 0 up")
        .replace("type: sequence", "type: list")
        .replace("a sequence", "a list")
        .replace("type: map", "type: object")
        .replace("a map", "an object")
}
