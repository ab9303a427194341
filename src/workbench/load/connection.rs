//! The connection of one client to its node.

use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::CONNECT_TIMEOUT;
use super::authentication::Authentication;
use crate::protocol::{LineError, LineReader};
use crate::workbench::world::LINE_BYTES_MAX;

/// The time between the second attempt to connect in a row that failed and the third; it doubles from there on.
const BACKOFF_MIN: Duration = Duration::from_millis(50);

/// The longest time between two attempts to connect.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// A connection that is made when there is something to send, and made again when it has ended.
pub(super) struct Connection {
    address: SocketAddr,
    token: Token,
    authentication: Authentication,
    link: Option<Link>,
    /// No attempt to connect is made before this time.
    not_before: Duration,
    /// How many times in a row the connection has ended without an answer.
    failure_count: u32,
    /// When the first of the attempts to connect was over that have failed in a row.
    failing_since: Option<Duration>,
    /// The longest time from the first to the last of the attempts to connect that failed in a row.
    longest_outage: Duration,
}

/// A TCP connection that has been begun.
struct Link {
    stream: TcpStream,
    stage: Stage,
    reader: LineReader,
    /// There may be more to read.
    has_more: bool,
    /// The line that was sent last or is being sent.
    output: Vec<u8>,
    written: usize,
}

enum Stage {
    /// The connection has to be there by this time.
    Connecting {
        until: Duration,
    },
    /// The answer to `authenticate` has to be there by this time.
    Authenticating {
        until: Duration,
    },
    Ready,
}

/// A connection has ended, or could not be made.
#[derive(Debug)]
pub(super) struct Lost {
    /// Whether any byte of the last request was sent.
    pub was_sent: bool,
    /// What happened, in words.
    pub why: String,
}

impl Connection {
    /// A connection to that address that is not made yet. Its events have this token.
    pub(super) fn new(address: SocketAddr, token: Token, authentication: Authentication) -> Self {
        Connection {
            address,
            token,
            authentication,
            link: None,
            not_before: Duration::ZERO,
            failure_count: 0,
            failing_since: None,
            longest_outage: Duration::ZERO,
        }
    }

    /// Begins to connect.
    pub(super) fn open(&mut self, now: Duration, registry: &Registry) -> Result<(), Lost> {
        match Link::begin(self.address, self.token, now, registry) {
            Ok(link) => self.link = Some(link),
            Err(error) => return Err(self.lose(cannot_connect(&error), now)),
        }
        Ok(())
    }

    /// The longest time in which every attempt to connect failed.
    pub(super) fn longest_outage(&self) -> Duration {
        self.longest_outage
    }

    /// Whether requests can be sent.
    pub(super) fn is_ready(&self) -> bool {
        let link = self.link.as_ref();
        link.is_some_and(|link| matches!(link.stage, Stage::Ready))
    }

    /// Makes the connection one of another client: closes it if anything was sent over it.
    pub(super) fn pass_on(&mut self) {
        self.link
            .take_if(|link| matches!(link.stage, Stage::Ready) && !link.output.is_empty());
    }

    /// Takes note of an event.
    pub(super) fn note_event(&mut self) {
        if let Some(link) = &mut self.link {
            link.has_more = true;
        }
    }

    /// Whether there may be more to read right now.
    pub(super) fn has_more(&self) -> bool {
        self.link.as_ref().is_some_and(Link::can_read)
    }

    /// When [`write`](Self::write) has to be called next if there is no event before.
    pub(super) fn deadline(&self, has_output: bool) -> Option<Duration> {
        match &self.link {
            None => has_output.then_some(self.not_before),
            Some(link) => match link.stage {
                Stage::Connecting { until } | Stage::Authenticating { until } => Some(until),
                Stage::Ready => None,
            },
        }
    }

    /// Sends what is in `outbox`, as far as it can be sent now. Connects first if there is no connection.
    pub(super) fn write(
        &mut self,
        outbox: &mut Vec<u8>,
        now: Duration,
        registry: &Registry,
    ) -> Result<(), Lost> {
        if self.link.is_none() && !outbox.is_empty() && now >= self.not_before {
            self.open(now, registry)?;
        }
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        match link.advance(&self.authentication, outbox, now) {
            Ok(()) => Ok(()),
            Err(why) => Err(self.lose(why, now)),
        }
    }

