use std::collections::BTreeMap;

use rand::Rng;
use serde_json::value::RawValue;

use super::kv::{Key, Request, kept};
use super::{Call, Service, answer};
use crate::protocol::Error;
use crate::workbench::random::Random;

/// Two replicas that each request reaches at random and that merge at random. Of two writes the one with the later
/// Lamport time stays. A write that is overtaken is lost.
pub struct LastWriteWins {
    replicas: [Replica; 2],
    random: Random,
}

#[derive(Clone, Default)]
struct Replica {
    clock: u64,
    values: BTreeMap<Key, Stamped>,
}

#[derive(Clone)]
struct Stamped {
    time: u64,
    value: Box<RawValue>,
}

impl LastWriteWins {
    /// An empty store.
    pub fn new(random: Random) -> Self {
        LastWriteWins {
            replicas: Default::default(),
            random,
        }
    }

    /// Some replica hears of another, if it isn't itself that it hears of.
    fn gossip(&mut self) {
        let source = self.random.random_range(0..self.replicas.len());
        let dest = self.random.random_range(0..self.replicas.len());
        if let Ok([source, dest]) = self.replicas.get_disjoint_mut([source, dest]) {
            dest.merge(source);
        }
    }
}

impl Replica {
    fn merge(&mut self, other: &Replica) {
        self.clock = self.clock.max(other.clock);
        for (key, theirs) in &other.values {
            match self.values.get_mut(key) {
                // At the same time, the source's value stays, as upstream has it.
                Some(ours) if theirs.time < ours.time => {}
                Some(ours) => ours.clone_from(theirs),
                None => drop(self.values.insert(key.clone(), theirs.clone())),
            }
        }
    }
}

impl Service for LastWriteWins {
    fn handle(&mut self, call: &Call<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let (key, mut request) = Request::new(call)?;
        if let Request::CompareAndSet { create, .. } = &mut request {
            // As upstream: of all stores this one doesn't know create_if_not_exists.
            *create = false;
        }
        self.gossip();
        let index = self.random.random_range(0..self.replicas.len());
        let replica = &mut self.replicas[index];
        let current = replica.values.get(&*key).map(|stamped| &*stamped.value);
        let answered = answer(call, &request, current, out);
        if let Some(value) = request.sets(current) {
            let time = replica.clock;
            replica.clock += 1;
            let value = kept(value);
            replica
                .values
                .insert(key.into_owned(), Stamped { time, value });
        }
        answered
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Store, cas};

    #[test]
    fn a_write_reaches_every_reader_in_the_end() {
        let mut store = Store::new("lww-kv");
        store.ask(0, r#""type":"write","key":"a","value":1"#);
        for _ in 0..100 {
            store.ask(0, r#""type":"read","key":"a""#);
        }
        for client in 0..10 {
            assert_eq!(store.ask(client, r#""type":"read","key":"a""#), "read_ok 1");
        }
    }

    #[test]
    fn a_cas_creates_no_key() {
        let mut store = Store::new("lww-kv");
        assert_eq!(store.ask(0, &cas("a", 0, 1, true)), "error 20");
    }

    #[test]
    fn a_client_may_miss_its_own_write() {
        let missed = (0..50).any(|seed| {
            let mut store = Store::seeded("lww-kv", seed);
            store.ask(0, r#""type":"write","key":"a","value":1"#);
            store.ask(0, r#""type":"read","key":"a""#) == "error 20"
        });
        assert!(missed);
    }
}
