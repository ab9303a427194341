use crate::protocol::Encode;

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
    pub fn judge<R: Register>(state: &R, from: &R, change: &R) -> Self {
        if state.proves(change) {
            Seen::Applied
        } else if state.version() > from.version() {
            Seen::Lost
        } else {
            Seen::Open
        }
    }
}
