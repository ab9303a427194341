//! The grow-only counter as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{G_COUNTER, run};

fn main() -> ExitCode {
    run(&G_COUNTER)
}
