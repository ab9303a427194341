//! A session with a cluster: its members, its keys, and the lease to which they are attached.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::gateway::{GRANT, GatewayError, Member, RANGE, REVOKE, Response, Why};
use super::{EtcdOptions, Keys};

/// A session with all members. Dropping it deletes its keys, unless they are shared.
pub(super) struct Session {
    pub members: Vec<Arc<Member>>,
    pub keyspace: Keyspace,
}

/// The parameters that all queries of a session share.
pub(super) struct Keyspace {
    pub reads_are_serializable: bool,
    /// The beginning of every key.
    prefix: String,
    /// The id of the lease; [`NO_LEASE`] if the keys are shared.
    pub lease: String,
}

/// The id of etcd's for keys without a lease.
const NO_LEASE: &str = "0";

impl Keyspace {
    /// The key in etcd for a key of the service.
    pub(super) fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

/// The content of the response to a request for a lease.
#[derive(Deserialize)]
struct Granted {
    #[serde(rename = "ID")]
    id: String,
}

impl Session {
    /// Opens a session. For keys of its own, it requests a lease from the first member, and checks that every other
    /// member serves and is of the same cluster.
    pub(super) fn open(options: &EtcdOptions) -> Result<Self, GatewayError> {
        let members = options.members.iter().cloned();
        let members: Vec<_> = members.map(|url| Arc::new(Member::new(url))).collect();
        let reads_are_serializable = options.reads_are_serializable;
        let lease_ttl = match &options.keys {
            Keys::OfSession { lease_ttl } => lease_ttl,
            Keys::Shared { prefix } => {
                return Ok(Session {
                    members,
                    keyspace: Keyspace {
                        reads_are_serializable,
                        prefix: format!("{prefix}{}/", options.service),
                        lease: String::from(NO_LEASE),
                    },
                });
            }
        };
        let lease = json!({"TTL": lease_ttl.as_secs()});
        let Response { header, content } = members[0].ask(GRANT, &lease)?;
        let Granted { id } = content;
        let session = Session {
            members,
            keyspace: Keyspace {
                reads_are_serializable,
                prefix: format!("eddy/{id}/"),
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
        if self.keyspace.lease == NO_LEASE {
            return;
        }
        let lease = json!({"ID": self.keyspace.lease});
        let mut members = self.members.iter();
        // If no member revokes the lease, it expires.
        let _ = members.any(|member| member.ask::<IgnoredAny>(REVOKE, &lease).is_ok());
    }
}
