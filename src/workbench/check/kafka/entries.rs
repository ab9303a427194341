//! The entries of logs in replies to polls, with equal lists stored once.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::Key;
use crate::workbench::json::{Json, Members, list_or_null};

/// The entries of one log in a reply to a poll: offsets and their messages, ascending if the node is right.
///
/// Two values are equal if they are the same text.
#[derive(Clone, Debug)]
pub struct Entries(Arc<Parsed>);

#[derive(Debug)]
struct Parsed {
    json: Box<RawValue>,
    list: Vec<(i64, Json)>,
    highest: Option<i64>,
    is_gapless: bool,
}

impl Entries {
    /// Reads a list of pairs.
    ///
    /// # Errors
    ///
    /// When the JSON is not a list of pairs.
    pub fn read(json: &RawValue) -> Result<Self, serde_json::Error> {
        let list: Vec<(i64, Json)> =
            list_or_null(&mut serde_json::Deserializer::from_str(json.get()))?;
        let offsets = list.iter().map(|(offset, _)| *offset);
        let is_next = |(before, after): (i64, i64)| before.checked_add(1) == Some(after);
        Ok(Entries(Arc::new(Parsed {
            json: json.to_owned(),
            highest: offsets.clone().max(),
            is_gapless: !list.is_empty() && offsets.clone().zip(offsets.skip(1)).all(is_next),
            list,
        })))
    }

    /// The highest offset; `None` if there are no entries.
    pub fn highest(&self) -> Option<i64> {
        self.0.highest
    }

    /// Whether there are entries, and each offset but the first is the one before it plus one.
    pub(super) fn is_gapless(&self) -> bool {
        self.0.is_gapless
    }

    /// A number that identifies this list while it exists: copies share it, other lists do not.
    pub(super) fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl Deref for Entries {
    type Target = [(i64, Json)];

    fn deref(&self) -> &Self::Target {
        &self.0.list
    }
}

impl Borrow<str> for Entries {
    fn borrow(&self) -> &str {
        self.0.json.get()
    }
}

impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        self.0.json.get() == other.0.json.get()
    }
}

impl Eq for Entries {}

impl Hash for Entries {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.json.get().hash(state);
    }
}

impl Serialize for Entries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.json.serialize(serializer)
    }
}

/// All keys and lists of entries that were read in replies to polls, each stored once.
///
/// In the final phase every client polls every log from its beginning, and most replies are equal. Sharing what is in
/// them saves memory, and the time to parse the lists again.
#[derive(Default)]
pub struct AllEntries {
    keys: HashSet<Key>,
    lists: HashSet<Entries>,
}

impl AllEntries {
    /// Reads the entries of each log in a reply.
    ///
    /// # Errors
    ///
    /// When the JSON of a log is not a list of pairs.
    pub fn read(
        &mut self,
        Members(logs): Members<'_>,
    ) -> Result<BTreeMap<Key, Entries>, serde_json::Error> {
        let logs = logs.into_iter();
        logs.map(|(key, json)| Ok((self.key(&key), self.list(json)?)))
            .collect()
    }

    fn key(&mut self, key: &str) -> Key {
        if let Some(key) = self.keys.get(key) {
            return key.clone();
        }
        let key = Key::from(key);
        self.keys.insert(key.clone());
        key
    }

    fn list(&mut self, json: &RawValue) -> Result<Entries, serde_json::Error> {
        if let Some(entries) = self.lists.get(json.get()) {
            return Ok(entries.clone());
        }
        let entries = Entries::read(json)?;
        self.lists.insert(entries.clone());
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn raw(json: &Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(json).expect("JSON")
    }

    #[test]
    fn equal_lists_are_stored_once() {
        let mut all = AllEntries::default();
        let list = raw(&json!([[0, 5], [2, "a"]]));
        let entries = all.list(&list).expect("pairs");
        assert_eq!(*entries, [(0, json!(5).into()), (2, json!("a").into())]);
        assert_eq!(all.list(&list).expect("pairs").id(), entries.id());
        let other = all.list(&raw(&json!([[0, 6]]))).expect("pairs");
        assert_ne!(other.id(), entries.id());
    }

    #[test]
    fn null_is_the_empty_list() {
        let entries = Entries::read(&raw(&Value::Null)).expect("a list");
        assert!(entries.is_empty());
        assert_eq!((entries.highest(), entries.is_gapless()), (None, false));
    }

    #[test]
    fn a_list_knows_its_highest_offset_and_whether_it_has_gaps() {
        for (offsets, highest, is_gapless) in [
            (vec![4], 4, true),
            (vec![4, 5, 6], 6, true),
            (vec![4, 6], 6, false),
            (vec![5, 4], 5, false),
            (vec![i64::MAX, i64::MIN], i64::MAX, false),
        ] {
            let list: Vec<_> = offsets.iter().map(|offset| json!([offset, 0])).collect();
            let entries = Entries::read(&raw(&json!(list))).expect("pairs");
            let known = (entries.highest(), entries.is_gapless());
            assert_eq!(known, (Some(highest), is_gapless), "{offsets:?}");
        }
    }

    #[test]
    fn what_is_no_list_of_pairs_is_refused() {
        let mut all = AllEntries::default();
        for wrong in [json!(5), json!([5]), json!([["a", 5]])] {
            assert!(all.list(&raw(&wrong)).is_err(), "{wrong}");
        }
    }
}
