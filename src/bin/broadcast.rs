//! The broadcast challenge as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{BROADCAST, run};

fn main() -> ExitCode {
    run(&BROADCAST)
}
