//! Transactions on lists, strict serializable, as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{TXN_LIST_APPEND, run};

fn main() -> ExitCode {
    run(&TXN_LIST_APPEND)
}
