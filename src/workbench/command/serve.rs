//! `eddy serve` runs a node as a network service.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::error::CommandError;
use super::options::check_names;
use super::stores::{self, Cluster};
use super::values::{positive, some_seconds};
use crate::workbench::process::Program;
use crate::workbench::serve::{self, Limits, PeerAddress, ServeError, Settings};
use crate::workbench::service::etcd::Keys;
use crate::workbench::token::Token;

const EXAMPLES: &str = "\
Examples:
  One node, without peers or a store, and a request:
    eddy serve --bin target/release/echo
    echo '{\"body\":{\"type\":\"echo\",\"echo\":7,\"msg_id\":1}}' | nc -N 127.0.0.1 7000
  A counter on three machines, each with a member of etcd. This is the first; the others have --id n1 and n2:
    eddy serve --bin target/release/g-counter --id n0 \\
      --peers n0=10.0.0.1:7000,n1=10.0.0.2:7000,n2=10.0.0.3:7000 --token-file token \\
      --seq-kv etcd=http://10.0.0.1:2379,http://10.0.0.2:2379,http://10.0.0.3:2379 -- --consistency linearizable

A client sends a line for each request, and gets the node's answer as a line:
  {\"body\":{\"type\":\"add\",\"delta\":3,\"msg_id\":1}}
  {\"src\":\"n0\",\"dest\":\"c1\",\"body\":{\"type\":\"add_ok\",\"in_reply_to\":1}}
With --token-file, its first line is:
  {\"body\":{\"type\":\"authenticate\",\"token\":\"...\",\"msg_id\":1}}

Exit status:
  0  ended by SIGTERM, SIGINT or SIGHUP, after open requests were answered
  3  could not serve: wrong flags of eddy or of the node, a program that does not start, or an address that is in use

To see stored runs, as Maelstrom's serve shows them, open store/index.html in a browser.";

/// The address without --listen and --peers.
const DEFAULT_ADDRESS: &str = "127.0.0.1:7000";

/// The flags of `eddy serve`.
#[derive(Args)]
#[command(args_override_self = true, after_help = EXAMPLES)]
pub(super) struct ServeOptions {
    /// The program of the node.
    #[arg(long, value_name = "FILE")]
    bin: PathBuf,

    /// The id of the node.
    #[arg(long, value_name = "NAME", default_value = "n0")]
    id: String,

    /// All nodes of the cluster, this one among them, each with the address of its service: NAME=HOST:PORT,... The list
    /// must be the same for all. Without it, the node is alone.
    #[arg(long, value_name = "NODES", value_delimiter = ',', value_parser = named_address)]
    peers: Vec<(String, String)>,

    /// The address for clients and peers. The default is the node's own address in --peers, or else 127.0.0.1:7000. An
    /// address that other machines can reach needs --token-file.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,

    /// The file with the secret that clients and peers must know: at least 16 bytes. The traffic is not encrypted.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Answer requests for metrics of Prometheus at this address. With --token-file, they need the header
    /// "Authorization: Bearer TOKEN".
    #[arg(long, value_name = "HOST:PORT")]
    metrics: Option<String>,

    /// The arguments of the node, after --.
    #[arg(value_name = "NODE ARGS", last = true)]
    node_args: Vec<String>,

    #[command(flatten, next_help_heading = "The store")]
    store: Store,

    #[command(flatten, next_help_heading = "Limits")]
    limits: LimitOptions,
}

/// The flags that select the stores.
#[derive(Args)]
struct Store {
    /// Let a cluster of etcd answer as seq-kv: etcd=URL,URL,... with the address of each member. The node asks one of
    /// them: the first node the first, and so on. Reads are serializable.
    #[arg(long, value_name = "STORE", value_parser = stores::cluster)]
    seq_kv: Option<Cluster>,

    /// Let a cluster of etcd answer as lin-kv, with linearizable reads.
    #[arg(long, value_name = "STORE", value_parser = stores::cluster)]
    lin_kv: Option<Cluster>,

    /// The beginning of all keys in etcd. It must be the same for all nodes of a cluster, and another for each cluster.
    /// Keys are kept when the service ends.
    #[arg(long, value_name = "PREFIX", default_value = "eddy/")]
    prefix: String,
}

/// The flags for limits.
#[derive(Args)]
struct LimitOptions {
    /// The maximum number of clients at a time.
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections_max, value_parser = positive)]
    max_connections: usize,

    /// The maximum length of a line of a client, in bytes. A client that sends a longer one is closed.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().line_bytes_max, value_parser = positive)]
    max_line: usize,

    /// The maximum size of the answers that wait for a client to read them, in bytes. A client that exceeds it is closed.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().output_bytes_max, value_parser = positive)]
    max_output: usize,

    /// How many seconds a connection may take to show the token.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = some_seconds)]
    auth_timeout: Duration,
}

/// Serves until a signal ends it.
pub(super) fn serve(options: &ServeOptions) -> Result<(), CommandError> {
    Ok(serve::serve(settings(options)?)?)
}

fn settings(options: &ServeOptions) -> Result<Settings, CommandError> {
    let id = &options.id;
    let (nodes, addresses): (Vec<String>, Vec<String>) = match &*options.peers {
        [] => (vec![id.clone()], vec![String::from(DEFAULT_ADDRESS)]),
        peers => peers.iter().cloned().unzip(),
    };
    check_names(&nodes).map_err(|error| CommandError::Options(format!("--peers: {error}")))?;
    let Some(own) = nodes.iter().position(|node| node == id) else {
        let nodes = nodes.join(", ");
        return Err(CommandError::Options(format!(
            "--id {id}: --peers names {nodes}, and this node has to be among them"
        )));
    };
    let mut peers = Vec::new();
    for (index, (node, address)) in nodes.iter().zip(&addresses).enumerate() {
        if index != own {
            peers.push(PeerAddress {
                id: node.clone(),
                address: resolved("--peers", address)?,
            });
        }
    }
    let listen = options.listen.as_ref().unwrap_or(&addresses[own]);
    let token = options.token_file.as_ref().map(|path| Token::read(path));
    let keys = || Keys::Shared {
        prefix: options.store.prefix.clone(),
    };
    let seq_kv =
        (options.store.seq_kv.as_ref()).map(|Cluster(members)| stores::seq_kv_of(members, keys()));
    let lin_kv =
        (options.store.lin_kv.as_ref()).map(|Cluster(members)| stores::lin_kv_of(members, keys()));
    let metrics = options.metrics.as_ref();
    Ok(Settings {
        id: id.clone(),
        nodes,
        peers,
        program: Program::find(&options.bin, options.node_args.clone())
            .map_err(ServeError::Program)?,
        listen: resolved("--listen", listen)?,
        metrics: metrics
            .map(|address| resolved("--metrics", address))
            .transpose()?,
        token: token.transpose().map_err(ServeError::Token)?,
        stores: seq_kv.into_iter().chain(lin_kv).collect(),
        limits: Limits {
            connections_max: options.limits.max_connections,
            line_bytes_max: options.limits.max_line,
            output_bytes_max: options.limits.max_output,
            authentication_timeout: options.limits.auth_timeout,
        },
    })
}

fn named_address(text: &str) -> Result<(String, String), String> {
    let (name, address) = text
        .trim()
        .split_once('=')
        .ok_or("expected NAME=HOST:PORT,...")?;
    Ok((String::from(name), String::from(address)))
}

/// The address that a host and a port stand for.
fn resolved(flag: &str, address: &str) -> Result<SocketAddr, CommandError> {
    let wrong = |why: String| {
        CommandError::Options(format!(
            "{flag}: {address:?} is no address such as 10.0.0.1:7000: {why}"
        ))
    };
    let addresses = address
        .to_socket_addrs()
        .map_err(|error| wrong(error.to_string()))?;
    let mut addresses = addresses;
    addresses
        .next()
        .ok_or_else(|| wrong(String::from("the name has no address")))
}
