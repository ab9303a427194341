//! What is stored of a log: chunks.

use alloc::{borrow::ToOwned, collections::BTreeMap, string::String, sync::Arc, vec::Vec};

use serde::{Deserialize, de::Error};
use serde_json::value::RawValue;

use crate::kv::Register;
use crate::protocol::{Array, Encode, Name, Object};

/// The most entries under one key of the store: 64. The entry at an offset is in the chunk with number `offset / 64`.
pub const CHUNK_ENTRIES: u64 = 64;

/// `{"entries": ["a", 7], "last_applied": {"n0": 5120}}`: a part of a log, which grows until it is full and never
/// changes again, and for each node that appended to it the id of its last append.
///
/// The id of an append is never used again, not even by a later incarnation of the node, so it shows that the append was
/// applied. Every append makes the number of entries higher, which is therefore the version.
#[derive(Clone, Default)]
pub(super) struct Chunk {
    pub(super) entries: Vec<Arc<RawValue>>,
    last_applied: Vec<(Name, i64)>,
    /// Which of the last appends led to this value, if this node made it. It is not stored.
    writer: usize,
}

impl Chunk {
    pub(super) fn is_full(&self) -> bool {
        self.version() == CHUNK_ENTRIES
    }

    /// Entries have been added by this append of `node`.
    pub(super) fn on_append(&mut self, node: &Name, append_id: i64) {
        let known = self.last_applied.iter().position(|(name, _)| name == node);
        self.writer = known.unwrap_or(self.last_applied.len());
        match known {
            Some(index) => self.last_applied[index].1 = append_id,
            None => self.last_applied.push((node.clone(), append_id)),
        }
    }
}

impl Register for Chunk {
    fn decode(&mut self, json: &str) -> Result<(), serde_json::Error> {
        #[derive(Deserialize)]
        struct Stored<'a> {
            #[serde(borrow)]
            entries: Vec<&'a RawValue>,
            last_applied: BTreeMap<String, i64>,
        }
        let stored: Stored = serde_json::from_str(json)?;
        if !(1..=CHUNK_ENTRIES).contains(&(stored.entries.len() as u64)) {
            let expected = &"from 1 to 64 entries";
            return Err(Error::invalid_length(stored.entries.len(), expected));
        }
        let entries = stored.entries.into_iter();
        self.entries = entries.map(|entry| entry.to_owned().into()).collect();
        let last_applied = stored.last_applied.iter();
        let last_applied = last_applied.map(|(name, id)| (name.as_str().into(), *id));
        self.last_applied = last_applied.collect();
        Ok(())
    }

    fn version(&self) -> u64 {
        self.entries.len() as u64
    }

    fn shows(&self, wanted: &Self) -> bool {
        self.last_applied
            .contains(&wanted.last_applied[wanted.writer])
    }
}

impl Encode for Chunk {
    fn encode(&self, out: &mut Vec<u8>) {
        let entries = self.entries.iter().map(|entry| &**entry);
        let last_applied = self.last_applied.iter().map(|(node, id)| (node, id));
        let (entries, last_applied) = (Array(entries), Object(last_applied));
        let fields = [
            ("entries", &entries as &dyn Encode),
            ("last_applied", &last_applied),
        ];
        Object(fields.into_iter()).encode(out);
    }
}
