//! The Kafka-style log as a Maelstrom node.

use std::process::ExitCode;

use eddy::program::{Kafka, run};

fn main() -> ExitCode {
    run::<Kafka>()
}
