//! Selects the messages of the page: all of a run, or as many as a browser opens at once.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Names;
use crate::protocol::Text;
use crate::workbench::json::Members;
use crate::workbench::store::{MessageLine, Messages, body_text};
use crate::workbench::words;

/// The maximum number of messages on the page.
const MESSAGES_MAX: usize = 100_000;

/// The maximum number of messages for one operation that is evidence.
const MESSAGES_OF_ONE_MAX: usize = 20_000;

/// Selects blocks of messages: those around the operations of `spans`, as many as fit, and then those from the start
/// of the run on. In order.
pub(super) fn choose(
    messages: &Messages,
    spans: impl Iterator<Item = Range<Duration>>,
) -> Vec<usize> {
    let mut chosen = BTreeSet::new();
    let mut room = MESSAGES_MAX;
    let mut choose = |block: usize, room_of_one: &mut usize| {
        let length = messages.block_len(block);
        if length > room.min(*room_of_one) {
            return false;
        }
        if chosen.insert(block) {
            room -= length;
            *room_of_one -= length;
        }
        true
    };
    for span in spans {
        let (begin_us, end_us) = (span.start.as_micros() as i64, span.end.as_micros() as i64);
        let mut room_of_one = MESSAGES_OF_ONE_MAX;
        let is_around = |&block: &usize| {
            let time_us = messages.block_time_us(block);
            time_us.start <= end_us && begin_us <= time_us.end
        };
        for block in (0..messages.block_count()).filter(is_around) {
            if !choose(block, &mut room_of_one) {
                break;
            }
        }
    }
    let mut room_of_all = MESSAGES_MAX;
    for block in 0..messages.block_count() {
        if !choose(block, &mut room_of_all) {
            break;
        }
    }
    chosen.into_iter().collect()
}

/// Messages, column by column.
#[derive(Default, Serialize)]
pub(super) struct MessageColumns {
    /// The number of messages in the run.
    total: u64,
    /// The number of messages that are not stored.
    omitted: u64,
    /// When the last message in the file arrived or was lost.
    last_us: i64,
    /// The time spans of which all messages are on the page.
    stretches_us: Vec<[i64; 2]>,
    names: Vec<String>,
    kinds: Vec<String>,
    fates: Vec<String>,
    id: Vec<u64>,
    sent_us: Vec<i64>,
    took_us: Vec<i64>,
    src: Vec<usize>,
    dest: Vec<usize>,
    kind: Vec<usize>,
    fate: Vec<usize>,
    /// The numbers of the stale replies of services.
    stale: BTreeSet<u64>,
    msg_id: Vec<Option<Value>>,
    in_reply_to: Vec<Option<Value>>,
    body: Vec<String>,
}

#[derive(Default)]
struct Tables {
    names: Names,
    kinds: Names,
    fates: Names,
}

impl MessageColumns {
    /// Reads these blocks.
    pub(super) fn read(messages: &Messages, blocks: &[usize]) -> io::Result<Self> {
        let last_block = messages.block_count().checked_sub(1);
        let mut columns = MessageColumns {
            total: messages.count(),
            omitted: messages.omitted_count(),
            last_us: last_block.map_or(0, |last| messages.block_time_us(last).end - 1),
            ..MessageColumns::default()
        };
        let mut tables = Tables::default();
        for &block in blocks {
            columns.add_stretch(messages.block_time_us(block));
            // A line that can't be read is one that could not be written, which is reported elsewhere.
            messages.read_block(block, |line| {
                if let Ok(message) = serde_json::from_str(line) {
                    columns.push(&message, body_text(line), &mut tables);
                }
            })?;
        }
        columns.names = tables.names.into_list();
        columns.kinds = tables.kinds.into_list();
        columns.fates = tables.fates.into_list();
        Ok(columns)
    }

    fn add_stretch(&mut self, time_us: Range<i64>) {
        match self.stretches_us.last_mut() {
            Some([_, end_us]) if time_us.start <= *end_us => *end_us = time_us.end,
            _ => self.stretches_us.push([time_us.start, time_us.end]),
        }
    }

    fn push(
        &mut self,
        message: &MessageLine<'_, Members<'_>>,
        body_text: &str,
        tables: &mut Tables,
    ) {
        let kind = message.body.get("type");
        let kind = kind.and_then(|kind| serde_json::from_str(kind.get()).ok());
        let kind = match kind {
            Some(Text(kind)) => words::clipped(kind.as_bytes()),
            None => String::from("(no type)"),
        };
        self.id.push(message.id);
        self.sent_us.push(message.sent_us);
        self.took_us.push(message.ended_us - message.sent_us);
        self.src.push(tables.names.number(&message.src));
        self.dest.push(tables.names.number(&message.dest));
        self.kind.push(tables.kinds.number(&kind));
        self.fate.push(tables.fates.number(&message.fate));
        if message.stale {
            self.stale.insert(message.id);
        }
        self.msg_id.push(message.body.get("msg_id").and_then(id));
        self.in_reply_to
            .push(message.body.get("in_reply_to").and_then(id));
        self.body.push(words::clipped(body_text.as_bytes()));
    }
}

/// The id of a message in the page's form: a number is text if JavaScript would round it. `None` if it is not an id.
fn id(value: &RawValue) -> Option<Value> {
    const EXACT: Range<i64> = -(1 << 53) + 1..1 << 53;
    let text = value.get();
    if let Ok(number) = text.parse()
        && EXACT.contains(&number)
    {
        return Some(number.into());
    }
    match serde_json::from_str(text).ok()? {
        Value::Number(_) => Some(text.into()),
        Value::String(name) if name.len() <= 100 => Some(name.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_that_javascript_would_round_are_text() {
        for (text, expected) in [
            ("7", Some(json!(7))),
            ("9007199254740991", Some(json!(9_007_199_254_740_991_i64))),
            ("9007199254740992", Some(json!("9007199254740992"))),
            ("9007199254740993", Some(json!("9007199254740993"))),
            (
                "-1180591620717411303425",
                Some(json!("-1180591620717411303425")),
            ),
            (r#""one""#, Some(json!("one"))),
            ("[1]", None),
        ] {
            let value = serde_json::from_str(text).expect("JSON");
            assert_eq!(id(value), expected);
        }
    }
}
