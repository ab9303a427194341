//! The broadcast challenge as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{Broadcast, run};

fn main() -> ExitCode {
    run::<Broadcast>()
}
