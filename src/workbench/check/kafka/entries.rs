//! What replies to polls hold. Equal texts are read and stored once.
//!
//! In the final phase every client polls every log from its beginning, and most replies are equal, or at least the lists
//! in them are.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::{Key, Offsets};
use crate::workbench::json::{Json, Members, list_or_null};

/// What was read from a JSON text. Copies share it. Two are equal if their texts are.
#[derive(Debug)]
pub struct Shared<T>(Arc<Parsed<T>>);

#[derive(Debug)]
struct Parsed<T> {
    json: Box<RawValue>,
    value: T,
}

/// The messages of each log in a reply to a poll.
pub type Messages = Shared<Polled>;

/// The contents of [`Messages`].
#[derive(Debug)]
pub struct Polled {
    /// The entries of each log.
    pub logs: BTreeMap<Key, Entries>,
    /// The highest offset of each log that has entries.
    pub highest: Offsets,
}

/// The entries of one log in a reply to a poll.
pub type Entries = Shared<List>;

/// The contents of [`Entries`].
#[derive(Debug)]
pub struct List {
    /// Offsets and their messages, ascending if the node is right.
    pub list: Vec<(i64, Json)>,
    /// Whether there are entries, and each offset but the first is the one before it plus one.
    pub(super) is_gapless: bool,
}

impl<T> Shared<T> {
    /// A number that identifies this value while it exists: copies share it, others do not.
    pub(super) fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared(self.0.clone())
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> Borrow<str> for Shared<T> {
    fn borrow(&self) -> &str {
        self.0.json.get()
    }
}

impl<T> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.json.get() == other.0.json.get()
    }
}

impl<T> Eq for Shared<T> {}

impl<T> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.json.get().hash(state);
    }
}

impl<T> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.json.serialize(serializer)
    }
}

/// Everything that replies to polls have held so far.
#[derive(Default)]
pub struct AllMessages {
    keys: HashSet<Key>,
    lists: HashSet<Entries>,
    replies: HashSet<Messages>,
}

impl AllMessages {
    /// Reads the messages in a reply: an object with a list of pairs for each log.
    ///
    /// # Errors
    ///
    /// When the JSON is something else.
    pub fn read(&mut self, json: &RawValue) -> Result<Messages, serde_json::Error> {
        let AllMessages {
            keys,
            lists,
            replies,
        } = self;
        known_or_read(replies, json, |json| {
            let Members(logs) = serde_json::from_str(json)?;
            let logs = logs.into_iter();
            let logs = logs.map(|(key, json)| {
                let key = Key::from(key);
                let key = keys.get(&key).cloned().unwrap_or(key);
                keys.insert(key.clone());
                Ok((key, known_or_read(lists, json, List::read)?))
            });
            let logs: Result<_, serde_json::Error> = logs.collect();
            logs.map(Polled::new)
        })
    }
}

/// The value that was read from this text before, or else is read now.
fn known_or_read<T>(
    known: &mut HashSet<Shared<T>>,
    json: &RawValue,
    read: impl FnOnce(&str) -> Result<T, serde_json::Error>,
) -> Result<Shared<T>, serde_json::Error> {
    if let Some(shared) = known.get(json.get()) {
        return Ok(shared.clone());
    }
    let shared = Shared(Arc::new(Parsed {
        json: json.to_owned(),
        value: read(json.get())?,
    }));
    known.insert(shared.clone());
    Ok(shared)
}

impl Polled {
    fn new(logs: BTreeMap<Key, Entries>) -> Self {
        let highest = logs.iter().filter_map(|(key, entries)| {
            let offsets = entries.list.iter().map(|(offset, _)| *offset);
            Some((key.clone(), offsets.max()?))
        });
        let highest = highest.collect();
        Polled { logs, highest }
    }
}

impl List {
    fn read(json: &str) -> Result<Self, serde_json::Error> {
        let list: Vec<(i64, Json)> = list_or_null(&mut serde_json::Deserializer::from_str(json))?;
        let offsets = list.iter().map(|(offset, _)| *offset);
        let is_next = |(before, after): (i64, i64)| before.checked_add(1) == Some(after);
        Ok(List {
            is_gapless: !list.is_empty() && offsets.clone().zip(offsets.skip(1)).all(is_next),
            list,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(all: &mut AllMessages, json: Value) -> Result<Messages, serde_json::Error> {
        all.read(&serde_json::value::to_raw_value(&json).expect("JSON"))
    }

    #[test]
    fn equal_replies_and_equal_lists_in_others_are_stored_once() {
        let mut all = AllMessages::default();
        let list = json!([[0, 5], [2, "a"]]);
        let first = read(&mut all, json!({"1": list})).expect("pairs");
        let expected = [(0, json!(5).into()), (2, json!("a").into())];
        assert_eq!(first.logs["1"].list, expected);
        let again = read(&mut all, json!({"1": list})).expect("pairs");
        assert_eq!(again.id(), first.id());

        let other = read(&mut all, json!({"1": list, "2": [[0, 6]]})).expect("pairs");
        assert_ne!(other.id(), first.id());
        assert_eq!(other.logs["1"].id(), first.logs["1"].id());
        assert_ne!(other.logs["2"].id(), first.logs["1"].id());
        let key = |messages: &Messages| messages.logs.first_key_value().expect("one").0.as_ptr();
        assert_eq!(key(&other), key(&first));
    }

    #[test]
    fn a_reply_knows_the_highest_offset_of_each_log_that_has_entries() {
        let reply = json!({"1": [[5, 0], [4, 0]], "2": [], "3": null, "4": [[7, 0]]});
        let messages = read(&mut AllMessages::default(), reply).expect("lists");
        let expected = [("1", 5), ("4", 7)].map(|(key, offset)| (key.into(), offset));
        assert_eq!(messages.highest, Offsets::from(expected));
        assert!(messages.logs["3"].list.is_empty(), "null is the empty list");
    }

    #[test]
    fn a_list_knows_whether_it_has_gaps() {
        for (offsets, is_gapless) in [
            (vec![], false),
            (vec![4], true),
            (vec![4, 5, 6], true),
            (vec![4, 6], false),
            (vec![5, 4], false),
            (vec![i64::MAX, i64::MIN], false),
        ] {
            let list: Vec<_> = offsets.iter().map(|offset| json!([offset, 0])).collect();
            let messages = read(&mut AllMessages::default(), json!({"1": list})).expect("pairs");
            assert_eq!(messages.logs["1"].is_gapless, is_gapless, "{offsets:?}");
        }
    }

    #[test]
    fn what_is_no_object_of_lists_of_pairs_is_refused() {
        let mut all = AllMessages::default();
        for wrong in [json!(5), json!([5]), json!([["a", 5]])] {
            assert!(read(&mut all, json!({"1": wrong})).is_err(), "{wrong}");
            assert!(read(&mut all, wrong).is_err());
        }
    }
}
