//! The counter with decrements as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{PnCounter, run};

fn main() -> ExitCode {
    run::<PnCounter>()
}
