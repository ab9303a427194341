//! What holds for all input: for any bytes in any pieces, and for any sequence of messages with time passing.

mod clock;
mod counter;
mod gossip;
mod wire;
#[path = "../world/mod.rs"]
mod world;
