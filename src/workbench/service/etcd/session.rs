//! A session of a run with a cluster: its lease, to which all its keys are attached.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::EtcdOptions;
use super::gateway::{GRANT, GatewayError, Member, RANGE, REVOKE, Response, Why};

/// A session with all members. Dropping it deletes its keys.
pub(super) struct Session {
    pub members: Vec<Arc<Member>>,
    pub keyspace: Keyspace,
}

/// The parameters that all queries of a session share.
pub(super) struct Keyspace {
    pub reads_are_serializable: bool,
    /// The id of the lease.
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
    /// Requests a lease from the first member, and checks that every other member serves and is of the same cluster.
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
        // The range is linearizable, so a member without a leader can't serve it.
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
        let mut members = self.members.iter();
        // If no member revokes the lease, it expires.
        let _ = members.any(|member| member.ask::<IgnoredAny>(REVOKE, &lease).is_ok());
    }
}
