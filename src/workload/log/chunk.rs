use alloc::{collections::BTreeMap, string::String, sync::Arc, vec::Vec};

use serde::{Deserialize, de::Error};
use serde_json::value::RawValue;

use crate::kv::{Proof, Register};
use crate::protocol::{Encode, Name};

/// So many entries of a log stand under one key of the store: 64. The entry at an offset is in the chunk with number
/// `offset / 64`.
pub const CHUNK_ENTRIES: u64 = 64;

/// `{"entries": ["a", 7], "rounds": {"n0": 5120}}`: a part of a log that grows until it is full and never changes
/// again, and for each node the id of its last append to it.
///
/// An append's id is used once, by any life of any node, so finding it here proves that the append was made. Every
/// append counts up the number of entries, which is why that number can be the version.
#[derive(Clone, Default)]
pub(super) struct Chunk {
    pub(super) entries: Vec<Arc<str>>,
    rounds: Vec<(Name, i64)>,
    /// Which of the rounds led to this state, if this node made it. Not part of the stored value.
    author: usize,
}

impl Chunk {
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() as u64 >= CHUNK_ENTRIES
    }

    /// Makes this the next state: `entries` more, by the round `round_id` of `node`.
    pub(super) fn append(
        &mut self,
        entries: impl Iterator<Item = Arc<str>>,
        node: &Name,
        round_id: i64,
    ) {
        self.entries.extend(entries);
        let known = self.rounds.iter().position(|(name, _)| name == node);
        self.author = known.unwrap_or(self.rounds.len());
        match known {
            Some(index) => self.rounds[index].1 = round_id,
            None => self.rounds.push((node.clone(), round_id)),
        }
    }
}

impl Register for Chunk {
    fn decode(&mut self, json: &str) -> Result<(), serde_json::Error> {
        #[derive(Deserialize)]
        struct Stored<'a> {
            #[serde(borrow)]
            entries: Vec<&'a RawValue>,
            rounds: BTreeMap<String, i64>,
        }
        let Stored { entries, rounds } = serde_json::from_str(json)?;
        if !(1..=CHUNK_ENTRIES).contains(&(entries.len() as u64)) {
            let expected = &"from 1 to 64 entries";
            return Err(Error::invalid_length(entries.len(), expected));
        }
        self.entries = entries.iter().map(|entry| entry.get().into()).collect();
        let rounds = rounds.iter().map(|(name, id)| (name.as_str().into(), *id));
        self.rounds = rounds.collect();
        Ok(())
    }

    fn version(&self) -> u64 {
        self.entries.len() as u64
    }
}

impl Proof for Chunk {
    fn proves(&self, change: &Self) -> bool {
        self.rounds.contains(&change.rounds[change.author])
    }
}

impl Encode for Chunk {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"entries\":[");
        for (index, entry) in self.entries.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(entry.as_bytes());
        }
        out.extend_from_slice(b"],\"rounds\":{");
        for (index, (name, round_id)) in self.rounds.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            name.encode(out);
            out.push(b':');
            round_id.encode(out);
        }
        out.extend_from_slice(b"}}");
    }
}