    /// Reads once, so that a node that sends without end does not keep the others waiting. Passes each line to `hear`.
    pub(super) fn read(
        &mut self,
        now: Duration,
        mut hear: impl FnMut(Result<&str, LineError<'_>>),
    ) -> Result<(), Lost> {
        let Some(link) = self.link.as_mut().filter(|link| link.can_read()) else {
            return Ok(());
        };
        match link.stream.read(link.reader.space()) {
            Ok(0) => return Err(self.lose(String::from("the connection was closed"), now)),
            Ok(count) => link.reader.filled(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => link.has_more = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(self.lose(error.to_string(), now)),
        }
        for line in link.reader.lines() {
            match (&link.stage, line) {
                (Stage::Ready, line) => {
                    hear(line);
                    self.failure_count = 0;
                }
                (_, Ok(line)) => match self.authentication.read_answer(line) {
                    Ok(_) => {
                        link.stage = Stage::Ready;
                        self.failing_since = None;
                        link.output.clear();
                        link.written = 0;
                    }
                    Err(why) => return Err(self.lose(why, now)),
                },
                (_, Err(error)) => {
                    let why = error.to_string();
                    return Err(self.lose(why, now));
                }
            }
        }
        Ok(())
    }

    /// Ends the connection, and decides when the next attempt may be made: at once the first time, and each time later if
    /// no answer comes in between.
    fn lose(&mut self, why: String, now: Duration) -> Lost {
        let link = self.link.take();
        let wait = match self.failure_count {
            0 => Duration::ZERO,
            count => (BACKOFF_MIN * 2u32.saturating_pow(count - 1)).min(BACKOFF_MAX),
        };
        self.failure_count += 1;
        self.not_before = now + wait;
        let link = link.filter(|link| matches!(link.stage, Stage::Ready));
        if link.is_none() {
            let since = *self.failing_since.get_or_insert(now);
            self.longest_outage = self.longest_outage.max(now - since);
        }
        Lost {
            was_sent: link.is_some_and(|link| link.written > 0),
            why,
        }
    }
}

fn cannot_connect(error: &io::Error) -> String {
    format!("can't connect: {error}")
}

impl Link {
    fn begin(
        address: SocketAddr,
        token: Token,
        now: Duration,
        registry: &Registry,
    ) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Link {
            stream,
            stage: Stage::Connecting {
                until: now + CONNECT_TIMEOUT,
            },
            reader: LineReader::new(LINE_BYTES_MAX),
            has_more: false,
            output: Vec::new(),
            written: 0,
        })
    }

    /// Whether there may be more to read right now. What comes before it is known to be connected is read later.
    fn can_read(&self) -> bool {
        self.has_more && !matches!(self.stage, Stage::Connecting { .. })
    }

    /// Does what can be done now to send what is in `outbox`.
    ///
    /// # Errors
    ///
    /// Why the connection has ended, in words.
    fn advance(
        &mut self,
        authentication: &Authentication,
        outbox: &mut Vec<u8>,
        now: Duration,
    ) -> Result<(), String> {
        if let Stage::Connecting { until } = self.stage {
            if !self
                .is_connected()
                .map_err(|error| cannot_connect(&error))?
            {
                return late("connection", until, now);
            }
            self.output.extend_from_slice(authentication.request());
            self.stage = Stage::Authenticating { until };
        }
        self.flush().map_err(|error| error.to_string())?;
        match self.stage {
            Stage::Connecting { .. } => Ok(()),
            Stage::Authenticating { until } => late("answer to authenticate", until, now),
            Stage::Ready if outbox.is_empty() || self.written < self.output.len() => Ok(()),
            Stage::Ready => {
                self.output.clear();
                self.written = 0;
                mem::swap(&mut self.output, outbox);
                self.flush().map_err(|error| error.to_string())
            }
        }
    }

    fn is_connected(&mut self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => self.stream.set_nodelay(true).map(|()| true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes as much as the connection takes.
    fn flush(&mut self) -> io::Result<()> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Checks that it is not too late for `what`.
fn late(what: &str, until: Duration, now: Duration) -> Result<(), String> {
    if now < until {
        return Ok(());
    }
    Err(format!("no {what} within {} s", CONNECT_TIMEOUT.as_secs()))
}
