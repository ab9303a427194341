//! The echo challenge as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{ECHO, run};

fn main() -> ExitCode {
    run(&ECHO)
}
