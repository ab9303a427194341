//! A key-value service on a cluster of etcd.
//!
//! | request of a node | request to etcd |
//! |---|---|
//! | `read` | a range: serializable for `seq-kv`, linearizable for `lin-kv` |
//! | `write` | a put |
//! | `cas` | a transaction that compares the value and puts the new one; with `create_if_not_exists`, also if the key is missing |
//!
//! The requests of a node all go to the same member. The member serves a serializable range from its own state, which
//! may be old. Puts and transactions go through consensus, and the member responds after it has applied them. So a node
//! reads its own changes, and a change brings it up to date. [`Sequential`](super::Sequential) is a model of this.
//!
//! Values are compared as in the other services. Etcd compares bytes, so each value is stored in its canonical form, in
//! which equal values have the same text. A `cas` is therefore one transaction, without a read before it.
//!
//! If a member does not respond within [`RESPONSE_TIMEOUT`], refuses or closes the connection, or does not report success,
//! the reply to the node is error 0: the change may have taken effect or still may. A request is refused with error 11
//! if it can't be sent because [`IN_FLIGHT_MAX`] others wait for the member.
//!
//! The [`Keys`] of a run are attached to a lease, and begin with its id. They are deleted with the lease: when the run
//! ends, or when the lease expires if this program was killed. The keys of a node that serves are kept, and shared with
//! the other nodes.

mod gateway;
mod query;
mod session;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::{Call, LateAnswer, Service, write_error};
use crate::protocol::{Error, ErrorCode};
use crate::workbench::network::Endpoint;
use gateway::Member;
use query::Query;
use session::Session;

pub use gateway::{GatewayError, MemberUrl, RESPONSE_TIMEOUT};

/// The maximum number of requests that wait for one member. Each has its own thread, so that one that waits for a paused
/// member does not delay the others.
pub const IN_FLIGHT_MAX: usize = 256;

/// The stack size of a thread that waits for a member.
const STACK_BYTES: usize = 256 << 10;

/// The settings of a service on a cluster.
#[derive(Clone, Debug)]
pub struct EtcdOptions {
    /// The address of the service.
    pub service: &'static str,
    /// Whether reads are serializable instead of linearizable.
    pub reads_are_serializable: bool,
    /// The members; at least one. The requests of node `i` go to member `i` modulo their number.
    pub members: Vec<MemberUrl>,
    /// The keys that hold the values.
    pub keys: Keys,
}

/// The keys in etcd that a service uses.
#[derive(Clone, Debug)]
pub enum Keys {
    /// Keys that no other session uses. They are deleted at its end.
    OfSession {
        /// The time to live of their lease, after which etcd deletes them. It must be longer than the session.
        lease_ttl: Duration,
    },
    /// Keys that are kept, and shared by all services that have the same address and prefix.
    Shared {
        /// The beginning of every key.
        prefix: String,
    },
}

/// Delivers a late answer to the world, from any thread.
pub type Deliver = Arc<dyn Fn(LateAnswer) + Send + Sync>;

/// A key-value service on a cluster of etcd.
pub struct Etcd {
    service: &'static str,
    session: Session,
    deliver: Deliver,
}

impl Etcd {
    /// Opens a session with the cluster. The service passes its answers to `deliver`.
    ///
    /// # Errors
    ///
    /// When the keys are of the session and a member does not serve: all members must serve when a run begins. With
    /// shared keys, nothing is sent to the members.
    pub fn connect(options: &EtcdOptions, deliver: Deliver) -> Result<Self, GatewayError> {
        Ok(Etcd {
            service: options.service,
            session: Session::open(options)?,
            deliver,
        })
    }

    /// Sends a read to the member of a node, to learn whether it answers. Its answer is delivered as one to a service.
    pub fn probe(&self, node: usize) {
        let body = serde_json::from_str(r#"{"type":"read","key":""}"#).expect("it is a request");
        let call = Call {
            client: Endpoint::Service(0),
            body: &body,
        };
        let query = Query::new(&call, &self.session.keyspace).expect("it is a read");
        // If there is no thread for it, the node's own requests will tell.
        let _ = self.send(call.client, node, query);
    }

    /// Sends a query to the member of a node, on a thread. The answer to `client` is delivered later.
    ///
    /// # Errors
    ///
    /// The error to reply with, if nothing was sent.
    fn send(&self, client: Endpoint, node: usize, query: Query) -> Result<(), Error> {
        let members = &self.session.members;
        let member = &members[node % members.len()];
        let not_sent = |why: String| {
            let text = format!("nothing was sent to {}: {why}", member.url());
            Error::new(ErrorCode::TEMPORARILY_UNAVAILABLE, text)
        };
        // Each thread that waits for the member holds a reference to it.
        if Arc::strong_count(member) > IN_FLIGHT_MAX {
            return Err(not_sent(format!("{IN_FLIGHT_MAX} requests wait for it")));
        }
        let (own, service) = (Arc::clone(member), self.service);
        let deliver = Arc::clone(&self.deliver);
        let ask = move || {
            deliver(LateAnswer {
                service,
                client,
                body: answer(&own, &query),
            });
        };
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn(ask);
        thread.map_err(|error| not_sent(error.to_string()))?;
        Ok(())
    }
}

impl Service for Etcd {
    /// Sends the request to the member of the client. The answer is delivered later.
    fn handle(&mut self, call: &Call<'_>, _: &mut Vec<u8>) -> Result<(), Error> {
        let query = Query::new(call, &self.session.keyspace)?;
        let node = match call.client {
            Endpoint::Node(node) => node,
            // A node used the name of a client or service as the source.
            Endpoint::Client(_) | Endpoint::Service(_) => 0,
        };
        self.send(call.client, node, query)
    }
}

/// Sends the query to the member, and returns the body of the reply to the client.
fn answer(member: &Member, query: &Query) -> String {
    let mut body = Vec::new();
    if let Err(error) = query.answer(member, &mut body) {
        write_error(&error, query.msg_id(), &mut body);
    }
    String::from_utf8(body).expect("what is written as JSON is text")
}
