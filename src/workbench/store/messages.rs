//! Writes `messages.jsonl`, which has every message on a line of its own, written once the fate of the message is
//! known. A message that a fault duplicates has a line for each of its copies.
//!
//! Lines go to disk while the run goes on. Memory holds only one mark for every `BLOCK_LINES` lines, to find a part of
//! a long file without reading all of it.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::StoreError;
use super::file::OutFile;
use crate::protocol::Encode;
use crate::workbench::world::{Loss, MessageEvent, Observer};

/// A line of `messages.jsonl`: a message, or a copy of one.
#[derive(Deserialize)]
pub struct MessageLine<'a> {
    /// Its number. Copies have the number of the message.
    pub id: u64,
    /// When it was sent, in microseconds since the start of the run.
    pub sent_us: i64,
    /// When it arrived or was lost, in microseconds since the start of the run.
    pub ended_us: i64,
    /// How it ended, in words.
    #[serde(borrow)]
    pub fate: Cow<'a, str>,
    /// The sender.
    #[serde(borrow)]
    pub src: Cow<'a, str>,
    /// The destination.
    #[serde(borrow)]
    pub dest: Cow<'a, str>,
    /// Its body.
    #[serde(borrow)]
    pub body: &'a RawValue,
}

/// The maximum length of the file: some 7 million messages.
const MESSAGES_BYTES_MAX: u64 = 1 << 30;

/// The number of lines per mark.
const BLOCK_LINES: u64 = 1024;

/// The maximum number of messages that are kept before the nodes are ready, when the zero of all times is not yet
/// known.
const EARLY_MESSAGES_MAX: usize = 10_000;

/// The messages of a run.
pub struct Messages {
    file: OutFile,
    /// The driver's time at which the nodes were ready.
    began_at: Option<Duration>,
    early: Vec<Early>,
    line_count: u64,
    /// The number of messages that did not fit.
    omitted_count: u64,
    blocks: Vec<Mark>,
    /// The time of the last line, since the start of the run.
    last_us: i64,
}

/// The position of a block, and the time of its first line since the start of the run.
struct Mark {
    offset: u64,
    at_us: i64,
}

/// A message from before the start.
struct Early {
    at: Duration,
    id: u64,
    sent_at: Duration,
    src: String,
    dest: String,
    body: String,
    fate: &'static str,
}

impl Messages {
    pub(super) fn create(path: std::path::PathBuf) -> Result<Self, StoreError> {
        Ok(Messages {
            file: OutFile::create(path, MESSAGES_BYTES_MAX)?,
            began_at: None,
            early: Vec::new(),
            line_count: 0,
            omitted_count: 0,
            blocks: Vec::new(),
            last_us: 0,
        })
    }

    /// Whether all of it is on disk.
    pub(super) fn finish(&mut self) -> Result<(), StoreError> {
        // A run that never began has no other zero.
        self.write_early(self.began_at.unwrap_or_default());
        self.file.finish()
    }

    /// The number of messages.
    pub fn count(&self) -> u64 {
        self.line_count + self.omitted_count
    }

    /// The number of messages that are in no file.
    pub fn omitted_count(&self) -> u64 {
        self.omitted_count
    }

    /// The number of blocks of up to `BLOCK_LINES` lines.
    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// The number of messages in a block.
    pub fn block_len(&self, block: usize) -> usize {
        (self.line_count - block as u64 * BLOCK_LINES).min(BLOCK_LINES) as usize
    }

    /// The time span in which the messages of a block arrived or were lost, in microseconds since the start of the
    /// run.
    pub fn block_time_us(&self, block: usize) -> Range<i64> {
        let end = self.blocks.get(block + 1);
        self.blocks[block].at_us..end.map_or(self.last_us, |next| next.at_us) + 1
    }

    /// Reads the lines of one block.
    ///
    /// # Errors
    ///
    /// When the file can't be read.
    pub fn read_block(&self, block: usize, mut each: impl FnMut(&str)) -> io::Result<()> {
        let mut file = BufReader::new(File::open(self.file.path())?);
        file.seek(SeekFrom::Start(self.blocks[block].offset))?;
        let mut line = String::new();
        for _ in 0..self.block_len(block) {
            line.clear();
            file.read_line(&mut line)?;
            each(&line);
        }
        Ok(())
    }

    /// Records a message that has arrived or was lost.
    fn ended(&mut self, message: &MessageEvent<'_>, fate: &'static str) {
        match self.began_at {
            Some(began_at) => self.write(message, fate, began_at),
            None if self.early.len() < EARLY_MESSAGES_MAX => self.early.push(Early {
                at: message.at,
                id: message.id,
                sent_at: message.sent_at,
                src: String::from(message.src),
                dest: String::from(message.dest),
                body: message.body.to_owned(),
                fate,
            }),
            None => self.omitted_count += 1,
        }
    }

    fn write_early(&mut self, began_at: Duration) {
        for early in std::mem::take(&mut self.early) {
            let message = MessageEvent {
                at: early.at,
                id: early.id,
                sent_at: early.sent_at,
                src: &early.src,
                dest: &early.dest,
                body: &early.body,
            };
            self.write(&message, early.fate, began_at);
        }
    }

