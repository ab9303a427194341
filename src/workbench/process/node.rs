//! A node: its process and the three pipes to it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use mio::unix::pipe::{Receiver, Sender};
use mio::{Interest, Registry, Token};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::{GRACE, Program};
use crate::protocol::{LineError, LineReader};
use crate::workbench::check::names;
use crate::workbench::world::{LINE_BYTES_MAX, shown};

/// The maximum length of a line on stderr. A longer one is dropped.
const LOG_LINE_BYTES_MAX: usize = 16 << 10;

/// The number of lines on stderr that are kept of each node.
const LOG_LINES_MAX: usize = 20;

/// A node.
pub(in crate::workbench) struct NodeProcess {
    name: String,
    child: Child,
    /// Whether the process has ended and has been waited for.
    is_gone: bool,
    /// Whether a SIGCHLD has arrived since the child's state was last checked.
    has_child_event: bool,
    stdin: Option<Input>,
    stdout: Option<Output>,
    stderr: Option<Output>,
    /// The driver's time at which its stdout was first found closed.
    stdout_closed_at: Option<Duration>,
    log: VecDeque<String>,
}

/// The writing end of a node's stdin.
struct Input {
    pipe: Sender,
    token: Token,
    /// The lines that are being written. When all bytes are written, the lines of the inbox replace them.
    pending: Vec<u8>,
    /// How many bytes of `pending` are written.
    written: usize,
    /// Whether the loop is woken when the pipe has space again.
    is_watched: bool,
}

/// The reading end of a node's stdout or stderr.
struct Output {
    pipe: Receiver,
    reader: LineReader,
    /// Whether the pipe may hold bytes now.
    has_more: bool,
    /// Whether the node has closed its end and everything has been read.
    is_at_end: bool,
}

/// A line that a node has printed.
pub(in crate::workbench) enum Printed<'a> {
    /// On stderr.
    Log(&'a str),
    /// On stdout.
    Line(Result<&'a str, LineError<'a>>),
}

