//! Services that a cluster of etcd answers for: on etcd itself, if it is installed, and on members that respond wrongly.
#![cfg(feature = "workbench")]

mod answers;
mod bad_members;
#[path = "../command/mod.rs"]
mod command;
mod command_line;
mod fake;
mod local;
mod real;
mod service;
