//! The loop between a node and its standard input and output: the only room of a node with file descriptors.
//!
//! One thread. A turn of the loop takes the lines at hand, writes what the node says to them, and then reads more or
//! sleeps until there is input, space for output, or the time for which the node wants to be woken.
//!
//! - Many messages a read, one write a batch. While output waits no input is read and the node isn't woken, so nothing
//!   grows: what it would say could not be heard.
//! - As long as the node waits for input and nothing else, it sleeps in the read itself. That is one system call and one
//!   wait queue less than asking epoll first, which a lone request feels.
//! - If it waits for a time as well, edge-triggered readiness from mio tells when to read. A read that doesn't fill its
//!   buffer has drained a pipe; asking again would only cost a system call (epoll(7), question 9), and what comes later
//!   is a new edge. Only where there may be more of which epoll has told already is it made to tell again: after a
//!   filled buffer, at the end of the input, and from a terminal, which gives one line a read.
//! - epoll refuses to watch regular files and `/dev/null`, and other systems refuse files of their own choice, each with its
//!   own error. Whatever is refused counts as ready, and reads and writes of it block.
//! - Nonblocking mode belongs to the open file description, which others may share. So the input is never put into it;
//!   the output is, unless it is a terminal, and put back on the way out: whoever is killed undoes nothing.
//!
//! When the input ends, what is at hand is finished, what is still waiting is answered as truly as it can be, and the
//! output is flushed.

mod complaints;
mod stream;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use crate::node::{Node, Workload, earliest};
use crate::protocol::LineReader;

pub(crate) use complaints::Complaints;
use stream::{Input, Output};

/// 64 bits of the operating system's randomness: another number at each start of a node.
pub fn random_seed() -> u64 {
    // The standard library draws the keys of its hash maps there, and has no other door to it.
    RandomState::new().build_hasher().finish()
}

/// Runs a node until its input ends. The exit code is the program's.
///
/// Lines are at most `line_bytes_max` long. If standard input or output breaks, one line on standard error says so and
/// the exit code is 1.
pub fn run<W: Workload>(node: Node<W>, line_bytes_max: usize) -> ExitCode {
    match Loop::new(node, line_bytes_max).and_then(|mut turns| turns.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(broken) => {
            Complaints::default().add(&broken, Duration::ZERO);
            ExitCode::FAILURE
        }
    }
}

/// Says what no longer works.
fn broken(what: &'static str) -> impl Fn(io::Error) -> io::Error {
    move |reason| io::Error::new(reason.kind(), format!("{what} is broken: {reason}"))
}

const INPUT: Token = Token(0);
const OUTPUT: Token = Token(1);

struct Loop<W> {
    node: Node<W>,
    reader: LineReader,
    poll: Poll,
    events: Events,
    input: Input,
    output: Output,
    complaints: Complaints,
    start: Instant,
}

impl<W: Workload> Loop<W> {
    fn new(node: Node<W>, line_bytes_max: usize) -> io::Result<Self> {
        let poll = Poll::new().map_err(broken("polling"))?;
        Ok(Loop {
            node,
            reader: LineReader::new(line_bytes_max),
            input: Input::open().map_err(broken("standard input"))?,
            output: Output::open(poll.registry(), OUTPUT).map_err(broken("standard output"))?,
            poll,
            events: Events::with_capacity(4),
            complaints: Complaints::default(),
            start: Instant::now(),
        })
    }

    fn run(&mut self) -> io::Result<()> {
        loop {
            let now = self.start.elapsed();
            self.complaints.report_dropped(now);
            // As long as none were taken there may be lines: those that came before the output was full.
            let mut has_lines = true;
            if self.node.output().is_empty() {
                if self.node.deadline().is_some_and(|deadline| deadline <= now) {
                    self.node.wake(now);
                }
                has_lines = self.take_lines(now);
            }
            self.write()?;
            if !self.node.output().is_empty() {
                self.sleep(None)?;
            } else if has_lines {
                // Their answers had to be written first.
            } else if self.input.has_ended {
                return self.finish(now);
            } else if self.input.is_ready || self.waits_for_input_only() {
                let count = self.input.read(self.reader.space());
                self.reader.filled(count.map_err(broken("standard input"))?);
            } else {
                self.input.watch(self.poll.registry(), INPUT);
                if !self.input.is_ready {
                    self.sleep(self.node.deadline())?;
                }
            }
        }
    }

    fn waits_for_input_only(&self) -> bool {
        let deadline = self.node.deadline().or(self.complaints.deadline());
        self.input.can_wait && deadline.is_none()
    }

    /// Hands the lines at hand to the node, or says what is wrong with them, until its output is full. The answer is whether
    /// there may be more.
    fn take_lines(&mut self, now: Duration) -> bool {
        for line in self.reader.lines() {
            match line {
                Err(error) => self.complaints.add(&error, now),
                Ok(line) if line.trim_ascii().is_empty() => {}
                Ok(line) => {
                    if let Err(error) = self.node.receive(line, now) {
                        self.complaints.add(&not_a_message(&error), now);
                    }
                }
            }
            if self.node.is_full() {
                return true;
            }
        }
        false
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.node.output().is_empty() && self.output.is_ready {
            let registry = self.poll.registry();
            let count = self.output.write(self.node.output(), registry, OUTPUT);
            self.node.written(count.map_err(broken("standard output"))?);
        }
        Ok(())
    }

    fn finish(&mut self, now: Duration) -> io::Result<()> {
        self.reader.end();
        self.take_lines(now);
        self.node.finish();
        self.complaints.close();
        loop {
            self.write()?;
            if self.node.output().is_empty() {
                return Ok(());
            }
            self.sleep(None)?;
        }
    }

    /// Sleeps until something is ready or the time has come, for the node or for a complaint.
    fn sleep(&mut self, node_deadline: Option<Duration>) -> io::Result<()> {
        let deadline = earliest([node_deadline, self.complaints.deadline()]);
        let timeout = deadline.map(|deadline| deadline.saturating_sub(self.start.elapsed()));
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(broken("polling")(error));
            }
            _ => {}
        }
        for event in &self.events {
            match event.token() {
                INPUT => self.input.set_ready(event.is_read_closed()),
                _ => {
                    let space = self.output.set_ready(self.poll.registry());
                    space.map_err(broken("polling"))?;
                }
            }
        }
        Ok(())
    }
}

/// What a node prints on stderr about a line that is no message.
pub(crate) fn not_a_message(error: &serde_json::Error) -> String {
    format!("not a message: {error}")
}
