//! The proxy to a key-value service as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{LinKv, run};

fn main() -> ExitCode {
    run::<LinKv>()
}
