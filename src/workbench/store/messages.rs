//! Writes and reads `messages.jsonl.lz4`, which has every message on a line of its own, written once the fate of the
//! message is known. A message that a fault duplicates has a line for each of its copies.
//!
//! Lines go to disk in blocks while the run goes on. Memory holds the time of each block, to find a part of a long file
//! without reading all of it.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::StoreError;
use super::blocks::{self, BlockFile};
use crate::protocol::Encode;
use crate::workbench::body::write_envelope;
use crate::workbench::world::{Loss, MessageEvent, Observer};

/// The name of the file.
pub const MESSAGES: &str = "messages.jsonl.lz4";

/// The file of runs that were stored before messages were compressed.
pub(super) const MESSAGES_UNCOMPRESSED: &str = "messages.jsonl";

/// A line of the file: a message, or a copy of one. Its body is read as a `B`.
#[derive(Deserialize)]
pub struct MessageLine<'a, B> {
    /// Its number. Copies have the number of the message.
    pub id: u64,
    /// When it was sent, in microseconds since the start of the run.
    pub sent_us: i64,
    /// When it arrived or was lost, in microseconds since the start of the run.
    pub ended_us: i64,
    /// How it ended, in words.
    #[serde(borrow)]
    pub fate: Cow<'a, str>,
    /// Whether it is the reply of a service about a value that had been replaced.
    #[serde(default)]
    pub stale: bool,
    /// The sender.
    #[serde(borrow)]
    pub src: Cow<'a, str>,
    /// The destination.
    #[serde(borrow)]
    pub dest: Cow<'a, str>,
    /// Its body.
    pub body: B,
}

/// The maximum length of the file: some 40 million messages.
const MESSAGES_BYTES_MAX: u64 = 1 << 30;

/// The maximum number of lines in a block.
const BLOCK_LINES_MAX: usize = 1024;

/// A block that has reached this size gets no more lines.
const BLOCK_BYTES: usize = 192 << 10;

/// A block that spans this time gets no more lines, so that a run that is killed loses little.
const BLOCK_TIME_US: i64 = 1_000_000;

/// The maximum number of messages that are kept before the nodes are ready, when the zero of all times is not yet
/// known.
const EARLY_MESSAGES_MAX: usize = 10_000;

/// The messages of a run.
pub struct Messages {
    file: BlockFile,
    /// The driver's time at which the nodes were ready.
    began_at: Option<Duration>,
    early: Vec<Early>,
    /// The number of messages that did not fit.
    omitted_count: u64,
    blocks: Vec<Block>,
}

/// A block of messages. Times are in microseconds since the start of the run.
struct Block {
    line_count: usize,
    /// When its first message arrived or was lost.
    first_us: i64,
    /// When its last message arrived or was lost.
    last_us: i64,
}

/// A message from before the start.
struct Early {
    at: Duration,
    id: u64,
    sent_at: Duration,
    src: String,
    dest: String,
    body: String,
    is_stale: bool,
    fate: &'static str,
}

impl Messages {
    pub(super) fn create(path: PathBuf) -> Result<Self, StoreError> {
        Ok(Messages {
            file: BlockFile::create(path, MESSAGES_BYTES_MAX)?,
            began_at: None,
            early: Vec::new(),
            omitted_count: 0,
            blocks: Vec::new(),
        })
    }

    /// Whether all of it is on disk.
    pub(super) fn finish(&mut self) -> Result<(), StoreError> {
        // A run that never began has no other zero.
        self.write_early(self.began_at.unwrap_or_default());
        let finished = self.file.finish();
        let omitted = self.blocks.drain(self.file.block_count()..);
        self.omitted_count += omitted.map(|block| block.line_count as u64).sum::<u64>();
        finished
    }

    /// The number of messages.
    pub fn count(&self) -> u64 {
        let stored = self.blocks.iter().map(|block| block.line_count as u64);
        stored.sum::<u64>() + self.omitted_count
    }

    /// The number of messages that are in no file.
    pub fn omitted_count(&self) -> u64 {
        self.omitted_count
    }

    /// The number of blocks.
    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// The number of messages in a block.
    pub fn block_len(&self, block: usize) -> usize {
        self.blocks[block].line_count
    }

    /// The time span in which the messages of a block arrived or were lost, in microseconds since the start of the
    /// run.
    pub fn block_time_us(&self, block: usize) -> Range<i64> {
        let Block {
            first_us, last_us, ..
        } = self.blocks[block];
        let next = self.blocks.get(block + 1);
        first_us..next.map_or(last_us, |next| next.first_us) + 1
    }

