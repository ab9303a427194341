//! A key-value service that a cluster of etcd answers for.
//!
//! | request | what etcd is asked for |
//! |---|---|
//! | `read` | a range: a serializable one for `seq-kv`, a linearizable one for `lin-kv` |
//! | `write` | a put |
//! | `cas` | a transaction that compares the value and puts the new one; with `create_if_not_exists`, also if the key is missing |
//!
//! Each node is bound to one member. A serializable range is answered by that member from what it has applied, which may
//! be old. Puts and transactions go through consensus, and the member responds when it has applied them: a node reads its
//! own changes, and a change brings it up to date. This is what [`Sequential`](super::Sequential) is a model of.
//!
//! Values are compared as the other services compare them. Etcd compares bytes, so each value is stored in its canonical
//! form, in which equal values have the same text; a `cas` is then one transaction and needs no read before it.
//!
//! When a member does not respond in [`RESPONSE_TIMEOUT`], refuses the connection, breaks it off, or responds with
//! anything but success, the answer is error 0: the change may have been made, or may yet be. A request that can't be sent
//! because [`IN_FLIGHT_MAX`] others wait for the member is refused with error 11.
//!
//! Keys begin with the id of a lease and are deleted with it: when the run ends, or when the lease expires if this
//! program can't end it.

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

/// How many requests wait for one member at most. Each has a thread, as one that waits for a paused member must not keep
/// another from being sent.
pub const IN_FLIGHT_MAX: usize = 256;

/// The stack of a thread that waits for a member.
const STACK_BYTES: usize = 256 << 10;

/// Which service a cluster answers for.
#[derive(Clone, Debug)]
pub struct EtcdOptions {
    /// The address of the service.
    pub service: &'static str,
    /// Whether reads are serializable, not linearizable.
    pub reads_are_serializable: bool,
    /// The members; at least one. The node of that index, modulo their number, is bound to each.
    pub members: Vec<MemberUrl>,
    /// After how long keys are deleted if this program does not do it. A run has to be over by then.
    pub lease_ttl: Duration,
}

/// Hands an answer to the world from any thread.
pub type Deliver = Arc<dyn Fn(LateAnswer) + Send + Sync>;

/// The service.
pub struct Etcd {
    service: &'static str,
    session: Session,
    deliver: Deliver,
}

impl Etcd {
    /// Begins a session with the cluster. Answers are given to `deliver`.
    ///
    /// # Errors
    ///
    /// When a member can't serve: the cluster has to be whole when a run begins.
    pub fn connect(options: &EtcdOptions, deliver: Deliver) -> Result<Self, GatewayError> {
        Ok(Etcd {
            service: options.service,
            session: Session::open(options)?,
            deliver,
        })
    }
}

impl Service for Etcd {
    /// Sends the request to the client's member. The answer is delivered later.
    fn handle(&mut self, call: &Call<'_>, _: &mut Vec<u8>) -> Result<(), Error> {
        let query = Query::new(call, &self.session.keyspace)?;
        let client = call.client;
        let index = match client {
            Endpoint::Node(node) => node,
            // A node said it in another's name.
            Endpoint::Client(_) | Endpoint::Service(_) => 0,
        };
        let members = &self.session.members;
        let member = &members[index % members.len()];
        let not_sent = |why: String| {
            let text = format!("nothing was sent to {}: {why}", member.url());
            Error::new(ErrorCode::TEMPORARILY_UNAVAILABLE, text)
        };
        // Each thread that waits for the member holds it.
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

/// Asks the member and gives the body of the answer to the client.
fn answer(member: &Member, query: &Query) -> String {
    let mut body = Vec::new();
    if let Err(error) = query.answer(member, &mut body) {
        write_error(&error, query.msg_id(), &mut body);
    }
    String::from_utf8(body).expect("what is written as JSON is text")
}
