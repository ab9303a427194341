use alloc::{collections::BTreeMap, string::String, vec::Vec};

use serde_json::value::RawValue;

use super::{GOSSIP_BYTES_MAX, Replica};
use crate::protocol::{Encode, Error, ErrorCode};
use crate::workload::json::canonical;

/// All values together have at most this many bytes: 256 MiB.
pub const VALUES_BYTES_MAX: usize = 256 << 20;

/// A set that grows: JSON values as they were given, recognised by what they say and not by how they are written.
#[derive(Default)]
pub(crate) struct Values {
    /// All values, with a comma behind each: an answer is a copy of it.
    encoded: String,
    /// Where each value's comma stands.
    ends: Vec<usize>,
    positions: BTreeMap<String, u64>,
}

impl Values {
    fn text(&self, position: usize) -> &str {
        let start = match position {
            0 => 0,
            _ => self.ends[position - 1] + 1,
        };
        &self.encoded[start..self.ends[position]]
    }
}

impl Replica for Values {
    fn end(&self) -> u64 {
        self.ends.len() as u64
    }

    fn entries_from(&self, position: u64) -> impl Iterator<Item = (u64, &str)> {
        let positions = position as usize..self.ends.len();
        positions.map(|position| (position as u64, self.text(position)))
    }

    fn merge(&mut self, entry: &RawValue) -> Result<Option<u64>, Error> {
        let text = entry.get();
        let malformed = |text| Error::new(ErrorCode::MALFORMED_REQUEST, text);
        if text.len() > GOSSIP_BYTES_MAX {
            return Err(malformed(alloc::format!(
                "the value has more than {GOSSIP_BYTES_MAX} bytes"
            )));
        }
        let key = canonical(entry).map_err(|error| malformed(alloc::format!("{error}")))?;
        if let Some(position) = self.positions.get(&key) {
            return Ok(Some(*position));
        }
        if self.encoded.len() + text.len() >= VALUES_BYTES_MAX {
            return Err(Error::new(
                ErrorCode::TEMPORARILY_UNAVAILABLE,
                "this node's memory for values is full; nothing was added",
            ));
        }
        let position = self.end();
        self.encoded.push_str(text);
        self.ends.push(self.encoded.len());
        self.encoded.push(',');
        self.positions.insert(key, position);
        Ok(Some(position))
    }
}

impl Encode for Values {
    fn encode(&self, out: &mut Vec<u8>) {
        let without_last_comma = self.encoded.len().saturating_sub(1);
        out.push(b'[');
        out.extend_from_slice(&self.encoded.as_bytes()[..without_last_comma]);
        out.push(b']');
    }
}
