//! The nodes that run elsewhere: their addresses and ids.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};

use thiserror::Error;

use super::CONNECT_TIMEOUT;
use super::authentication::Authentication;

/// The longest answer to `authenticate`.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// A node that runs elsewhere.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its id, as it answers; `n0`, `n1` and so on by its place among all if it answers without one.
    pub name: String,
    /// Where clients connect.
    pub(super) address: SocketAddr,
}

/// Why a node can't be asked.
#[derive(Debug, Error)]
pub enum TargetError {
    /// The address has another form, or is of no host that is known.
    #[error("{address} is not an address: {error}. Give HOST:PORT, such as 127.0.0.1:7000")]
    Address {
        /// What was given.
        address: String,
        /// What the operating system said.
        error: io::Error,
    },
    /// Nobody listens there.
    #[error("{address} can't be connected to: {error}. Does a node listen there?")]
    Unreachable {
        /// What was given.
        address: String,
        /// What the operating system said.
        error: io::Error,
    },
    /// The connection ended or was silent before the answer.
    #[error(
        "{address} did not answer authenticate ({why}). Each node has to be behind a server that does, such as eddy serve"
    )]
    NoAnswer {
        /// What was given.
        address: String,
        /// What happened, in words.
        why: String,
    },
    /// Another answer came.
    #[error(
        "{address} does not let clients in: {why}{}",
        if *has_token { "" } else { ". If it asks for a token, give one with --token-file" }
    )]
    Refused {
        /// What was given.
        address: String,
        /// The answer, in words.
        why: String,
        /// Whether a token was given.
        has_token: bool,
    },
    /// Two addresses lead to one node.
    #[error(
        "{first} and {second} both answer as node {name}. Give one address for each node, and each node an id of its own"
    )]
    Twice {
        /// The one address.
        first: String,
        /// The other address.
        second: String,
        /// The node.
        name: String,
    },
}

/// Connects to each address, and asks the node for its id.
///
/// # Errors
///
/// The first that can't be asked, or two that are one node.
pub fn find(
    addresses: &[String],
    authentication: &Authentication,
) -> Result<Vec<Target>, TargetError> {
    let mut targets: Vec<Target> = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        let target = find_one(address, index, authentication)?;
        let is_same = |other: &Target| other.name == target.name;
        if let Some(first) = targets.iter().position(is_same) {
            return Err(TargetError::Twice {
                first: addresses[first].clone(),
                second: address.clone(),
                name: target.name,
            });
        }
        targets.push(target);
    }
    Ok(targets)
}

fn find_one(
    address: &str,
    index: usize,
    authentication: &Authentication,
) -> Result<Target, TargetError> {
    let given = || String::from(address);
    let unreachable = |error| TargetError::Unreachable {
        address: given(),
        error,
    };
    let resolved = address.to_socket_addrs();
    let resolved = resolved.map_err(|error| TargetError::Address {
        address: given(),
        error,
    })?;
    let mut failure = io::Error::from(ErrorKind::AddrNotAvailable);
    for address in resolved {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Err(error) => failure = error,
            Ok(stream) => {
                let line = ask(&stream, authentication).map_err(|why| TargetError::NoAnswer {
                    address: given(),
                    why,
                })?;
                let id = authentication.read_answer(&line);
                let id = id.map_err(|why| TargetError::Refused {
                    address: given(),
                    why,
                    has_token: authentication.has_token(),
                })?;
                let name = id.unwrap_or_else(|| format!("n{index}"));
                return Ok(Target { name, address });
            }
        }
    }
    Err(unreachable(failure))
}

/// Says on a connection what a client says first, and returns the line that comes back.
///
/// # Errors
///
/// What happened instead, in words.
fn ask(mut stream: &TcpStream, authentication: &Authentication) -> Result<String, String> {
    let in_words = |error: io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!("nothing came within {} s", CONNECT_TIMEOUT.as_secs())
        }
        _ => error.to_string(),
    };
    stream
        .set_read_timeout(Some(CONNECT_TIMEOUT))
        .and_then(|()| stream.write_all(authentication.request()))
        .map_err(in_words)?;
    let mut line = Vec::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX))
        .read_until(b'\n', &mut line)
        .map_err(in_words)?;
    match line.pop() {
        Some(b'\n') => Ok(String::from_utf8_lossy(&line).into_owned()),
        _ => Err(String::from("the connection was closed")),
    }
}
