//! The counter with decrements as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{PN_COUNTER, run};

fn main() -> ExitCode {
    run(&PN_COUNTER)
}
