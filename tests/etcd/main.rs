//! Services on a cluster of etcd: on real etcd if it is installed, and on fake members that respond wrongly.
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
