use serde::de::{Error, Unexpected};

use crate::protocol::Encode;

/// The highest version that is read: beyond it a JSON number is not exact in every language.
pub const VERSION_MAX: u64 = (1 << 53) - 1;

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

/// A value in a store that knows its own age, so that an unsettled compare-and-swap can be settled by reading.
///
/// Every change counts the version up by one and is a compare-and-swap from the whole value before. So the successful
/// changes form one chain in which each names its predecessor, and a version is never left twice: a late copy of a
/// change whose predecessor is gone fails for ever.
pub trait Register: Encode + Clone + Default {
    /// Takes the value from JSON.
    ///
    /// # Errors
    ///
    /// When the JSON is not such a register; what `self` then holds is of no use.
    fn decode(&mut self, json: &str) -> Result<(), serde_json::Error>;

    /// How many changes led here; 0 is the state of a key that isn't there.
    fn version(&self) -> u64;
}

/// A register that shows whether a change of it was made.
pub trait Proof: Register {
    /// Whether this state could only have come about through `change`.
    fn proves(&self, change: &Self) -> bool;
}

/// What a state that was read says of an unsettled change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// It was applied.
    Applied,
    /// It was not, and never will be: the register has moved on without it.
    Lost,
    /// It may still be applied. The state is the one to change from, or an older one, which says nothing.
    Open,
}

impl Seen {
    /// Judges `state`, read at any time after the change from version `from` to `change` was first sent.
    pub fn judge<R: Proof>(state: &R, from: &R, change: &R) -> Self {
        if state.proves(change) {
            Seen::Applied
        } else if state.version() > from.version() {
            Seen::Lost
        } else {
            Seen::Open
        }
    }
}
