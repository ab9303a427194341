use alloc::{string::String, vec::Vec};

use serde_json::value::RawValue;

use super::json::canonical_key;
use crate::protocol::{Array, Encode, Error, Raw, Text};

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
    let steps = operations.iter().map(|(function, key, value)| {
        let key = canonical_key(key)?;
        match &*function.0 {
            "r" => Ok(Step::Read { key }),
            function if function == change => Ok(Step::Change { key, value }),
            function => Err(Error::malformed(alloc::format!(
                "a step is \"r\" or {change:?}, not {function:?}"
            ))),
        }
    });
    steps.collect()
}

/// A transaction as it was done: like the one that was asked for, each step with its value, which is JSON.
pub(super) fn done<'a>(
    operations: &'a Operations<'a>,
    values: &'a [impl AsRef<str>],
) -> impl Encode + 'a {
    let steps = operations.iter().zip(values);
    Array(steps.map(|((function, key, _), value)| (&function.0, *key, Raw(value.as_ref()))))
}
