//! `eddy serve`: one node process as a network service.
//!
//! ```text
//!  clients ──── TCP: {"body":…} ───────────────┐             ┌─ inbox ── stdin ──┐
//!               answers as the node prints them│             │                   ▼
//!                                              ├── router ───┤               the node
//!  peers ────── TCP: the peer's lines ─────────┤             │                   │
//!         ◄──── TCP: the node's lines ─────────┤             └─ lines ◄─ stdout ─┘
//!  etcd ─────── HTTP, on threads ──────────────┘                (stderr: to the log)
//! ```
//!
//! The service is the network of its node, as [`world`](super::world) is in a test: it sends `init`, gives each client a
//! name, and passes messages on. There is one loop, and nothing in it waits but for events. Requests to etcd wait on
//! threads of their own.
//!
//! - **Clients.** Only `body` of their lines counts. `src` is the name of the connection, so nobody can speak for another.
//!   They can send neither `init` nor replies.
//! - **Peers.** The receiver opens the connection. What n0 gets as a message of n1 has come from the address that is
//!   configured for n1. A message is lost if the peer is not connected or its queue is full, as on any network.
//! - **The node.** If it ends, open requests get error 13, new ones error 11, and it is started again with `init`, after a
//!   delay that grows while it does not stay up. One that has never been ready and ends with status 2 has wrong flags, and
//!   ends the service.
//! - **Limits.** Everything that others can make grow has one: see [`Limits`] and the constants beside it. A client that
//!   exceeds its own is closed, and no other notices.
//! - **The secret.** With a [`Token`], a connection that does not show it gets nothing. The traffic is not encrypted.
//! - **The end.** SIGTERM, SIGINT and SIGHUP: nothing more is accepted, new requests get error 11, open ones are answered.

mod backoff;
mod clients;
mod connections;
mod limits;
mod log;
mod metrics;
mod peers;
mod router;
mod scrape;
mod server;
mod wire;

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

use super::process::{Program, ProgramError};
use super::service::etcd::{EtcdOptions, GatewayError};
use super::system::{FewDescriptors, SystemError};
use super::token::{Token, TokenError};

pub use limits::Limits;
pub use server::serve;

/// The settings of a service.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The id of the node.
    pub id: String,
    /// The ids of all nodes of the cluster, `id` among them.
    pub nodes: Vec<String>,
    /// The other nodes.
    pub peers: Vec<PeerAddress>,
    /// The program of the node.
    pub program: Program,
    /// The address for clients and peers.
    pub listen: SocketAddr,
    /// The address for metrics.
    pub metrics: Option<SocketAddr>,
    /// The secret that clients and peers must know.
    pub token: Option<Token>,
    /// The stores that answer the node's requests to services.
    pub stores: Vec<EtcdOptions>,
    /// The limits.
    pub limits: Limits,
}

/// The address of another node.
#[derive(Clone, Debug)]
pub struct PeerAddress {
    /// The id of the node.
    pub id: String,
    /// The address at which its service listens.
    pub address: SocketAddr,
}

/// The reason why a service can't serve.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The token can't be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// An address that others can reach needs a token.
    #[error(
        "{0} can be reached from other machines, so clients and peers have to show a secret: give --token-file FILE, or \
         listen on 127.0.0.1"
    )]
    NeedsToken(SocketAddr),
    /// The program can't be run.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The node does not know its flags.
    #[error(
        "{id} has never been ready, and has ended with the status of wrong flags. Check what is given after --. {how}"
    )]
    NodeFlags {
        /// The id of the node.
        id: String,
        /// The exit status, and the last lines on stderr.
        how: String,
    },
    /// A store can't be used.
    #[error(transparent)]
    Store(#[from] GatewayError),
    /// The address can't be listened on.
    #[error(
        "can't listen on {address}: {error}. Choose another address with --listen, or --metrics"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The process may open too few files.
    #[error(transparent)]
    FewDescriptors(#[from] FewDescriptors),
    /// The operating system refused something.
    #[error(transparent)]
    System(#[from] SystemError),
}

impl Settings {
    /// The index of the node among all nodes.
    fn own_index(&self) -> usize {
        let index = self.nodes.iter().position(|id| *id == self.id);
        index.expect("the node is one of the cluster")
    }
}
