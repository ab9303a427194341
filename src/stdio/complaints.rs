use std::fmt;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use mio::unix::pipe::Sender;
use mio::{Events, Interest, Poll, Token};

/// The most lines a second.
const LINES_MAX: u32 = 3;

/// The most characters a line.
const LINE_CHARS_MAX: usize = 300;

/// What is wrong with the input, on standard error: a few lines a second, and how many were left out.
///
/// A line for which standard error has no space, because nobody reads it, is left out, too.
#[derive(Default)]
pub(crate) struct Complaints {
    /// How each line begins.
    prefix: &'static str,
    /// When the second began in which the last complaint fell.
    second: Duration,
    written: u32,
    left_out: u64,
}

impl Complaints {
    /// Complaints of which each line begins with `prefix`.
    pub(crate) fn with_prefix(prefix: &'static str) -> Self {
        Complaints {
            prefix,
            ..Complaints::default()
        }
    }

    pub(crate) fn add(&mut self, complaint: &dyn fmt::Display, now: Duration) {
        self.report_dropped(now);
        if self.written == 0 {
            self.second = now;
        }
        if self.written < LINES_MAX && has_space().unwrap_or(false) {
            self.written += 1;
            write_line(&format_args!("{}{complaint}", self.prefix));
        } else {
            self.left_out += 1;
        }
    }

    /// When [`report_dropped`](Self::report_dropped) has something to say.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        (self.left_out > 0).then_some(self.second + Duration::from_secs(1))
    }

    /// Says what was left out, once the second is over.
    pub(crate) fn report_dropped(&mut self, now: Duration) {
        if self.written > 0 && now >= self.second + Duration::from_secs(1) {
            self.close();
        }
    }

    /// Says what was left out, at once.
    pub(crate) fn close(&mut self) {
        if self.left_out > 0 && has_space().unwrap_or(false) {
            let lines = if self.left_out == 1 { "line" } else { "lines" };
            write_line(&format_args!(
                "{}and {} more {lines} like that",
                self.prefix, self.left_out
            ));
        }
        *self = Complaints::with_prefix(self.prefix);
    }
}

/// Whether standard error takes a line at once. A pipe that polls as writable takes 4096 bytes, and a line has fewer.
///
/// It is not made nonblocking for that: other processes share it, and don't expect it to be.
fn has_space() -> io::Result<bool> {
    let mut poll = Poll::new()?;
    let mut sender = Sender::from(io::stderr().as_fd().try_clone_to_owned()?);
    let registry = poll.registry();
    if registry
        .register(&mut sender, Token(0), Interest::WRITABLE)
        .is_err()
    {
        // A regular file or `/dev/null`, see `stream`.
        return Ok(true);
    }
    let mut events = Events::with_capacity(1);
    poll.poll(&mut events, Some(Duration::ZERO))?;
    Ok(!events.is_empty())
}

/// Writes one line. Control characters are replaced, lest input reach a terminal raw.
fn write_line(complaint: &dyn fmt::Display) {
    let text = complaint.to_string();
    let printable = |character: char| match character.is_control() {
        true => char::REPLACEMENT_CHARACTER,
        false => character,
    };
    let mut line: String = text.chars().take(LINE_CHARS_MAX).map(printable).collect();
    let is_cut = text.chars().nth(LINE_CHARS_MAX).is_some();
    line.push_str(if is_cut { " ...\n" } else { "\n" });
    // Whoever closed standard error doesn't want to know.
    let _ = io::stderr().write_all(line.as_bytes());
}
