use crate::node::ID_BITS;
use crate::protocol::Encode;

/// A value in a store that shows its own age and whether a change of it was applied.
///
/// Every change makes the [version](Self::version) higher and is a compare-and-swap from the whole value before.
pub trait Register: Encode + Clone + Default {
    /// No chain of changes leads to a higher version.
    const VERSION_MAX: u64 = (1 << ID_BITS) - 1;

    /// Takes the value from JSON.
    ///
    /// # Errors
    ///
    /// When the JSON is no such register; what `self` then holds is of no use.
    fn decode(&mut self, json: &str) -> Result<(), serde_json::Error>;

    /// Higher after each change; 0 is the state of a key that isn't there, which is the default. A value in the store whose
    /// version is 0, or above [`VERSION_MAX`](Self::VERSION_MAX), is none that was written as such a register.
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
