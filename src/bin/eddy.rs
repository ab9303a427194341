//! `eddy`: a workbench for Maelstrom nodes.

use std::process::ExitCode;

fn main() -> ExitCode {
    eddy::workbench::command::run(std::env::args_os())
}
