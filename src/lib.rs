//! eddy
#![cfg_attr(not(feature = "stdio"), no_std)]
extern crate alloc;

pub mod kv;
pub mod node;
pub mod protocol;
#[cfg(feature = "stdio")]
pub mod stdio;
pub mod workload;

#[cfg(feature = "workbench")]
pub mod workbench;
