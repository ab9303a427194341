//! What nodes do: one room or file a challenge. No I/O, no clock, no randomness of their own.

mod echo;
pub mod g_counter;
mod unique_ids;

pub use echo::Echo;
pub use g_counter::GCounter;
pub use unique_ids::UniqueIds;
