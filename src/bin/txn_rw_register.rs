//! Transactions on registers, totally available, as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{TxnRwRegister, run};

fn main() -> ExitCode {
    run::<TxnRwRegister>()
}
