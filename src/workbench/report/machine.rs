//! The version, command and machine that made a result.

use std::env::consts::{ARCH, OS};
use std::thread;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The version of eddy.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The command that makes a result.
#[derive(Default)]
pub struct Invocation {
    /// The command, ready for a shell.
    pub command: String,
    /// Its flags, each with the value that it has, given or not.
    pub settings: Map<String, Value>,
}

/// A machine, as far as figures depend on it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Machine {
    /// How many cores this process may use.
    cores: usize,
    os: String,
    arch: String,
}

impl Machine {
    /// This machine.
    pub fn this() -> Self {
        Machine {
            cores: thread::available_parallelism().map_or(1, usize::from),
            os: String::from(OS),
            arch: String::from(ARCH),
        }
    }
}
