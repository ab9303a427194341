//! The grow-only set as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{G_SET, run};

fn main() -> ExitCode {
    run(&G_SET)
}
