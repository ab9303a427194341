//! The connections of a service: nonblocking sockets, the lines that arrive on them and the output that waits for them.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::Shutdown;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::net::sockopt;
use serde_json::value::RawValue;
use slab::Slab;

use super::limits::{CLIENT_IDLE, CLIENT_PROBES, LINGER};
use super::scrape::Scrape;
use crate::protocol::LineReader;

/// The number of bytes that are read at once from a connection that a client or peer has opened. It is small because there
/// may be thousands.
const READ_BYTES: usize = 4 << 10;

/// The tokens below this belong to the pipes of the node and to listening sockets.
const FIRST_TOKEN: usize = 16;

/// The capacity that an empty output buffer may keep.
const IDLE_BYTES_MAX: usize = 64 << 10;

/// A connection.
pub(super) struct Connection {
    stream: TcpStream,
    /// `None` while its lines are being taken, and once nothing more is read.
    reader: Option<LineReader>,
    output: VecDeque<u8>,
    /// The number in the name of a client. No other connection has it.
    pub number: u64,
    pub role: Role,
    /// Whether the socket may hold bytes now. Then the connection is in the list of those to read.
    has_more: bool,
    /// Whether the socket may have space now.
    has_space: bool,
    /// Whether the other side sends nothing more.
    pub is_at_end: bool,
}

/// The purpose of a connection.
pub(super) enum Role {
    /// It was accepted at this time, and its first line will tell.
    Unknown { since: Duration },
    /// A client, with its requests that the node has not answered.
    Client { open: Vec<OpenRequest> },
    /// It carries the messages of the node to a peer, which has opened it.
    ToPeer { peer: usize, heard_at: Duration },
    /// It carries the messages of a peer to the node. This service has opened it.
    FromPeer {
        peer: usize,
        heard_at: Duration,
        /// Whether the peer has said who it is.
        is_confirmed: bool,
    },
    /// A request for metrics.
    Scrape(Scrape),
    /// It is closed when its output is written and the other side has closed it, at this time at the latest.
    Closing { until: Duration },
}

/// A request that the node has not answered.
pub(super) struct OpenRequest {
    /// The text under which its answer finds it.
    pub id: String,
    /// The message id, as the client wrote it.
    pub msg_id: Box<RawValue>,
    pub kind: Box<str>,
    pub began_at: Duration,
}

/// The result of a read.
pub(super) enum Filled {
    /// There may be new lines.
    Lines(LineReader),
    Nothing,
    Broken(io::Error),
}

/// All connections, by key. The key of a connection that was removed is used again.
pub(super) struct Connections {
    registry: Registry,
    slab: Slab<Connection>,
    /// The connections whose sockets may hold bytes.
    to_read: Vec<usize>,
    /// The connections whose output or end has to be looked at.
    to_write: Vec<usize>,
    next_number: u64,
    /// The space for bytes that are ignored.
    ignored: Box<[u8]>,
}

impl Connections {
    pub(super) fn new(registry: Registry) -> Self {
        Connections {
            registry,
            slab: Slab::new(),
            to_read: Vec::new(),
            to_write: Vec::new(),
            next_number: 1,
            ignored: vec![0; READ_BYTES].into(),
        }
    }

    /// Adds a connection that was accepted.
    pub(super) fn accept(
        &mut self,
        stream: TcpStream,
        line_bytes_max: usize,
        role: Role,
    ) -> io::Result<usize> {
        self.add(
            stream,
            LineReader::with_read_bytes(line_bytes_max, READ_BYTES),
            role,
        )
    }

    /// Adds a connection.
    pub(super) fn add(
        &mut self,
        mut stream: TcpStream,
        reader: LineReader,
        role: Role,
    ) -> io::Result<usize> {
        let entry = self.slab.vacant_entry();
        let key = entry.key();
        let token = Token(FIRST_TOKEN + key);
        self.registry
            .register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        // Without it, answers would wait for acknowledgements. A socket that can't have it works nevertheless.
        let _ = stream.set_nodelay(true);
        let _ = watch_host(&stream);
        entry.insert(Connection {
            stream,
            reader: Some(reader),
            output: VecDeque::new(),
            number: self.next_number,
            role,
            has_more: false,
            has_space: false,
            is_at_end: false,
        });
        self.next_number += 1;
        Ok(key)
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn get(&mut self, key: usize) -> Option<&mut Connection> {
        self.slab.get_mut(key)
    }

    /// The keys of all connections.
    pub(super) fn keys(&self) -> Vec<usize> {
        self.slab.iter().map(|(key, _)| key).collect()
    }

    /// All connections, by key.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Connection)> {
        self.slab.iter_mut()
    }

