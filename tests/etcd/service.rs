//! A client of a service, for tests.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use eddy::workbench::network::Endpoint;
use eddy::workbench::random::Stream;
use eddy::workbench::service::etcd::{Etcd, EtcdOptions, GatewayError, Keys};
use eddy::workbench::service::{LateAnswer, SequentialStore, Services};
use serde_json::Value;

/// The services of a run, one of which gets the requests.
pub struct Service {
    services: Services,
    index: usize,
    late: Receiver<LateAnswer>,
}

impl Service {
    /// This crate's own `lin-kv`.
    pub fn own() -> Self {
        let services = Services::new(SequentialStore::default(), Stream::Services.seeded(1));
        let index = services.addresses().position(|name| name == "lin-kv");
        Service {
            services,
            index: index.expect("a service"),
            late: mpsc::channel().1,
        }
    }

    /// `lin-kv` on a cluster with these members.
    pub fn etcd(members: &[&str]) -> Result<Self, GatewayError> {
        let mut service = Self::own();
        let (sender, late) = mpsc::channel();
        let options = EtcdOptions {
            service: "lin-kv",
            reads_are_serializable: false,
            members: (members.iter().map(|url| url.parse().expect("a URL"))).collect(),
            keys: Keys::OfSession {
                lease_ttl: Duration::from_secs(60),
            },
        };
        let deliver = Arc::new(move |answer| drop(sender.send(answer)));
        let etcd = Etcd::connect(&options, deliver)?;
        service.services.replace("lin-kv", Box::new(etcd));
        service.late = late;
        Ok(service)
    }

    /// Sends a request of a node. Returns the reply if there is one at once.
    pub fn send(&mut self, node: usize, body: &str) -> Option<Value> {
        let mut out = Vec::new();
        let handled = (self.services).handle(self.index, Endpoint::Node(node), body, &mut out);
        handled.expect("a request with a type");
        (!out.is_empty()).then(|| serde_json::from_slice(&out).expect("JSON"))
    }

    /// Waits for the next late answer.
    pub fn late_answer(&self) -> Value {
        let answer = self.late.recv_timeout(Duration::from_secs(30));
        let answer = answer.expect("an answer");
        assert_eq!(answer.service, "lin-kv");
        serde_json::from_str(&answer.body).expect("JSON")
    }

    /// Sends a request of the first node, and waits for the reply.
    pub fn ask(&mut self, body: &str) -> Value {
        let answer = self.send(0, body);
        answer.unwrap_or_else(|| self.late_answer())
    }
}
