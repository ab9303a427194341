//! The events of Jepsen's histories, and their conversion to Maelstrom's requests and replies.

use std::borrow::Cow;

use serde::Deserialize;

use super::{Workload, json_error};

/// An invocation or a completion in one of Jepsen's histories.
pub struct Event<'a> {
    /// The number of the process.
    pub process: usize,
    /// The operation: `:f`.
    pub function: &'a str,
    /// The arguments of an invocation, or the result of a completion: `:value`, as JSON.
    pub value: &'a str,
    /// Whether it belongs to the last phase: `:final?`.
    pub is_final: bool,
    /// The whole event, as JSON.
    pub json: &'a str,
}

/// A function of Jepsen's clients that sends one request to a node.
pub struct Function {
    /// Its name, which is also the type of the request. The type of the reply ends in `_ok`.
    pub name: &'static str,
    /// Where the request has the value of the invocation.
    pub request: ValueIn,
    /// Where the reply has the value of the completion.
    pub reply: ValueIn,
}

/// Where the body of a message has the value of an event.
#[derive(Clone, Copy)]
pub enum ValueIn {
    /// The body does not have it.
    Nowhere,
    /// In this field.
    Field(&'static str),
    /// The value is the body.
    Body,
}

impl Function {
    /// The function of an event. A history may omit it if `functions` has only one, as Elle's do.
    pub(super) fn of<W: Workload>(event: &Event<'_>) -> Result<&'static Function, String> {
        match W::FUNCTIONS {
            [only] if event.function.is_empty() => Ok(only),
            all => all
                .iter()
                .find(|function| function.name == event.function)
                .ok_or_else(|| unknown::<W>(event.function)),
        }
    }
}

impl ValueIn {
    /// The body of type `kind` that has `value` in this place.
    pub(super) fn body<'v>(self, kind: &str, value: &'v str) -> Cow<'v, str> {
        match self {
            ValueIn::Nowhere => format!(r#"{{"type":"{kind}"}}"#).into(),
            ValueIn::Field(name) => format!(r#"{{"type":"{kind}","{name}":{value}}}"#).into(),
            ValueIn::Body => value.into(),
        }
    }
}

impl<'a> Event<'a> {
    /// Reads the value.
    ///
    /// # Errors
    ///
    /// What is wrong with the value.
    pub fn value<T: Deserialize<'a>>(&self) -> Result<T, String> {
        value(self.value)
    }
}

/// Reads a value, or a part of one.
///
/// # Errors
///
/// What is wrong with the value.
pub(super) fn value<'a, T: Deserialize<'a>>(value: &'a str) -> Result<T, String> {
    serde_json::from_str(value).map_err(|error| unexpected("value", value, &json_error(&error)))
}

/// The message that a value or a request is wrong.
pub fn unexpected(what: &str, json: &str, why: &str) -> String {
    let (json, why) = (shortened(json, 60), shortened(why, 120));
    format!("its {what} is {json}: {why}")
}

/// The message that `W` has no request or function of this name.
pub(super) fn unknown<W: Workload>(name: &str) -> String {
    format!("{} has no operation {name:?}", W::NAME)
}

/// The beginning of a text, with an ellipsis if it is longer.
pub fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => String::from(text),
    }
}
