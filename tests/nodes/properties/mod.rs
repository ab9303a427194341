//! Properties that hold for all inputs: for any bytes in any pieces, and for any sequence of messages and times.

mod clock;
mod counter;
mod gossip;
mod wire;