/// How a process ended by itself.
pub(in crate::workbench) struct Ended {
    pub(in crate::workbench) status: ExitStatus,
    /// The status in words, perhaps with a hint, and then the last lines on stderr.
    pub(in crate::workbench) how: String,
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
    /// Registers the pipes of a child that has just been started.
    pub(in crate::workbench) fn new(
        name: &str,
        index: usize,
        mut child: Child,
        registry: &Registry,
    ) -> io::Result<Self> {
        let missing = || io::Error::other("the child has no pipe");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        // From here on, dropping `node` kills the child.
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

    /// Replaces the process by that of a new incarnation. Keeps the lines on stderr of the earlier ones.
    pub(in crate::workbench) fn restart(
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

    /// Sends SIGSTOP to the process group.
    pub(super) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Sends SIGCONT to the process group.
    pub(super) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Records an event of one of the pipes.
    pub(in crate::workbench) fn note_event(&mut self, token: Token) {
        let output = match token.0 % 3 {
            1 => &mut self.stdout,
            2 => &mut self.stderr,
            // Each turn of the loop tries to write, with or without an event.
            _ => return,
        };
        if let Some(output) = output {
            output.has_more = true;
        }
    }

    /// Records a SIGCHLD, which may be about this child or another.
    pub(in crate::workbench) fn note_child_event(&mut self) {
        self.has_child_event = true;
        // The last output must be read before the exit is reported.
        for output in [&mut self.stdout, &mut self.stderr].into_iter().flatten() {
            output.has_more = true;
        }
    }

    /// Whether a pipe may hold bytes now.
    pub(in crate::workbench) fn has_more(&self) -> bool {
        let outputs = [&self.stdout, &self.stderr];
        outputs.into_iter().flatten().any(|output| output.has_more)
    }

    /// Writes as much of the inbox as the pipe has space for.
    pub(in crate::workbench) fn write(
        &mut self,
        inbox: &mut Vec<u8>,
        registry: &Registry,
    ) -> io::Result<()> {
        let Some(input) = &mut self.stdin else {
            inbox.clear();
            return Ok(());
        };
        match input.write(inbox, registry) {
            // The node has closed its stdin. If it has exited, SIGCHLD follows.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.stdin = None,
            result => result?,
        }
        Ok(())
    }

    /// Closes the node's stdin. The node should then exit.
    pub(in crate::workbench) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Reads once from each pipe that may hold bytes, and passes the complete lines to `take`: no line on stdout before a
    /// line on stderr that the node printed earlier.
    pub(in crate::workbench) fn read(
        &mut self,
        mut take: impl FnMut(Printed<'_>),
    ) -> io::Result<()> {
        let has_printed = match &mut self.stdout {
            Some(stdout) => stdout.fill()?,
            None => false,
        };
        if let Some(stderr) = &mut self.stderr {
            // The node may have printed on stderr after the last events and before what was just read from stdout. One read
            // takes all of that: a reader has space for at least as much as a pipe holds.
            stderr.has_more |= has_printed;
            stderr.fill()?;
            stderr.take_lines(|line| {
                let line = line.map_or_else(|error| format!("({error})"), String::from);
                take(Printed::Log(&line));
                if self.log.len() == LOG_LINES_MAX {
                    self.log.pop_front();
                }
                self.log.push_back(line);
            });
        }
        if let Some(stdout) = &mut self.stdout {
            stdout.take_lines(|line| take(Printed::Line(line)));
        }
        for output in [&mut self.stdout, &mut self.stderr] {
            output.take_if(|output| output.is_at_end);
        }
        Ok(())
    }

    /// When the node closed its stdout, if that was at least [`GRACE`] ago and it still runs.
    pub(in crate::workbench) fn closed_stdout_at(&mut self, now: Duration) -> Option<Duration> {
        if self.stdout.is_some() || self.is_gone {
            return None;
        }
        let closed_at = *self.stdout_closed_at.get_or_insert(now);
        (now >= closed_at + GRACE).then_some(closed_at)
    }

    /// A description of the incomplete line on stdout, if there is one. It takes the line, so nothing may be read
    /// afterwards.
    pub(super) fn unfinished_line(&mut self) -> Option<String> {
        let reader = &mut self.stdout.as_mut()?.reader;
        reader.end();
        let line = match reader.lines().next()? {
            Ok(line) => shown(line),
            Err(error) => error.to_string(),
        };
        Some(format!(
            "\n{} has not ended this line on stdout: {line}\nA message is a whole line; print a newline after it.",
            self.name
        ))
    }

    /// The process group, unless the process has ended.
    pub(in crate::workbench) fn group(&self) -> Option<u32> {
        (!self.is_gone).then(|| self.child.id())
    }

    /// Whether the process has ended and has been waited for.
    pub(in crate::workbench) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// How the process ended, once it has ended by itself and all its output has been read.
    pub(in crate::workbench) fn how_it_ended(
        &mut self,
        program: &Program,
    ) -> io::Result<Option<Ended>> {
        if self.is_gone || !self.has_child_event || self.has_more() {
            return Ok(None);
        }
        self.has_child_event = false;
        // With NOWAIT the process stays a zombie, so no other process can get its number before `kill` signals the group.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if waitid(WaitId::Pid(Pid::from_child(&self.child)), options)?.is_none() {
            return Ok(None);
        }
        self.kill();
        let status = self.child.wait()?;
        let hint = program.hint(status, &self.log);
        let hint = hint.map_or_else(String::new, |hint| format!(". {hint}"));
        let how = match self.log.is_empty() {
            true => format!("{status}, with nothing on stderr{hint}"),
            false => format!("{status}{hint}\n{}", last_words([&*self.name], &self.log)),
        };
        Ok(Some(Ended { status, how }))
    }

    /// The node's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The node's last lines on stderr.
    pub(super) fn log(&self) -> &VecDeque<String> {
        &self.log
    }

    /// Kills the process group and waits for the process. Output that has not been read is lost.
    pub(in crate::workbench) fn kill(&mut self) {
        if self.is_gone {
            return;
        }
        self.signal(Signal::KILL);
        self.is_gone = true;
        // This fails only if the process has already been waited for.
        let _ = self.child.wait();
        (self.stdin, self.stdout, self.stderr) = (None, None, None);
    }

    /// Sends a signal to the process group, unless the process has been waited for: another group may have its number.
    fn signal(&self, signal: Signal) {
        if !self.is_gone {
            // This fails only if all processes of the group have ended.
            let _ = kill_process_group(Pid::from_child(&self.child), signal);
        }
    }
}

/// The last lines on the stderr of these nodes, with a heading.
pub(super) fn last_words<'a>(
    nodes: impl IntoIterator<Item = &'a str>,
    log: &VecDeque<String>,
) -> String {
    let mut words = format!("the end of stderr of {}:", names("node", nodes));
    for line in log {
        words.push_str("\n  ");
        words.push_str(line);
    }
    words
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

    /// Sets whether the loop is woken when the pipe has space again.
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
            is_at_end: false,
        })
    }

    /// Reads once, so that a node that prints without end does not keep the others waiting. Returns whether there was
    /// anything to read.
    fn fill(&mut self) -> io::Result<bool> {
        if !self.has_more {
            return Ok(false);
        }
        match self.pipe.read(self.reader.space()) {
            Ok(count) => {
                self.reader.filled(count);
                self.is_at_end = count == 0;
                return Ok(true);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.has_more = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(false)
    }

    /// Passes each complete line that has been read to `take`, and at the end an incomplete one.
    fn take_lines(&mut self, mut take: impl FnMut(Result<&str, LineError<'_>>)) {
        self.reader.lines().for_each(&mut take);
        if self.is_at_end {
            self.reader.end();
            self.reader.lines().for_each(take);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use mio::{Events, Poll};

    use super::*;

    #[test]
    fn a_line_on_stderr_comes_before_a_later_one_on_stdout() {
        const SCRIPT: &str =
            "i=0; while [ $i -lt 20000 ]; do echo $i >&2; echo $i; i=$((i+1)); done";
        let child = Command::new("/bin/sh")
            .args(["-c", SCRIPT])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let mut poll = Poll::new().expect("a poll");
        let mut node = NodeProcess::new("n0", 0, child, poll.registry()).expect("it has pipes");
        let mut events = Events::with_capacity(4);
        let (mut logged_count, mut printed_count) = (0, 0);
        while node.stdout.is_some() {
            if !node.has_more() {
                poll.poll(&mut events, None).expect("events");
                events
                    .iter()
                    .for_each(|event| node.note_event(event.token()));
            }
            let read = node.read(|printed| match printed {
                Printed::Log(_) => logged_count += 1,
                Printed::Line(_) => {
                    printed_count += 1;
                    assert!(logged_count >= printed_count);
                }
            });
            read.expect("the pipes can be read");
        }
        assert_eq!(printed_count, 20_000);
    }
}