    /// Records an event of a connection.
    pub(super) fn note_event(&mut self, event: &Event) {
        let key = event.token().0 - FIRST_TOKEN;
        // An event of a connection that was removed may be taken for one of its successor: it will find nothing to do.
        let Some(connection) = self.slab.get_mut(key) else {
            return;
        };
        if event.is_readable() || event.is_error() || event.is_read_closed() {
            self.to_read.push(key);
            connection.has_more = true;
        }
        if event.is_writable() {
            self.to_write.push(key);
            connection.has_space = true;
        }
    }

    /// Whether a connection may hold bytes now.
    pub(super) fn has_more(&self) -> bool {
        !self.to_read.is_empty()
    }

    /// Takes the keys of the connections that may hold bytes.
    pub(super) fn take_readable(&mut self) -> Vec<usize> {
        let mut keys = mem::take(&mut self.to_read);
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Reads once from a connection, so that one that sends without end does not keep the others waiting.
    pub(super) fn fill(&mut self, key: usize) -> Filled {
        let Some(connection) = self.slab.get_mut(key) else {
            return Filled::Nothing;
        };
        let mut reader = connection.reader.take();
        let space = match &mut reader {
            Some(reader) => reader.space(),
            None => &mut self.ignored,
        };
        match connection.stream.read(space) {
            Ok(count) => {
                if count == 0 {
                    connection.is_at_end = true;
                    connection.has_more = false;
                    self.to_write.push(key);
                }
                if let Some(reader) = &mut reader {
                    reader.filled(count);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => connection.has_more = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Filled::Broken(error),
        }
        if connection.has_more {
            self.to_read.push(key);
        }
        reader.map_or(Filled::Nothing, Filled::Lines)
    }

    /// Gives a reader back after its lines have been taken, unless the connection takes no more lines.
    pub(super) fn give_back(&mut self, key: usize, reader: LineReader) {
        if let Some(connection) = self.slab.get_mut(key)
            && !matches!(connection.role, Role::Closing { .. })
        {
            connection.reader = Some(reader);
        }
    }

    /// Adds to the output of a connection.
    pub(super) fn send(&mut self, key: usize, bytes: &[u8]) {
        if let Some(connection) = self.slab.get_mut(key) {
            connection.output.extend(bytes);
            self.to_write.push(key);
        }
    }

    /// Lets a connection end once its output has been written. What it still receives is ignored. Returns its role.
    pub(super) fn close(&mut self, key: usize, now: Duration) -> Option<Role> {
        let connection = self.slab.get_mut(key)?;
        connection.reader = None;
        self.to_write.push(key);
        let closing = Role::Closing {
            until: now + LINGER,
        };
        Some(mem::replace(&mut connection.role, closing))
    }

    /// Ends a connection at once. Returns its role.
    pub(super) fn remove(&mut self, key: usize) -> Option<Role> {
        let connection = self.slab.try_remove(key)?;
        Some(connection.role)
    }

    /// Writes as much output as the sockets have space for. Returns the connections that have come to their end, each
    /// with the error if there was one.
    pub(super) fn write(&mut self) -> Vec<(usize, Option<io::Error>)> {
        let mut keys = mem::take(&mut self.to_write);
        keys.sort_unstable();
        keys.dedup();
        let mut ended = Vec::new();
        for key in keys {
            let Some(connection) = self.slab.get_mut(key) else {
                continue;
            };
            match connection.write() {
                Ok(()) if connection.is_done() => ended.push((key, None)),
                Ok(()) => {}
                Err(error) => ended.push((key, Some(error))),
            }
        }
        ended
    }
}

/// Lets the operating system find out whether the other side's host is gone.
fn watch_host(stream: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_tcp_keepidle(stream, CLIENT_IDLE)?;
    sockopt::set_tcp_keepcnt(stream, CLIENT_PROBES)?;
    sockopt::set_tcp_keepintvl(stream, CLIENT_IDLE / CLIENT_PROBES)?;
    sockopt::set_socket_keepalive(stream, true)
}

impl Connection {
    /// The number of bytes that wait for the other side to read.
    pub(super) fn output_bytes(&self) -> usize {
        self.output.len()
    }

    /// The name of the client.
    pub(super) fn client_name(&self) -> String {
        format!("c{}", self.number)
    }

    fn write(&mut self) -> io::Result<()> {
        while self.has_space && !self.output.is_empty() {
            match self.stream.write(self.output.as_slices().0) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.has_space = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.output.is_empty() {
            if self.output.capacity() > IDLE_BYTES_MAX {
                self.output = VecDeque::new();
            }
            if matches!(self.role, Role::Closing { .. }) && !self.is_at_end {
                // This fails only if the other side has closed the connection.
                let _ = self.stream.shutdown(Shutdown::Write);
            }
        }
        Ok(())
    }

    /// Whether nothing more can arrive and nothing more has to be written.
    fn is_done(&self) -> bool {
        let has_open = matches!(&self.role, Role::Client { open } if !open.is_empty());
        self.is_at_end && self.output.is_empty() && !has_open
    }
}
