//! The grow-only counter as a Maelstrom node.

mod counter;

use std::process::ExitCode;

use eddy::workload::g_counter::Options;

fn main() -> ExitCode {
    let about = "A grow-only counter for Maelstrom: add{delta} -> add_ok, read -> read_ok{value}.";
    counter::run(Options::default(), about)
}
