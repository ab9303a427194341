use serde::de::{Error, Unexpected};

use crate::node::ID_BITS;
use crate::protocol::Encode;

/// The highest version that is read.
pub const VERSION_MAX: u64 = (1 << ID_BITS) - 1;

/// Refuses a version that no chain of changes leads to: 0, or one above [`VERSION_MAX`].
///
/// # Errors
///
/// When it is one of those.
pub fn check_version<E: Error>(version: u64) -> Result<u64, E> {
    match version {
        1..=VERSION_MAX => Ok(version),
        _ => Err(E::invalid_value(
            Unexpected::Unsigned(version),
            &"a version from 1 to 9007199254740991",
        )),
    }
}

/// A value in a store that shows its own age and whether a change of it was applied.
///
/// Every change makes the [version](Self::version) higher and is a compare-and-swap from the whole value before.
pub trait Register: Encode + Clone + Default {
    /// Takes the value from JSON.
    ///
    /// # Errors
    ///
    /// When the JSON is no such register; what `self` then holds is of no use.
    fn decode(&mut self, json: &str) -> Result<(), serde_json::Error>;

    /// Higher after each change; 0 is the state of a key that isn't there, which is the default.
    fn version(&self) -> u64;

    /// Whether this value can only have come about if the change to `wanted` was applied, or another one that is as good.
    ///
    /// Another one that leaves the same value is possible in a register that one node changes: one that an earlier incarnation
    /// of the node made, before anybody was answered. That is as good unless it matters to clients whose change it was, as
    /// for a lock: then the value must say whose it is.
    ///
    /// Every later value must go on to show the change, until its node makes the next one: a higher version that does not
    /// show it is taken for proof that it was lost. In a register that several nodes change, each has an entry of its own for
    /// that.
    fn shows(&self, wanted: &Self) -> bool;
}
