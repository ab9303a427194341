//! One node: a process and its three pipes.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::process::Child;
use std::time::Duration;

use mio::unix::pipe::{Receiver, Sender};
use mio::{Interest, Registry, Token};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::{GRACE, Program};
use crate::protocol::{LineError, LineReader};
use crate::workbench::world::shown;

/// The longest line that a node may print. The limit is high because a read of a large set is one line.
const LINE_BYTES_MAX: usize = 16 << 20;

/// The longest line of a log that is shown.
const LOG_LINE_BYTES_MAX: usize = 16 << 10;

/// How many lines of each node's stderr are kept.
const LOG_LINES_MAX: usize = 20;

/// A running node.
pub(super) struct NodeProcess {
    name: String,
    child: Child,
    is_gone: bool,
    /// The child may have ended, or has changed in another way.
    has_child_event: bool,
    stdin: Option<Input>,
    stdout: Option<Output>,
    stderr: Option<Output>,
    /// When its stdout was first found closed, by the driver's time.
    stdout_closed_at: Option<Duration>,
    log: VecDeque<String>,
}

/// The writing end of a node's stdin.
struct Input {
    pipe: Sender,
    token: Token,
    /// What is being written. When all of it has been, the inbox takes its place.
    pending: Vec<u8>,
    written: usize,
    /// Whether the pipe was full and is watched until it is not.
    is_watched: bool,
}

/// The reading end of a node's stdout or stderr.
struct Output {
    pipe: Receiver,
    reader: LineReader,
    has_more: bool,
}

/// Each node has three tokens, in the order of file descriptors.
fn token(index: usize, descriptor: usize) -> Token {
    Token(3 * index + descriptor)
}

/// The node to which a token belongs.
pub(super) fn index(token: Token) -> usize {
    token.0 / 3
}

impl NodeProcess {
    /// Watches the pipes of a child that has just been started.
    pub(super) fn new(
        name: &str,
        index: usize,
        mut child: Child,
        registry: &Registry,
    ) -> io::Result<Self> {
        let missing = || io::Error::other("the child has no pipe");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        // From here on the child is ended when this is dropped.
        let mut node = NodeProcess {
            name: String::from(name),
            child,
            is_gone: false,
            has_child_event: false,
            stdin: None,
            stdout: None,
            stderr: None,
            stdout_closed_at: None,
            log: VecDeque::new(),
        };
        let pipe = Sender::from(stdin);
        pipe.set_nonblocking(true)?;
        node.stdin = Some(Input {
            pipe,
            token: token(index, 0),
            pending: Vec::new(),
            written: 0,
            is_watched: false,
        });
        let stdout = Receiver::from(stdout);
        node.stdout = Some(Output::new(
            stdout,
            token(index, 1),
            LINE_BYTES_MAX,
            registry,
        )?);
        let stderr = Receiver::from(stderr);
        node.stderr = Some(Output::new(
            stderr,
            token(index, 2),
            LOG_LINE_BYTES_MAX,
            registry,
        )?);
        Ok(node)
    }

    /// Begins a new incarnation with a new child. The log of the earlier one is kept.
    pub(super) fn restart(
        &mut self,
        index: usize,
        child: Child,
        registry: &Registry,
    ) -> io::Result<()> {
        self.kill();
        let log = mem::take(&mut self.log);
        *self = NodeProcess::new(&self.name, index, child, registry)?;
        self.log = log;
        Ok(())
    }

    /// Stops the whole process group.
    pub(super) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Continues the process group.
    pub(super) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Takes note of an event of one of the pipes.
    pub(super) fn note_event(&mut self, token: Token) {
        let output = match token.0 % 3 {
            1 => &mut self.stdout,
            2 => &mut self.stderr,
            // Every turn tries to write.
            _ => return,
        };
        if let Some(output) = output {
            output.has_more = true;
        }
    }

    /// Takes note that some child has ended, perhaps this one.
    pub(super) fn note_child_event(&mut self) {
        self.has_child_event = true;
        // Its last output is read before its end is reported.
        for output in [&mut self.stdout, &mut self.stderr].into_iter().flatten() {
            output.has_more = true;
        }
    }

    /// Whether there may be more to read right now.
    pub(super) fn has_more(&self) -> bool {
        let outputs = [&self.stdout, &self.stderr];
        outputs.into_iter().flatten().any(|output| output.has_more)
    }

    /// Writes as much of the inbox as the node takes.
    pub(super) fn write(&mut self, inbox: &mut Vec<u8>, registry: &Registry) -> io::Result<()> {
        let Some(input) = &mut self.stdin else {
            inbox.clear();
            return Ok(());
        };
        match input.write(inbox, registry) {
            // It no longer reads. If it has ended, SIGCHLD follows.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.stdin = None,
            result => result?,
        }
        Ok(())
    }

