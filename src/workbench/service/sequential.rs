use std::collections::{BTreeMap, VecDeque};

use rand::Rng;
use serde_json::value::RawValue;

use super::kv::{Key, Request, kept};
use super::{Call, Service, answer};
use crate::protocol::Error;
use crate::workbench::network::Endpoint;
use crate::workbench::random::Random;

/// The number of states that upstream keeps.
pub const STATE_COUNT: u64 = 32;

/// Upstream's `seq-kv`, either exactly or without its wrap.
///
/// The store is a sequence of states, of which the newest [`STATE_COUNT`] are kept. For each client it holds the index
/// of the newest state that the client has seen. It tries a request on a random state from that index to the newest,
/// both included. If the request changes nothing there, the reply comes from that state. Otherwise the request is
/// repeated on the newest state, the result is added as a new state even if it is equal, and the client has seen the
/// new state.
///
/// So a client that reads repeatedly sees the newest state in the end, and a client that changes something sees it at
/// once.
///
/// A client whose index is older than the kept states meets upstream's wrap: the index is taken modulo the number of
/// kept states. The reply then comes from a newer state than the index says, and a later reply may go back in time.
/// [`Sequential::strict`] keeps all states instead. That is sequentially consistent: the operations of each client
/// follow the order of its indices, which never decrease, and those that change something are at the end of the
/// sequence.
///
/// The states are not stored whole: for each key the store keeps its values, each with the first state that has it.
pub struct Sequential {
    newest: u64,
    seen: BTreeMap<Endpoint, u64>,
    values: BTreeMap<Key, Versions>,
    /// The number of states to keep; `None` keeps all.
    kept_count: Option<u64>,
    is_stale: bool,
    random: Random,
}

/// The values of one key, oldest first, each with the index of the first state that has it.
#[derive(Default)]
struct Versions(VecDeque<(u64, Box<RawValue>)>);

impl Versions {
    /// The value in the given state.
    fn at(&self, state: u64) -> Option<&RawValue> {
        let later = self.0.partition_point(|&(since, _)| since <= state);
        let (_, value) = self.0.get(later.checked_sub(1)?)?;
        Some(value)
    }

    /// Whether there is a newer value than that in the given state.
    fn is_replaced(&self, state: u64) -> bool {
        self.0.back().is_some_and(|&(since, _)| since > state)
    }

    /// Adds the value from `state` on, and drops values that are older than `oldest_kept`.
    fn push(&mut self, state: u64, value: Box<RawValue>, oldest_kept: u64) {
        self.0.push_back((state, value));
        while self
            .0
            .get(1)
            .is_some_and(|&(since, _)| since <= oldest_kept)
        {
            self.0.pop_front();
        }
    }
}

impl Sequential {
    /// Upstream's store. Its only state is empty.
    pub fn new(random: Random) -> Self {
        Self::keeping(Some(STATE_COUNT), random)
    }

    /// The store that keeps all states and so does not wrap.
    pub fn strict(random: Random) -> Self {
        Self::keeping(None, random)
    }

    fn keeping(kept_count: Option<u64>, random: Random) -> Self {
        Sequential {
            kept_count,
            newest: 0,
            seen: BTreeMap::new(),
            values: BTreeMap::new(),
            is_stale: false,
            random,
        }
    }

    /// The kept state to which `index` wraps.
    fn wrapped(&self, index: u64) -> u64 {
        match self.kept_count {
            Some(count) => self.newest - (self.newest - index) % count,
            None => index,
        }
    }

    /// The oldest state that is kept.
    fn oldest_kept(&self) -> u64 {
        self.kept_count
            .map_or(0, |count| (self.newest + 1).saturating_sub(count))
    }
}

impl Service for Sequential {
    fn handle(&mut self, call: &Call<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        self.is_stale = false;
        let (key, request) = Request::new(call)?;
        let seen = self.seen.get(&call.client).copied().unwrap_or(0);
        let index = self.random.random_range(seen..=self.newest);
        let tried = self.wrapped(index);
        let versions = self.values.get(&*key);
        let tried_value = versions.and_then(|versions| versions.at(tried));
        if request.changes(tried_value).is_none() {
            self.is_stale = versions.is_some_and(|versions| versions.is_replaced(tried));
            self.seen.insert(call.client, index);
            return answer(call, &request, tried_value, out);
        }
        let newest_value = versions.and_then(|versions| versions.at(self.newest));
        let answered = answer(call, &request, newest_value, out);
        let change = request.changes(newest_value);
        self.newest += 1;
        self.seen.insert(call.client, self.newest);
        if let Some(value) = change {
            let (value, oldest_kept) = (kept(value), self.oldest_kept());
            if let Some(versions) = self.values.get_mut(&*key) {
                versions.push(self.newest, value, oldest_kept);
            } else {
                let mut versions = Versions::default();
                versions.push(self.newest, value, oldest_kept);
                self.values.insert(key.into_owned(), versions);
            }
        }
        answered
    }

    fn is_stale(&self) -> bool {
        self.is_stale
    }
}

#[cfg(test)]
mod tests {
    use super::super::SequentialStore;
    use super::super::testing::Store;
    use super::*;

    fn number(answer: &str) -> u64 {
        answer
            .strip_prefix("read_ok ")
            .expect("a value")
            .parse()
            .expect("a number")
    }

