//! The grow-only set as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{GSet, run};

fn main() -> ExitCode {
    run::<GSet>()
}
