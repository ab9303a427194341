//! Unique ids as a Maelstrom node.

use std::process::ExitCode;

use eddy::node::Node;
use eddy::protocol::LINE_BYTES_MAX;
use eddy::stdio::{self, arguments};
use eddy::workload::UniqueIds;

const USAGE: &str = "\
Gives out ids that no other node and no other life of this node gives out, for Maelstrom:
generate -> generate_ok{id}. Nodes need not hear of each other for it.

Usage: unique-ids [flags], started by Maelstrom or by eddy test.

  --max-line BYTES      the longest line that is read (default 1048576)
  --help, --version
";

fn main() -> ExitCode {
    let mut line_bytes_max = LINE_BYTES_MAX;
    let parsed = arguments::parse("unique-ids", USAGE, |flag| match flag.name {
        "--max-line" => flag.set_count(&mut line_bytes_max),
        _ => flag.unknown(),
    });
    match parsed {
        Ok(()) => stdio::run(
            Node::new(UniqueIds::new(stdio::random_seed())),
            line_bytes_max,
        ),
        Err(exit_code) => exit_code,
    }
}
