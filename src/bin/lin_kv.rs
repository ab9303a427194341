//! The proxy to a key-value service as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{LIN_KV, run};

fn main() -> ExitCode {
    run(&LIN_KV)
}
