//! The echo challenge as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{Echo, run};

fn main() -> ExitCode {
    run::<Echo>()
}
