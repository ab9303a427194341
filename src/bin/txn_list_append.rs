//! Transactions on lists, strict serializable, as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{TxnListAppend, run};

fn main() -> ExitCode {
    run::<TxnListAppend>()
}
