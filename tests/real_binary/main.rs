//! The node binaries, end to end, fed what no one should send them: every answer is true, nothing is lost, and the
//! node goes on serving.
#![cfg(feature = "stdio")]

mod bad_input;
mod command_line;
mod operations;
mod process;
mod store;
mod streams;
