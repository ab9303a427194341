//! A client of one service, for tests.

use std::fmt::Display;

use rand::Rng;
use rand::seq::IndexedRandom;

use super::{SequentialStore, Services};
use crate::workbench::network::Endpoint;
use crate::workbench::random::{Random, Stream};

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
        let services = Services::new(SequentialStore::Maelstrom, Stream::Services.seeded(seed));
        Self::of(services, address)
    }

    /// The given store as `seq-kv`.
    pub(super) fn sequential(variant: SequentialStore, seed: u64) -> Self {
        let services = Services::new(variant, Stream::Services.seeded(seed));
        Self::of(services, "seq-kv")
    }

    fn of(services: Services, address: &str) -> Self {
        let service = services.addresses().position(|other| other == address);
        Store {
            service: service.expect("an address of a service"),
            services,
            answer: Vec::new(),
        }
    }

    /// The type of the reply, with the value or the code of the error.
    pub(super) fn ask(&mut self, client: usize, fields: &str) -> String {
        self.answer.clear();
        let body = format!(r#"{{{fields},"msg_id":7}}"#);
        let client = Endpoint::Node(client);
        self.services
            .handle(self.service, client, &body, &mut self.answer)
            .expect("JSON");
        let answer: serde_json::Value = serde_json::from_slice(&self.answer).expect("JSON");
        assert_eq!(answer["in_reply_to"], 7);
        let kind = answer["type"].as_str().expect("a type");
        ["value", "code"]
            .iter()
            .find_map(|&field| answer.get(field))
            .map_or(kind.to_string(), |detail| format!("{kind} {detail}"))
    }

    /// Whether the last reply was stale.
    pub(super) fn is_stale(&self) -> bool {
        self.services.is_stale(self.service)
    }

    pub(super) fn last_answer(&self) -> &str {
        std::str::from_utf8(&self.answer).expect("UTF-8")
    }
}

pub(super) fn read(key: &str) -> String {
    format!(r#""type":"read","key":"{key}""#)
}

pub(super) fn write(key: &str, value: impl Display) -> String {
    format!(r#""type":"write","key":"{key}","value":{value}"#)
}

pub(super) fn cas(key: &str, from: impl Display, to: impl Display, create: bool) -> String {
    format!(r#""type":"cas","key":"{key}","from":{from},"to":{to},"create_if_not_exists":{create}"#)
}

/// A request on one of a few keys with a few values, so that requests often conflict.
pub(super) fn draw(random: &mut Random) -> String {
    let key = ["a", "b"].choose(random).expect("there are two");
    let mut value = || {
        ["null", "1", "2", "3"]
            .choose(random)
            .expect("there are four")
    };
    let (from, to) = (value(), value());
    match random.random_range(0..5) {
        0 => write(key, to),
        1 | 2 => read(key),
        _ => cas(key, from, to, random.random()),
    }
}
