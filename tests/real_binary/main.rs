//! The node binaries, end to end, with input that no correct program sends: every reply is true, nothing is lost, and
//! the node goes on serving.
#![cfg(feature = "stdio")]

mod bad_input;
mod command_line;
mod flow;
mod forgetful_store;
#[path = "../world/store.rs"]
mod kv;
mod limits;
mod operations;
mod process;
mod signals;
mod store;
mod streams;
mod terminal;
