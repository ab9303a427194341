//! The Kafka-style log as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{KAFKA, run};

fn main() -> ExitCode {
    run(&KAFKA)
}
