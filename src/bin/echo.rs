//! The echo challenge as a Maelstrom node.

use std::process::ExitCode;

use eddy::node::Node;
use eddy::protocol::LINE_BYTES_MAX;
use eddy::stdio::{self, arguments};
use eddy::workload::Echo;

const USAGE: &str = "\
Sends back what it is sent, for Maelstrom: echo{echo} -> echo_ok{echo}.

Usage: echo [flags], started by Maelstrom or by eddy test.

  --max-line BYTES      the longest line that is read (default 1048576)
  --help, --version
";

fn main() -> ExitCode {
    let mut line_bytes_max = LINE_BYTES_MAX;
    let parsed = arguments::parse("echo", USAGE, |flag| match flag.name {
        "--max-line" => flag.set_count(&mut line_bytes_max),
        _ => flag.unknown(),
    });
    match parsed {
        Ok(()) => stdio::run(Node::new(Echo), line_bytes_max),
        Err(exit_code) => exit_code,
    }
}
