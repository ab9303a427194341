use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::fd::AsFd;

use mio::unix::pipe::{Receiver, Sender};
use mio::{Interest, Registry, Token};

/// Standard input. It is never made nonblocking: before a read that must not wait, epoll is asked.
pub(super) struct Input {
    receiver: Receiver,
    watch: Watch,
    /// A read that doesn't fill its buffer may leave something: a terminal gives one line a read, and when epoll has told that
    /// the other end was closed, it tells of no more.
    may_leave_some: bool,
    /// A read waits for input. Not if whoever started the node has made it nonblocking.
    pub(super) can_wait: bool,
    /// A read gives something at once, if only the end.
    pub(super) is_ready: bool,
    pub(super) has_ended: bool,
}

/// What epoll knows of the input.
enum Watch {
    /// Nothing yet: as long as input is all that the node waits for, it just reads.
    Unasked,
    /// It tells when there is more than has been read.
    Current,
    /// There may be more, of which it has told already.
    Stale,
    /// It refuses, as it does regular files and `/dev/null`, where a read never waits long.
    Refused,
}

impl Input {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Input {
            receiver: Receiver::from(io::stdin().as_fd().try_clone_to_owned()?),
            watch: Watch::Unasked,
            may_leave_some: io::stdin().is_terminal(),
            can_wait: true,
            is_ready: false,
            has_ended: false,
        })
    }

    /// Watches the input for something to read. Input that can't be watched is read at once, and blocks.
    pub(super) fn watch(&mut self, registry: &Registry, token: Token) {
        let (receiver, interest) = (&mut self.receiver, Interest::READABLE);
        let result = match self.watch {
            Watch::Unasked => registry.register(receiver, token, interest),
            Watch::Stale => registry.reregister(receiver, token, interest),
            Watch::Current | Watch::Refused => return,
        };
        self.watch = match result {
            Ok(()) => Watch::Current,
            Err(_) => {
                self.is_ready = true;
                Watch::Refused
            }
        };
    }

    /// There is something to read, and if `is_closed`, nothing will come after it.
    pub(super) fn set_ready(&mut self, is_closed: bool) {
        self.may_leave_some |= is_closed;
        self.is_ready = !self.has_ended;
    }

    /// Reads what is there, or waits for something; perhaps nothing.
    pub(super) fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        match self.receiver.read(space) {
            Ok(0) => {
                self.has_ended = true;
                self.is_ready = false;
                Ok(0)
            }
            Ok(count) => {
                if matches!(self.watch, Watch::Current)
                    && (count == space.len() || self.may_leave_some)
                {
                    self.watch = Watch::Stale;
                }
                self.is_ready = matches!(self.watch, Watch::Refused);
                Ok(count)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.can_wait = false;
                self.is_ready = false;
                Ok(0)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }
}

/// Standard output.
pub(super) struct Output {
    sender: Sender,
    /// epoll tells when there is space. Not in a regular file or `/dev/null`, nor on a terminal: there a write waits.
    is_polled: bool,
    /// There is space, as far as is known.
    pub(super) is_ready: bool,
}

impl Output {
    pub(super) fn open(registry: &Registry, token: Token) -> io::Result<Self> {
        let mut sender = Sender::from(io::stdout().as_fd().try_clone_to_owned()?);
        let result = registry.register(&mut sender, token, Interest::WRITABLE);
        if result.is_ok() {
            registry.deregister(&mut sender)?;
        }
        let is_polled = result.is_ok() && !io::stdout().is_terminal();
        if is_polled {
            sender.set_nonblocking(true)?;
        }
        Ok(Output {
            sender,
            is_polled,
            is_ready: true,
        })
    }

    /// There is space again. epoll need not tell of it until there is none.
    pub(super) fn set_ready(&mut self, registry: &Registry) -> io::Result<()> {
        self.is_ready = true;
        registry.deregister(&mut self.sender)
    }

    /// Writes what there is space for, perhaps nothing: then epoll tells under `token` when there is space.
    pub(super) fn write(
        &mut self,
        bytes: &[u8],
        registry: &Registry,
        token: Token,
    ) -> io::Result<usize> {
        match self.sender.write(bytes) {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock && self.is_polled => {
                self.is_ready = false;
                registry.register(&mut self.sender, token, Interest::WRITABLE)?;
                Ok(0)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            result => result,
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.is_polled {
            // If even this fails there is nothing left to do about it.
            let _ = self.sender.set_nonblocking(false);
        }
    }
}
