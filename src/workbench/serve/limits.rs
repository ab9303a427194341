//! The limits of a service. Each bounds what one client, peer or node can make the service hold in memory.

use std::time::Duration;

use crate::protocol::LINE_BYTES_MAX;

/// The limits that can be chosen.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The maximum number of clients at a time.
    pub connections_max: usize,
    /// The maximum length of a line of a client, in bytes. A connection with a longer line is closed.
    pub line_bytes_max: usize,
    /// The maximum size of the output that waits for a client to read it, in bytes. A client that needs more is closed. One
    /// answer of any length may exceed it.
    pub output_bytes_max: usize,
    /// How long a connection may take to authenticate itself, if there is a token.
    pub authentication_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections_max: 1_000,
            line_bytes_max: LINE_BYTES_MAX,
            output_bytes_max: 1 << 20,
            authentication_timeout: Duration::from_secs(5),
        }
    }
}

/// The maximum number of requests of a client that wait for an answer of the node.
pub(super) const OPEN_REQUESTS_MAX: usize = 1_024;

/// The maximum length of a message id of a client, in bytes.
pub(super) const MSG_ID_BYTES_MAX: usize = 128;

/// How long the node may take to answer a request. Then the client gets error 0.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The maximum size of the input that waits for the node to read it, in bytes.
pub(super) const NODE_INPUT_BYTES_MAX: usize = 16 << 20;

/// The maximum size of the output that waits for a peer to read it, in bytes. Messages that do not fit are lost.
pub(super) const PEER_OUTPUT_BYTES_MAX: usize = 16 << 20;

/// The maximum length of a line of a peer, in bytes: it is as long as a line that a node may print.
pub(super) const PEER_LINE_BYTES_MAX: usize = 16 << 20;

/// How often the two sides of a connection between peers send a line, so that each knows that the other is there.
pub(super) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);

/// How long a peer may send nothing. Then its connection is closed.
pub(super) const PEER_SILENCE_MAX: Duration = Duration::from_secs(5);

/// The maximum time between two attempts to connect to a peer.
pub(super) const DIAL_BACKOFF_MAX: Duration = Duration::from_secs(2);

/// The maximum time between the end of the node and its next start.
pub(super) const RESTART_BACKOFF_MAX: Duration = Duration::from_secs(10);

/// How long a node must have served for its next restart to be without delay again.
pub(super) const STEADY_AFTER: Duration = Duration::from_secs(10);

/// The maximum number of connections to the metrics at a time, and how long each may take.
pub(super) const SCRAPES_MAX: usize = 16;
pub(super) const SCRAPE_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum length of a line of a request for metrics, in bytes, and the maximum number of its lines.
pub(super) const SCRAPE_LINE_BYTES_MAX: usize = 8 << 10;
pub(super) const SCRAPE_LINES_MAX: usize = 100;

/// The maximum number of connections that are about to be closed and were accepted only to be told why.
pub(super) const REFUSALS_MAX: usize = 64;

/// How long a connection that is about to be closed is kept so that the other side can read the last line.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// How long the end of a service may take after the last request has been answered.
pub(super) const END_GRACE: Duration = Duration::from_secs(2);

/// How long a client may send nothing before the operating system asks its host whether it still is there, and how often it
/// asks. A client whose host does not answer is closed.
pub(super) const CLIENT_IDLE: Duration = Duration::from_secs(60);
pub(super) const CLIENT_PROBES: u32 = 5;
