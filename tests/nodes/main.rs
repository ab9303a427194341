//! The nodes as whole clusters in virtual time: what each workload promises, through all faults of messages and nodes.
//!
//! One program, so that the clusters are built once and tests of different workloads run side by side.

mod broadcast;
mod cost;
mod eventual;
mod exactly_once;
mod forwarding;
mod gossip;
mod kafka;
mod lin_kv;
mod lone;
mod overload;
mod properties;
mod start;
mod txn_list_append;
mod txn_rw_register;
#[path = "../world/mod.rs"]
mod world;