    /// Ends the node's input, upon which it should exit.
    pub(super) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Reads some of what the node has printed.
    pub(super) fn read_stdout(
        &mut self,
        hear: impl FnMut(Result<&str, LineError<'_>>),
    ) -> io::Result<()> {
        read(&mut self.stdout, hear)
    }

    /// Reads some of what the node has logged.
    pub(super) fn read_stderr(&mut self, mut hear: impl FnMut(&str)) -> io::Result<()> {
        read(&mut self.stderr, |line| {
            let line = line.map_or_else(|error| format!("({error})"), String::from);
            hear(&line);
            if self.log.len() == LOG_LINES_MAX {
                self.log.pop_front();
            }
            self.log.push_back(line);
        })
    }

    /// Whether the node has closed its stdout although it goes on running.
    pub(super) fn has_closed_stdout(&mut self, now: Duration) -> bool {
        let is_closed = self.stdout.is_none() && !self.is_gone;
        is_closed && now >= *self.stdout_closed_at.get_or_insert(now) + GRACE
    }

    /// A line on stdout that the node has begun and not ended, in words. Nothing may be read afterwards.
    pub(super) fn unfinished_line(&mut self) -> Option<String> {
        let line = match self.stdout.as_mut()?.reader.rest()? {
            Ok(line) => shown(line),
            Err(error) => error.to_string(),
        };
        Some(format!(
            "\n{} has not ended this line on stdout: {line}\nA message is a whole line; print a newline after it.",
            self.name
        ))
    }

    /// The process group, if it has not been ended.
    pub(super) fn group(&self) -> Option<u32> {
        (!self.is_gone).then(|| self.child.id())
    }

    /// Whether the process has been ended and waited for.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// How the process ended, in words, once it has ended and all of its output has been read.
    pub(super) fn how_it_ended(&mut self, program: &Program) -> io::Result<Option<String>> {
        if self.is_gone || !self.has_child_event || self.has_more() {
            return Ok(None);
        }
        self.has_child_event = false;
        // NOWAIT leaves it to be waited for: until then no other process group can get its number, so `kill` is safe.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if waitid(WaitId::Pid(Pid::from_child(&self.child)), options)?.is_none() {
            return Ok(None);
        }
        self.kill();
        let status = self.child.wait()?;
        let hint = program.hint(status, &self.log);
        let hint = hint.map_or_else(String::new, |hint| format!(". {hint}"));
        Ok(Some(match self.last_words() {
            Some(words) => format!("{status}{hint}\n{words}"),
            None => format!("{status}, with nothing on stderr{hint}"),
        }))
    }

    /// The node's last lines on stderr, in words.
    pub(super) fn last_words(&self) -> Option<String> {
        if self.log.is_empty() {
            return None;
        }
        let mut words = format!("the end of stderr of {}:", self.name);
        for line in &self.log {
            words.push_str("\n  ");
            words.push_str(line);
        }
        Some(words)
    }

    /// Ends the whole process group, and waits for the process. Output that has not been read is lost.
    pub(super) fn kill(&mut self) {
        if self.is_gone {
            return;
        }
        self.signal(Signal::KILL);
        self.is_gone = true;
        // It fails only if the process has been waited for already.
        let _ = self.child.wait();
        (self.stdin, self.stdout, self.stderr) = (None, None, None);
    }

    /// Sends a signal to the process group, unless it has been waited for: its number may belong to another by now.
    fn signal(&self, signal: Signal) {
        if !self.is_gone {
            // It fails only if all its processes have ended.
            let _ = kill_process_group(Pid::from_child(&self.child), signal);
        }
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Input {
    fn write(&mut self, inbox: &mut Vec<u8>, registry: &Registry) -> io::Result<()> {
        loop {
            if self.written == self.pending.len() {
                self.pending.clear();
                self.written = 0;
                if inbox.is_empty() {
                    return self.watch(false, registry);
                }
                mem::swap(&mut self.pending, inbox);
            }
            match self.pipe.write(&self.pending[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return self.watch(true, registry);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Says whether the loop is woken when the pipe has room again.
    fn watch(&mut self, watch: bool, registry: &Registry) -> io::Result<()> {
        if mem::replace(&mut self.is_watched, watch) == watch {
            return Ok(());
        }
        if watch {
            registry.register(&mut self.pipe, self.token, Interest::WRITABLE)
        } else {
            registry.deregister(&mut self.pipe)
        }
    }
}

impl Output {
    fn new(
        mut pipe: Receiver,
        token: Token,
        line_bytes_max: usize,
        registry: &Registry,
    ) -> io::Result<Self> {
        pipe.set_nonblocking(true)?;
        registry.register(&mut pipe, token, Interest::READABLE)?;
        Ok(Output {
            pipe,
            reader: LineReader::new(line_bytes_max),
            has_more: false,
        })
    }
}

/// Reads once, so that a node that prints without end does not keep the others waiting. At the end, drops the pipe.
fn read(
    output: &mut Option<Output>,
    mut hear: impl FnMut(Result<&str, LineError<'_>>),
) -> io::Result<()> {
    let Some(Output {
        pipe,
        reader,
        has_more,
    }) = output
    else {
        return Ok(());
    };
    if !*has_more {
        return Ok(());
    }
    match pipe.read(reader.space()) {
        Ok(0) => {
            if let Some(line) = reader.rest() {
                hear(line);
            }
            *output = None;
        }
        Ok(count) => {
            reader.filled(count);
            while let Some(line) = reader.next_line() {
                hear(line);
            }
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => *has_more = false,
        Err(error) if error.kind() == ErrorKind::Interrupted => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
