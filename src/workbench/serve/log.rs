//! The log of a service on stderr. A line for which stderr has no space, because nobody reads it, is left out: the service
//! never waits for its log.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::stdio::Complaints;
use crate::workbench::words::{clipped_to, counted};

/// The maximum length of a line, in characters: a pipe that polls as writable takes 4096 bytes at once.
const LINE_CHARS_MAX: usize = 1_000;

pub(super) struct Log {
    complaints: Complaints,
    left_out_count: usize,
}

impl Log {
    pub(super) fn new() -> Self {
        Log {
            complaints: Complaints::with_prefix("eddy serve: "),
            left_out_count: 0,
        }
    }

    /// Writes what the service has to say of itself.
    pub(super) fn say(&mut self, what: fmt::Arguments<'_>) {
        self.write("eddy serve", &what.to_string());
    }

    /// Writes what is wrong with input: a few lines a second, as others decide how often it happens.
    pub(super) fn complain(&mut self, what: fmt::Arguments<'_>, now: Duration) {
        self.complaints.add(&what, now);
    }

    /// Writes how many complaints were left out, once the second is over.
    pub(super) fn report_dropped(&mut self, now: Duration) {
        self.complaints.report_dropped(now);
    }

    /// Writes a line with the name of who says it.
    pub(super) fn write(&mut self, name: &str, line: &str) {
        if !has_space() {
            self.left_out_count += 1;
            return;
        }
        let left_out = match std::mem::take(&mut self.left_out_count) {
            0 => String::new(),
            count => format!("eddy serve: {} left out here\n", counted(count, "line")),
        };
        let is_harmless = |char: char| !char.is_control() || char == '\t';
        let line = clipped_to(line.as_bytes(), LINE_CHARS_MAX);
        let line: String = line
            .chars()
            .map(|char| {
                if is_harmless(char) {
                    char
                } else {
                    char::REPLACEMENT_CHARACTER
                }
            })
            .collect();
        // Who has closed stderr wants no log.
        let _ = io::stderr().write_all(format!("{left_out}{name}: {line}\n").as_bytes());
    }
}

/// Whether stderr takes a line at once.
fn has_space() -> bool {
    let stderr = io::stderr();
    let mut stderrs = [PollFd::new(&stderr, PollFlags::OUT)];
    poll(&mut stderrs, Some(&Timespec::default())).is_ok_and(|count| count > 0)
}