    fn write(&mut self, message: &MessageEvent<'_>, fate: &'static str, began_at: Duration) {
        let offset = self.file.len();
        let ended_us = microseconds_since(began_at, message.at);
        let is_written = self.file.append(|out| {
            out.extend_from_slice(b"{\"id\":");
            message.id.encode(out);
            out.extend_from_slice(b",\"sent_us\":");
            microseconds_since(began_at, message.sent_at).encode(out);
            out.extend_from_slice(b",\"ended_us\":");
            ended_us.encode(out);
            out.extend_from_slice(b",\"fate\":\"");
            out.extend_from_slice(fate.as_bytes());
            out.extend_from_slice(b"\",\"src\":");
            message.src.encode(out);
            out.extend_from_slice(b",\"dest\":");
            message.dest.encode(out);
            out.extend_from_slice(b",\"body\":");
            out.extend_from_slice(message.body.as_bytes());
            out.extend_from_slice(b"}\n");
        });
        if !is_written {
            self.omitted_count += 1;
            return;
        }
        if self.line_count.is_multiple_of(BLOCK_LINES) {
            self.blocks.push(Mark {
                offset,
                at_us: ended_us,
            });
        }
        self.line_count += 1;
        self.last_us = ended_us;
    }
}

impl Observer for Messages {
    fn began(&mut self, at: Duration) {
        self.began_at = Some(at);
        self.write_early(at);
    }

    fn received(&mut self, message: &MessageEvent<'_>) {
        self.ended(message, "delivered");
    }

    fn lost(&mut self, message: &MessageEvent<'_>, why: Loss) {
        self.ended(message, why.fate());
    }
}

fn microseconds_since(began_at: Duration, at: Duration) -> i64 {
    // The difference is rounded, not its parts, so that times equal those of the history to the microsecond.
    match at.checked_sub(began_at) {
        Some(after) => after.as_micros() as i64,
        None => -((began_at - at).as_micros() as i64),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::workbench::store::testing::folder;

    fn event(id: u64, sent_ms: u64, at_ms: u64) -> MessageEvent<'static> {
        MessageEvent {
            at: Duration::from_millis(at_ms),
            id,
            sent_at: Duration::from_millis(sent_ms),
            src: "c\"1",
            dest: "n0",
            body: r#"{"type":"read"}"#,
        }
    }

    fn lines(messages: &Messages) -> Vec<Value> {
        let mut lines = Vec::new();
        for block in 0..messages.block_count() {
            let parse = |line: &str| lines.push(serde_json::from_str(line).expect("JSON"));
            messages.read_block(block, parse).expect("it can be read");
        }
        lines
    }

    #[test]
    fn each_message_is_a_line_with_its_times_since_the_start_and_its_fate() {
        let path = folder("messages").join("messages.jsonl");
        let mut messages = Messages::create(path).expect("a new file");
        messages.received(&event(0, 10, 20));
        messages.began(Duration::from_millis(30));
        messages.lost(&event(1, 30, 31), Loss::Partition);
        messages.finish().expect("room on the disk");
        let lines = lines(&messages);
        assert_eq!(lines[0]["sent_us"], -20_000);
        assert_eq!(lines[0]["ended_us"], -10_000);
        assert_eq!(lines[0]["fate"], "delivered");
        assert_eq!(lines[0]["src"], "c\"1");
        assert_eq!(lines[0]["body"]["type"], "read");
        assert_eq!(lines[1]["fate"], "lost: partition");
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn every_line_is_in_one_block_whose_time_it_is_of() {
        let path = folder("blocks").join("messages.jsonl");
        let mut messages = Messages::create(path).expect("a new file");
        messages.began(Duration::ZERO);
        let count = 3 * BLOCK_LINES + 10;
        for id in 0..count {
            messages.received(&event(id, id, id));
        }
        messages.finish().expect("room on the disk");
        assert_eq!(messages.block_count(), 4);
        assert_eq!(messages.block_len(3), 10);
        let mut id = 0;
        for block in 0..messages.block_count() {
            let time_us = messages.block_time_us(block);
            let check = |line: &str| {
                let line: Value = serde_json::from_str(line).expect("JSON");
                assert_eq!(line["id"], id);
                assert!(time_us.contains(&line["ended_us"].as_i64().expect("a number")));
                id += 1;
            };
            messages.read_block(block, check).expect("it can be read");
        }
        assert_eq!(id, count);
    }

    #[test]
    fn before_the_start_only_so_many_messages_are_kept_and_the_rest_is_counted() {
        let path = folder("early").join("messages.jsonl");
        let mut messages = Messages::create(path).expect("a new file");
        let count = EARLY_MESSAGES_MAX as u64 + 5;
        for id in 0..count {
            messages.received(&event(id, 0, 0));
        }
        messages.finish().expect("room on the disk");
        assert_eq!(messages.omitted_count(), 5);
        assert_eq!(messages.count(), count);
    }
}