    fn write(store: &mut Store, client: usize, value: u64) {
        let request = format!(r#""type":"write","key":"k","value":{value}"#);
        assert_eq!(store.ask(client, &request), "write_ok");
    }

    const READ: &str = r#""type":"read","key":"k""#;

    #[test]
    fn a_client_that_reads_repeatedly_sees_the_newest_state_in_the_end() {
        for variant in [SequentialStore::Maelstrom, SequentialStore::Strict] {
            let mut store = Store::sequential(variant, 1);
            for value in 0..20 {
                write(&mut store, 0, value);
            }
            let newest = (0..100).find(|_| store.ask(1, READ) == "read_ok 19");
            assert!(newest.is_some(), "{variant:?}");
        }
    }

    #[test]
    fn a_client_sees_its_own_change_at_once() {
        let mut store = Store::new("seq-kv");
        for value in 0..100 {
            write(&mut store, 0, value);
            assert_eq!(number(&store.ask(0, READ)), value);
        }
    }

    #[test]
    fn a_plain_read_may_be_stale_but_never_goes_back_within_the_kept_states() {
        let mut store = Store::new("seq-kv");
        write(&mut store, 1, 0);
        write(&mut store, 0, 0);
        let mut stale_count = 0;
        let mut last = 0;
        for value in 1..1000 {
            write(&mut store, 0, value);
            let read = number(&store.ask(1, READ));
            assert!(read >= last, "{read} after {last}");
            stale_count += u32::from(read < value);
            last = read;
            if value % 20 == 0 {
                // This keeps the client within the kept states.
                let bump = format!(r#""type":"write","key":"other","value":{value}"#);
                store.ask(1, &bump);
            }
        }
        assert!(stale_count > 500);
    }

    #[test]
    fn a_change_brings_its_client_up_to_date() {
        let mut store = Store::new("seq-kv");
        for value in 0..1000 {
            write(&mut store, 0, value);
            let unique = format!(r#""type":"write","key":"mine","value":{value}"#);
            store.ask(1, &unique);
            assert_eq!(number(&store.ask(1, READ)), value);
        }
    }

    #[test]
    fn a_cas_to_the_same_value_confirms_nothing() {
        let mut stale = false;
        for seed in 0..50 {
            let mut store = Store::seeded("seq-kv", seed);
            write(&mut store, 0, 1);
            write(&mut store, 1, 1);
            write(&mut store, 0, 2);
            let cas = r#""type":"cas","key":"k","from":1,"to":1"#;
            stale |= store.ask(1, cas) == "cas_ok";
        }
        assert!(stale);
    }

    #[test]
    fn a_reply_is_stale_if_the_value_that_it_is_about_had_been_replaced() {
        let mut store = Store::new("seq-kv");
        let mut stale_count = 0;
        for value in 1..200 {
            write(&mut store, 0, value);
            assert!(!store.is_stale());
            let cas = format!(r#""type":"cas","key":"k","from":{value},"to":{value}"#);
            let is_replaced = store.ask(1, &cas) != "cas_ok";
            assert_eq!(store.is_stale(), is_replaced);
            let is_replaced = store.ask(1, READ) != format!("read_ok {value}");
            assert_eq!(store.is_stale(), is_replaced);
            stale_count += u32::from(is_replaced);
            store.ask(1, r#""type":"write","key":"other","value":1"#);
            assert!(!store.is_stale());
        }
        assert!(stale_count > 0);
    }

    #[test]
    fn an_error_about_an_unknown_type_is_not_stale_though_the_reply_before_was() {
        for variant in [
            SequentialStore::Maelstrom,
            SequentialStore::Strict,
            SequentialStore::Lazy,
        ] {
            let mut store = Store::sequential(variant, 1);
            let mut is_stale = (0..100).map(|value| {
                write(&mut store, 0, value);
                store.ask(1, READ);
                store.is_stale()
            });
            assert!(is_stale.any(|is_stale| is_stale), "{variant:?}");
            let error = store.ask(1, r#""type":"append","key":"k","value":1"#);
            assert_eq!(error, "error 10");
            assert!(!store.is_stale(), "{variant:?}");
        }
    }

    /// How often a client that is 100 states behind reads an older value than before, over 20 seeds.
    fn times_gone_back(variant: SequentialStore) -> u32 {
        let mut backwards = 0;
        for seed in 0..20 {
            let mut store = Store::sequential(variant, seed);
            write(&mut store, 1, 0);
            for value in 1..=100 {
                write(&mut store, 0, value);
            }
            let mut last = 0;
            for _ in 0..20 {
                let read = number(&store.ask(1, READ));
                backwards += u32::from(read < last);
                last = read;
            }
        }
        backwards
    }

    #[test]
    fn a_client_far_behind_meets_the_wrap_and_goes_back_in_time() {
        assert!(times_gone_back(SequentialStore::Maelstrom) > 0);
    }

    #[test]
    fn without_the_wrap_no_client_goes_back_however_far_behind() {
        assert_eq!(times_gone_back(SequentialStore::Strict), 0);
    }

    #[test]
    fn reads_agree_with_a_reference_that_keeps_whole_states() {
        // The reference keeps every state as a whole.
        let mut random = crate::workbench::random::Stream::Services.seeded(3);
        let mut versions = Versions::default();
        let mut states: Vec<Option<String>> = vec![None];
        for newest in 1..500u64 {
            let mut state = states.last().cloned().flatten();
            if random.random_bool(0.3) {
                let value = format!("{newest}");
                let raw = RawValue::from_string(value.clone()).expect("JSON");
                versions.push(newest, raw, (newest + 1).saturating_sub(STATE_COUNT));
                state = Some(value);
            }
            states.push(state);
            for index in (newest + 1).saturating_sub(STATE_COUNT)..=newest {
                let value = versions.at(index).map(|value| value.get().to_string());
                assert_eq!(value, states[index as usize], "state {index} of {newest}");
            }
        }
        assert!(versions.0.len() as u64 <= STATE_COUNT);
    }
}
