use alloc::{string::String, vec::Vec};

use serde_json::value::RawValue;

use super::json::canonical;
use crate::protocol::{Array, Error, Raw, Text, to_json};

/// A transaction as clients write it: `[["r", 1, null], ["w", 1, 6]]`.
pub(super) type Operations<'a> = Vec<(Text<'a>, &'a RawValue, &'a RawValue)>;

/// Does a transaction of reads, `r`, and changes, which are called `change`. `step` gets the canonical key of each
/// operation and the value of a change, and gives the operation's result, which is JSON. Gives the JSON of the transaction
/// with these results. Fails when there is another kind of operation, or a key that can't be compared.
pub(super) fn execute<'a, V: AsRef<[u8]>>(
    operations: &Operations<'a>,
    change: &str,
    mut step: impl FnMut(String, Option<&'a RawValue>) -> V,
) -> Result<String, Error> {
    let done = operations.iter().map(|(function, key, value)| {
        let change_to = match &*function.0 {
            "r" => None,
            name if name == change => Some(*value),
            name => {
                let text = alloc::format!("a step is \"r\" or {change:?}, not {name:?}");
                return Err(Error::malformed(text));
            }
        };
        Ok((&function.0, *key, Raw(step(canonical(key)?, change_to))))
    });
    let done: Vec<_> = done.collect::<Result<_, _>>()?;
    Ok(to_json(&Array(done.iter())))
}
