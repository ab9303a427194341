use std::collections::BTreeMap;

use rand::Rng;
use serde_json::value::RawValue;

use super::kv::{Key, Request, kept};
use super::{Call, Service, answer};
use crate::protocol::Error;
use crate::workbench::random::Random;

/// Two replicas that never merge. A random one of them answers each request.
///
/// Upstream intends the replicas to merge at random, keeping of two writes the one with the later Lamport time. But it
/// drops the result of each merge: in `Eventual` of its `service.clj`, the request runs on the replicas before the
/// merge. This store does the same, because a node that works here must work there.
pub struct LastWriteWins {
    replicas: [BTreeMap<Key, Box<RawValue>>; 2],
    random: Random,
}

impl LastWriteWins {
    /// An empty store.
    pub fn new(random: Random) -> Self {
        LastWriteWins {
            replicas: Default::default(),
            random,
        }
    }
}

impl Service for LastWriteWins {
    fn handle(&mut self, call: &Call<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let (key, mut request) = Request::new(call)?;
        if let Request::CompareAndSet { create, .. } = &mut request {
            // As upstream, this store alone ignores create_if_not_exists.
            *create = false;
        }
        let index = self.random.random_range(0..self.replicas.len());
        let replica = &mut self.replicas[index];
        let current = replica.get(&*key).map(|value| &**value);
        let answered = answer(call, &request, current, out);
        if let Some(value) = request.sets(current) {
            replica.insert(key.into_owned(), kept(value));
        }
        answered
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Store, cas};

    #[test]
    fn a_write_reaches_one_replica_and_stays_there() {
        let mut store = Store::new("lww-kv");
        store.ask(0, r#""type":"write","key":"a","value":1"#);
        let mut read = |client| store.ask(client, r#""type":"read","key":"a""#);
        let answers: Vec<String> = (0..1000).map(|read_count| read(read_count % 10)).collect();
        let found_count = answers
            .iter()
            .filter(|answer| *answer == "read_ok 1")
            .count();
        assert!((400..600).contains(&found_count), "{found_count}");
    }

    #[test]
    fn a_cas_creates_no_key() {
        let mut store = Store::new("lww-kv");
        assert_eq!(store.ask(0, &cas("a", 0, 1, true)), "error 20");
    }
}
