//! The counter with decrements as a Maelstrom node.

mod counter;

use std::process::ExitCode;

use eddy::workload::g_counter::Options;

fn main() -> ExitCode {
    let about = "\
A counter that goes up and down, for Maelstrom: add{delta} -> add_ok, read -> read_ok{value},
where delta may be negative.";
    let options = Options {
        decrements: true,
        ..Options::default()
    };
    counter::run(options, about)
}
