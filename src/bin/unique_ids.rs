//! Unique ids as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{UniqueIds, run};

fn main() -> ExitCode {
    run::<UniqueIds>()
}
