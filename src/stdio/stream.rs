use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use mio::unix::pipe::{Receiver, Sender};
use mio::{Interest, Registry, Token};

/// Standard input.
pub(super) struct Input {
    source: Source,
    is_ready: bool,
    /// The other end has been closed; what it sent before is still to be read.
    is_closed: bool,
    has_ended: bool,
}

enum Source {
    Polled(Receiver),
    /// Reading gives one line, or waits for one, so it is asked each time whether there is one. A terminal is never made
    /// nonblocking: whoever ends the node with ctrl-C would leave it so to the shell.
    Terminal(Receiver, Registry, Token),
    /// A regular file or `/dev/null`, which epoll refuses: reading never waits long.
    Blocking(File),
}

impl Input {
    pub(super) fn open(registry: &Registry, token: Token) -> io::Result<Self> {
        let mut receiver = Receiver::from(io::stdin().as_fd().try_clone_to_owned()?);
        let is_terminal = io::stdin().is_terminal();
        let source = match registry.register(&mut receiver, token, Interest::READABLE) {
            Ok(()) if is_terminal => Source::Terminal(receiver, registry.try_clone()?, token),
            Ok(()) => {
                receiver.set_nonblocking(true)?;
                Source::Polled(receiver)
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                Source::Blocking(File::from(OwnedFd::from(receiver)))
            }
            Err(error) => return Err(error),
        };
        Ok(Input {
            source,
            is_ready: !is_terminal,
            is_closed: false,
            has_ended: false,
        })
    }

    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// There is something to read, and if `is_closed`, nothing will come after it.
    pub(super) fn set_ready(&mut self, is_closed: bool) {
        self.is_closed |= is_closed;
        self.is_ready = !self.has_ended;
    }

    /// Reads what is there, perhaps nothing.
    pub(super) fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let result = match &mut self.source {
            Source::Polled(receiver) => receiver.read(space),
            Source::Terminal(receiver, registry, token) => {
                self.is_ready = false;
                let result = receiver.read(space);
                registry.reregister(receiver, *token, Interest::READABLE)?;
                result
            }
            Source::Blocking(file) => file.read(space),
        };
        match result {
            Ok(0) => {
                self.has_ended = true;
                self.is_ready = false;
                Ok(0)
            }
            Ok(count) => {
                if let Source::Polled(_) = self.source {
                    self.is_ready = count == space.len() || self.is_closed;
                }
                Ok(count)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.is_ready = false;
                Ok(0)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if let Source::Polled(receiver) = &self.source {
            // If even this fails there is nothing left to do about it.
            let _ = receiver.set_nonblocking(false);
        }
    }
}

/// Standard output.
pub(super) struct Output {
    sink: Sink,
    registry: Registry,
    token: Token,
    is_ready: bool,
}

enum Sink {
    Polled(Sender),
    /// A regular file or `/dev/null`, or a terminal.
    Blocking(File),
}

impl Output {
    pub(super) fn open(registry: &Registry, token: Token) -> io::Result<Self> {
        let mut sender = Sender::from(io::stdout().as_fd().try_clone_to_owned()?);
        let is_terminal = io::stdout().is_terminal();
        let sink = match registry.register(&mut sender, token, Interest::WRITABLE) {
            Ok(()) if is_terminal => {
                registry.deregister(&mut sender)?;
                Sink::Blocking(File::from(OwnedFd::from(sender)))
            }
            Ok(()) => {
                registry.deregister(&mut sender)?;
                sender.set_nonblocking(true)?;
                Sink::Polled(sender)
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                Sink::Blocking(File::from(OwnedFd::from(sender)))
            }
            Err(error) => return Err(error),
        };
        Ok(Output {
            sink,
            registry: registry.try_clone()?,
            token,
            is_ready: true,
        })
    }

    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// There is room again: until the next time that there is none, nobody needs to say so.
    pub(super) fn set_ready(&mut self) -> io::Result<()> {
        self.is_ready = true;
        match &mut self.sink {
            Sink::Polled(sender) => self.registry.deregister(sender),
            Sink::Blocking(_) => Ok(()),
        }
    }

    /// Writes what there is room for, perhaps nothing.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = match &mut self.sink {
            Sink::Polled(sender) => sender.write(bytes),
            Sink::Blocking(file) => file.write(bytes),
        };
        match (result, &mut self.sink) {
            (Ok(0), _) => Err(ErrorKind::WriteZero.into()),
            (Err(error), Sink::Polled(sender)) if error.kind() == ErrorKind::WouldBlock => {
                self.is_ready = false;
                let interest = Interest::WRITABLE;
                self.registry.register(sender, self.token, interest)?;
                Ok(0)
            }
            (Err(error), _) if error.kind() == ErrorKind::Interrupted => Ok(0),
            (result, _) => result,
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Sink::Polled(sender) = &self.sink {
            // If even this fails there is nothing left to do about it.
            let _ = sender.set_nonblocking(false);
        }
    }
}
