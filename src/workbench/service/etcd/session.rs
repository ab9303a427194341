//! The time that a run has with a cluster, and the keys that it has meanwhile.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::EtcdOptions;
use super::gateway::{GRANT, GatewayError, Member, RANGE, REVOKE, Response, Why};

/// A session with every member. When it is dropped, its keys are deleted.
pub(super) struct Session {
    pub members: Vec<Arc<Member>>,
    pub keyspace: Keyspace,
}

/// What every query of a session has in common.
pub(super) struct Keyspace {
    pub reads_are_serializable: bool,
    /// The id of the lease: keys are deleted with it.
    pub lease: String,
}

impl Keyspace {
    /// The key in etcd for a key of the service.
    pub(super) fn key(&self, key: &str) -> String {
        format!("eddy/{}/{key}", self.lease)
    }
}

/// The content of the response to a request for a lease.
#[derive(Deserialize)]
struct Granted {
    #[serde(rename = "ID")]
    id: String,
}

impl Session {
    /// Asks for a lease, and makes sure that every member serves.
    pub(super) fn open(options: &EtcdOptions) -> Result<Self, GatewayError> {
        let members = options.members.iter().cloned();
        let members: Vec<_> = members.map(|url| Arc::new(Member::new(url))).collect();
        let lease = json!({"TTL": options.lease_ttl.as_secs()});
        let Response { header, content } = members[0].ask(GRANT, &lease)?;
        let Granted { id } = content;
        let session = Session {
            members,
            keyspace: Keyspace {
                reads_are_serializable: options.reads_are_serializable,
                lease: id,
            },
        };
        // A linearizable range, which a member without a leader can't serve.
        let range = json!({"key": "AA=="});
        for member in &session.members[1..] {
            let response: Response<IgnoredAny> = member.ask(RANGE, &range)?;
            if response.header.cluster_id != header.cluster_id {
                let first = options.members[0].clone();
                return Err(member.error(Why::OtherCluster(first)));
            }
        }
        Ok(session)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let lease = json!({"ID": self.keyspace.lease});
        // If no member does it now, the lease expires.
        let _ =
            (self.members.iter()).any(|member| member.ask::<IgnoredAny>(REVOKE, &lease).is_ok());
    }
}
