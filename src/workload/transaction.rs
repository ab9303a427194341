use alloc::{string::String, vec::Vec};

use serde_json::value::RawValue;

use super::json::canonical;
use crate::protocol::{Encode, Error, ErrorCode, Text};

/// A transaction as clients write it: `[["r", 1, null], ["w", 1, 6]]`.
pub(super) type Operations<'a> = Vec<(Text<'a>, &'a RawValue, &'a RawValue)>;

/// A step of a transaction, by the key as it is compared.
pub(super) enum Step<'a> {
    Read { key: String },
    Change { key: String, value: &'a RawValue },
}

/// The steps of a transaction of reads, `r`, and changes, which are called `change`.
///
/// # Errors
///
/// When there is another kind of step, or a key that can't be compared.
pub(super) fn steps<'a>(operations: &Operations<'a>, change: &str) -> Result<Vec<Step<'a>>, Error> {
    let malformed = |text| Error::new(ErrorCode::MALFORMED_REQUEST, text);
    let steps = operations.iter().map(|(function, key, value)| {
        let key = canonical(key).map_err(|error| malformed(alloc::format!("key: {error}")))?;
        match &*function.0 {
            "r" => Ok(Step::Read { key }),
            function if function == change => Ok(Step::Change { key, value }),
            function => Err(malformed(alloc::format!(
                "a step is \"r\" or {change:?}, not {function:?}"
            ))),
        }
    });
    steps.collect()
}

/// Writes a transaction as it was done: like the one that was asked for, with the values that were read.
pub(super) struct Done<'a> {
    pub(super) operations: &'a Operations<'a>,
    /// What each step has for its value.
    pub(super) values: &'a [&'a str],
}

impl Encode for Done<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        let mut separator = b'[';
        for ((function, key, _), value) in self.operations.iter().zip(self.values) {
            out.push(separator);
            out.push(b'[');
            (*function.0).encode(out);
            out.push(b',');
            key.encode(out);
            out.push(b',');
            out.extend_from_slice(value.as_bytes());
            out.push(b']');
            separator = b',';
        }
        out.extend_from_slice(if self.operations.is_empty() {
            b"[]"
        } else {
            b"]"
        });
    }
}
