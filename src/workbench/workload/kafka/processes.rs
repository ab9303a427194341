//! Reads the events of Jepsen's kafka workload: `:send`, `:poll`, `:assign`, `:subscribe` and `:crash`.
//!
//! A `:poll` does not name offsets. Each process continues where its last poll ended. It keeps this offset for logs
//! that are assigned to it again.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::super::event::{self, Event};
use super::{Kafka, json_error, raise};
use crate::workbench::check::kafka::{AllMessages, Answer, Call, Key, Offsets};
use crate::workbench::json::Json;

/// The state of each process after the events so far.
#[derive(Default)]
pub(super) struct Processes {
    /// The next offset of each log, where it is known.
    offsets: HashMap<usize, Offsets>,
    /// The processes in the last phase, which begins when a process assigns all logs from offset 0.
    last: HashSet<usize>,
    /// Whether a consumer group assigns logs to processes, which can happen at any time.
    are_subscribed: bool,
}

/// An `:assign`.
#[derive(Deserialize)]
struct Assignment {
    #[serde(rename = "value")]
    logs: Vec<LogName>,
    #[serde(rename = "seek-to-beginning?", default)]
    seeks_to_beginning: bool,
}

/// The key of a log, which may be a number in Jepsen's histories.
struct LogName(Key);

impl<'de> Deserialize<'de> for LogName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        let name = serde_json::from_str(json).unwrap_or_else(|_| Key::from(json));
        Ok(LogName(name))
    }
}

impl Processes {
    /// Reads an invocation; `None` if it sends no request to a node.
    pub(super) fn read_invocation(
        &mut self,
        event: &mut Event<'_>,
    ) -> Result<Option<Call>, String> {
        match event.function {
            "send" | "poll" | "txn" => {}
            "assign" => {
                self.assign(event.process, event::value(event.json)?);
                return Ok(None);
            }
            "subscribe" => {
                self.are_subscribed = true;
                return Ok(None);
            }
            "crash" | "debug-topic-partitions" => return Ok(None),
            _ => return Err(event::unknown::<Kafka>(event.function)),
        }
        let (function, arguments) = only_step(event)?;
        match (&*function, &arguments[..]) {
            ("send", [key, message]) => {
                let LogName(key) = event::value(key.get())?;
                let message = Json::read(message);
                Ok(Some(Call::Send { key, message }))
            }
            ("poll", _) => {
                event.is_final |= self.last.contains(&event.process);
                // The next offsets are known again when the poll has a reply.
                let offsets = self.offsets.remove(&event.process);
                let offsets = offsets.filter(|_| !self.are_subscribed);
                Ok(Some(Call::Poll(offsets.unwrap_or_default())))
            }
            _ => Err(format!(
                "its step is {function:?}, and there are only [:send key message] and [:poll]"
            )),
        }
    }

    /// Reads the completion of `call`.
    pub(super) fn read_completion(
        &mut self,
        call: &Call,
        event: &Event<'_>,
        all: &mut AllMessages,
    ) -> Result<Answer, String> {
        let (_, arguments) = only_step(event)?;
        match (call, &arguments[..]) {
            (Call::Poll(from), [messages]) => {
                let messages = all.read(messages);
                let messages = messages.map_err(|error| json_error(&error))?;
                let mut offsets = from.clone();
                for (key, offset) in &messages.highest {
                    raise(&mut offsets, key, offset.saturating_add(1));
                }
                self.offsets.insert(event.process, offsets);
                Ok(Answer::Messages(messages))
            }
            (Call::Send { .. }, [_, sent]) => {
                let (offset, _): (i64, Json) = event::value(sent.get())?;
                Ok(Answer::Sent(offset))
            }
            _ => Err(String::from(
                "its value is not [:send key [offset message]] or [:poll {key [[offset message] ...]}]",
            )),
        }
    }

    fn assign(&mut self, process: usize, assigned: Assignment) {
        let logs = assigned.logs.into_iter().map(|LogName(name)| name);
        let offsets = self.offsets.entry(process).or_default();
        if assigned.seeks_to_beginning {
            self.last.insert(process);
            *offsets = logs.map(|name| (name, 0)).collect();
        } else {
            let logs: HashSet<Key> = logs.collect();
            offsets.retain(|name, _| logs.contains(name));
        }
    }
}

/// The only step of a transaction, as its function and its arguments.
fn only_step<'a>(event: &Event<'a>) -> Result<(String, Vec<&'a RawValue>), String> {
    let steps: Vec<Vec<&RawValue>> = event.value()?;
    let count = steps.len();
    match <[_; 1]>::try_from(steps) {
        Ok([mut step]) if !step.is_empty() => {
            let function = event::value(step.remove(0).get())?;
            Ok((function, step))
        }
        _ => Err(format!("it has {count} steps, but a send or poll has one")),
    }
}
