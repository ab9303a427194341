//! Unique ids as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{UNIQUE_IDS, run};

fn main() -> ExitCode {
    run(&UNIQUE_IDS)
}