    /// Reads the lines of one block.
    ///
    /// # Errors
    ///
    /// When the file can't be read.
    pub fn read_block(&self, block: usize, each: impl FnMut(&str)) -> io::Result<()> {
        self.file.read(block)?.lines().for_each(each);
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
                is_stale: message.is_stale,
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
                is_stale: early.is_stale,
            };
            self.write(&message, early.fate, began_at);
        }
    }

    fn write(&mut self, message: &MessageEvent<'_>, fate: &'static str, began_at: Duration) {
        let ended_us = microseconds_since(began_at, message.at);
        let out = self.file.lines();
        if out.is_empty() {
            self.blocks.push(Block {
                line_count: 0,
                first_us: ended_us,
                last_us: ended_us,
            });
        }
        out.extend_from_slice(b"{\"id\":");
        message.id.encode(out);
        out.extend_from_slice(b",\"sent_us\":");
        microseconds_since(began_at, message.sent_at).encode(out);
        out.extend_from_slice(b",\"ended_us\":");
        ended_us.encode(out);
        out.extend_from_slice(b",\"fate\":\"");
        out.extend_from_slice(fate.as_bytes());
        out.extend_from_slice(match message.is_stale {
            true => b"\",\"stale\":true,",
            false => b"\",",
        });
        write_envelope(out, message.src, message.dest, message.body);
        let block = self.blocks.last_mut();
        let block = block.expect("a block that has a line was pushed above");
        block.line_count += 1;
        block.last_us = ended_us;
        if block.line_count == BLOCK_LINES_MAX
            || out.len() >= BLOCK_BYTES
            || ended_us - block.first_us >= BLOCK_TIME_US
        {
            self.file.end_block();
        }
    }
}

/// The text of the body in a line, which is the last field. Quotes in the strings before it are escaped.
pub fn body_text(line: &str) -> &str {
    const NAME: &str = ",\"body\":";
    let fields = line.trim_end().strip_suffix('}').unwrap_or_default();
    let at = fields.find(NAME).map_or(fields.len(), |at| at + NAME.len());
    &fields[at..]
}

/// Reads the messages in the folder of a run, in the order in which they arrived or were lost: some whole lines at a
/// time. If the end is missing, as after a kill or on a full disk, the last item is the error
/// [`ErrorKind::UnexpectedEof`].
///
/// # Errors
///
/// When there is no such file.
pub fn read_messages(folder: &Path) -> io::Result<Box<dyn Iterator<Item = io::Result<String>>>> {
    match File::open(folder.join(MESSAGES)) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let file = File::open(folder.join(MESSAGES_UNCOMPRESSED)).map_err(|_| error)?;
            let lines = BufReader::new(file).lines();
            Ok(Box::new(lines.map(|line| Ok(line? + "\n"))))
        }
        file => Ok(Box::new(blocks::read_blocks(BufReader::new(file?)))),
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
            is_stale: false,
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
        let path = folder("messages").join(MESSAGES);
        let mut messages = Messages::create(path).expect("a new file");
        messages.received(&event(0, 10, 20));
        messages.began(Duration::from_millis(30));
        messages.lost(&event(1, 30, 31), Loss::Partition);
        messages.received(&MessageEvent {
            is_stale: true,
            ..event(2, 30, 32)
        });
        messages.finish().expect("room on the disk");
        let lines = lines(&messages);
        assert_eq!(lines[0]["sent_us"], -20_000);
        assert_eq!(lines[0]["ended_us"], -10_000);
        assert_eq!(lines[0]["fate"], "delivered");
        assert_eq!(lines[0]["src"], "c\"1");
        assert_eq!(lines[0]["body"]["type"], "read");
        assert_eq!(lines[1]["fate"], "lost: partition");
        assert_eq!(lines[1]["stale"], Value::Null);
        assert_eq!(lines[2]["stale"], true);
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn every_line_is_in_one_block_whose_time_it_is_of() {
        let path = folder("blocks").join(MESSAGES);
        let mut messages = Messages::create(path).expect("a new file");
        messages.began(Duration::ZERO);
        let count = 3 * BLOCK_LINES_MAX as u64 + 10;
        for id in 0..count {
            messages.received(&event(id, id / 10, id / 10));
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
    fn a_block_ends_after_a_second_or_when_it_is_large() {
        let path = folder("block-ends").join(MESSAGES);
        let mut messages = Messages::create(path).expect("a new file");
        messages.began(Duration::ZERO);
        for id in 0..6 {
            messages.received(&event(id, 0, 500 * id));
        }
        let body = format!("\"{}\"", "x".repeat(BLOCK_BYTES));
        for id in 6..8 {
            let large = event(id, 0, 3000);
            messages.received(&MessageEvent {
                body: &body,
                ..large
            });
        }
        messages.finish().expect("room on the disk");
        let lengths = (0..messages.block_count()).map(|block| messages.block_len(block));
        assert_eq!(lengths.collect::<Vec<_>>(), [3, 3, 1, 1]);
    }

    #[test]
    fn messages_above_the_limit_of_the_file_are_counted_as_omitted() {
        let path = folder("omitted").join(MESSAGES);
        let mut messages = Messages {
            file: BlockFile::create(path.clone(), 20_000).expect("a new file"),
            ..Messages::create(path.with_extension("other")).expect("a new file")
        };
        messages.began(Duration::ZERO);
        let count = 20 * BLOCK_LINES_MAX as u64;
        for id in 0..count {
            messages.received(&event(id, id / 100, id / 100));
        }
        messages.finish().expect("room on the disk");
        let stored = lines(&messages).len() as u64;
        assert!(0 < stored && stored < count, "{stored}");
        assert_eq!(messages.omitted_count(), count - stored);
        assert_eq!(messages.count(), count);
        let last = messages.block_count() - 1;
        assert!(messages.block_time_us(last).end <= 1000 * stored as i64);
    }

    #[test]
    fn before_the_start_only_so_many_messages_are_kept_and_the_rest_is_counted() {
        let path = folder("early").join(MESSAGES);
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
