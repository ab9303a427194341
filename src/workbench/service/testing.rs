//! A service to ask in tests.

use super::Services;
use crate::workbench::network::Endpoint;
use crate::workbench::random::Stream;

/// One of the services.
pub(super) struct Store {
    services: Services,
    service: usize,
    answer: Vec<u8>,
}

impl Store {
    pub(super) fn new(address: &str) -> Self {
        Self::seeded(address, 1)
    }

    pub(super) fn seeded(address: &str, seed: u64) -> Self {
        let services = Services::new(Stream::Services.seeded(seed));
        let service = services.addresses().position(|other| other == address);
        Store {
            service: service.expect("an address of a service"),
            services,
            answer: Vec::new(),
        }
    }

    /// The type of the answer, with the value or the error's code.
    pub(super) fn ask(&mut self, client: usize, fields: &str) -> String {
        self.answer.clear();
        let body = format!(r#"{{{fields},"msg_id":7}}"#);
        let client = Endpoint::Node(client);
        self.services
            .handle(self.service, client, body.as_bytes(), &mut self.answer)
            .expect("JSON");
        let answer: serde_json::Value = serde_json::from_slice(&self.answer).expect("JSON");
        assert_eq!(answer["in_reply_to"], 7);
        let kind = answer["type"].as_str().expect("a type");
        ["value", "code"]
            .iter()
            .find_map(|&field| answer.get(field))
            .map_or(kind.to_string(), |detail| format!("{kind} {detail}"))
    }

    pub(super) fn last_answer(&self) -> &str {
        std::str::from_utf8(&self.answer).expect("UTF-8")
    }
}
