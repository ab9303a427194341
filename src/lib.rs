//! eddy
#![cfg_attr(not(feature = "stdio"), no_std)]
extern crate alloc;
#[cfg(any(feature = "stdio", test))]
extern crate std;

pub mod protocol;

#[cfg(feature = "workbench")]
pub mod workbench;
