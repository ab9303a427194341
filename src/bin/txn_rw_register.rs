//! Transactions on registers, totally available, as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{TXN_RW_REGISTER, run};

fn main() -> ExitCode {
    run(&TXN_RW_REGISTER)
}
