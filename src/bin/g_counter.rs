//! The grow-only counter as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{GCounter, run};

fn main() -> ExitCode {
    run::<GCounter>()
}
