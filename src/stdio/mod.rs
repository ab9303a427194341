//! The loop between a node and its standard input and output: the only room with file descriptors.
//!
//! One thread, edge-triggered readiness from mio. A turn of the loop writes what waits, takes the lines at hand, reads
//! more, and sleeps when there is nothing to do, until input, room for output, or the node's deadline:
//!
//! - Many messages a read, one write a batch. While output waits no input is read and the node isn't woken, so nothing
//!   grows: what it would say could not be heard.
//! - A read that doesn't fill its buffer has drained a pipe; asking again would only cost a system call (epoll(7),
//!   question 9). What comes later is a new edge. But the end of the input may have come in the same event: then, and
//!   from a terminal, which gives one line a read, input is read until there is none.
//! - epoll refuses regular files and `/dev/null`. Those are read and written blocking, and always ready.
//! - Nonblocking mode belongs to the open file description, which others may share. It is undone on the way out, and
//!   never set on a terminal: whoever is ended by ctrl-C undoes nothing.
//!
//! When the input ends, what is at hand is finished, what is still waiting is answered as truly as it can be, and the
//! output is flushed.

pub mod arguments;
mod complaints;
mod stream;

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use crate::node::{Node, Workload};
use crate::protocol::{LineError, LineReader};

use complaints::Complaints;
use stream::{Input, Output};

/// A number that no other start of this or any node has: 64 bits of the operating system's randomness.
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

/// Standard input or output no longer works.
#[derive(Debug)]
struct Broken {
    what: &'static str,
    reason: io::Error,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is broken: {}", self.what, self.reason)
    }
}

fn broken(what: &'static str) -> impl Fn(io::Error) -> Broken {
    move |reason| Broken { what, reason }
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
    fn new(node: Node<W>, line_bytes_max: usize) -> Result<Self, Broken> {
        let poll = Poll::new().map_err(broken("polling"))?;
        Ok(Loop {
            node,
            reader: LineReader::new(line_bytes_max),
            input: Input::open(poll.registry(), INPUT).map_err(broken("standard input"))?,
            output: Output::open(poll.registry(), OUTPUT).map_err(broken("standard output"))?,
            poll,
            events: Events::with_capacity(4),
            complaints: Complaints::default(),
            start: Instant::now(),
        })
    }

    fn run(&mut self) -> Result<(), Broken> {
        loop {
            let now = self.start.elapsed();
            self.complaints.settle(now);
            self.write()?;
            if !self.node.output().is_empty() {
                self.sleep(None)?;
            } else if self.node.deadline().is_some_and(|deadline| deadline <= now) {
                self.node.wake(now);
            } else if self.take_lines(now) {
                // Their answers are written first.
            } else if self.input.is_ready() {
                self.read()?;
            } else if self.input.has_ended() {
                return self.finish(now);
            } else {
                self.sleep(self.node.deadline())?;
            }
        }
    }

    /// Hands the lines at hand to the node, until its output is full. The answer is whether there were any.
    fn take_lines(&mut self, now: Duration) -> bool {
        let mut any = false;
        for line in self.reader.lines() {
            any = true;
            take_line(&mut self.node, &mut self.complaints, line, now);
            if self.node.is_full() {
                break;
            }
        }
        any
    }

    fn read(&mut self) -> Result<(), Broken> {
        let count = self.input.read(self.reader.space());
        self.reader.filled(count.map_err(broken("standard input"))?);
        Ok(())
    }

    fn write(&mut self) -> Result<(), Broken> {
        while !self.node.output().is_empty() && self.output.is_ready() {
            let count = self.output.write(self.node.output());
            self.node.written(count.map_err(broken("standard output"))?);
        }
        Ok(())
    }

    fn finish(&mut self, now: Duration) -> Result<(), Broken> {
        if let Some(line) = self.reader.rest() {
            take_line(&mut self.node, &mut self.complaints, line, now);
        }
        self.node.finish();
        self.complaints.close();
        self.write()?;
        while !self.node.output().is_empty() {
            self.sleep(None)?;
            self.write()?;
        }
        Ok(())
    }

    /// Sleeps until something is ready or the time has come, for the node or for a complaint.
    fn sleep(&mut self, node_deadline: Option<Duration>) -> Result<(), Broken> {
        let deadlines = [node_deadline, self.complaints.deadline()];
        let deadline = deadlines.into_iter().flatten().min();
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
                _ => self.output.set_ready().map_err(broken("polling"))?,
            }
        }
        Ok(())
    }
}

/// Hands one line to the node, or says what is wrong with it.
fn take_line<W: Workload>(
    node: &mut Node<W>,
    complaints: &mut Complaints,
    line: Result<&str, LineError>,
    now: Duration,
) {
    match line {
        Err(error) => complaints.add(&error, now),
        Ok(line) if line.trim_ascii().is_empty() => {}
        Ok(line) => {
            if let Err(error) = node.receive(line, now) {
                complaints.add(&error, now);
            }
        }
    }
}
