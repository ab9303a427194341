use alloc::{collections::BTreeMap, string::String, vec::Vec};

use serde_json::value::RawValue;

use super::json::{canonical, list};
use crate::gossip::{GOSSIP_BYTES_MAX, Replica};
use crate::protocol::{Encode, Error, ErrorCode, Raw};

/// All values together have at most this many bytes: 256 MiB.
pub const VALUES_BYTES_MAX: usize = 256 << 20;

/// A set that grows: JSON values as they were given, compared by what they mean and not by how they are written.
#[derive(Default)]
pub(super) struct Values {
    /// All values, with a comma behind each: an answer is a copy of it.
    encoded: String,
    /// Where each value's comma stands.
    ends: Vec<usize>,
    positions: BTreeMap<String, u64>,
}

impl Values {
    /// Adds a value, unless it is here already, and gives its position.
    ///
    /// # Errors
    ///
    /// When it is too large or nested too deep, or the memory for values is full.
    pub(super) fn add(&mut self, value: &RawValue) -> Result<u64, Error> {
        let text = value.get();
        let malformed = |text| Error::new(ErrorCode::MALFORMED_REQUEST, text);
        if text.len() > GOSSIP_BYTES_MAX {
            return Err(malformed(alloc::format!(
                "the value has more than {GOSSIP_BYTES_MAX} bytes"
            )));
        }
        let key = canonical(value).map_err(|error| malformed(alloc::format!("{error}")))?;
        if let Some(position) = self.positions.get(&key) {
            return Ok(*position);
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
        Ok(position)
    }

    fn value(&self, position: usize) -> Raw<'_> {
        let start = match position {
            0 => 0,
            _ => self.ends[position - 1] + 1,
        };
        Raw(&self.encoded[start..self.ends[position]])
    }
}

impl Replica for Values {
    fn end(&self) -> u64 {
        self.ends.len() as u64
    }

    fn entries_from(&self, position: u64) -> impl Iterator<Item = (u64, impl Encode)> {
        let positions = position as usize..self.ends.len();
        positions.map(|position| (position as u64, self.value(position)))
    }

    fn merge(&mut self, entries: &RawValue, merged: &mut dyn FnMut(u64)) -> Result<(), Error> {
        for value in list(entries)? {
            merged(self.add(value)?);
        }
        Ok(())
    }
}

/// As a list.
impl Encode for Values {
    fn encode(&self, out: &mut Vec<u8>) {
        let without_last_comma = self.encoded.len().saturating_sub(1);
        out.push(b'[');
        out.extend_from_slice(&self.encoded.as_bytes()[..without_last_comma]);
        out.push(b']');
    }
}
