//! Transactions on registers, totally available, as a Maelstrom node.

use std::process::ExitCode;

use eddy::node::Node;
use eddy::protocol::LINE_BYTES_MAX;
use eddy::stdio::{self, arguments};
use eddy::workload::{TxnRwRegister, gossip::Options};

const USAGE: &str = "\
Transactions of reads and writes that are never held up, for Maelstrom: txn{txn} -> txn_ok{txn}. Read committed.

Usage: txn-rw-register [flags], started by Maelstrom or by eddy test.

  --topology NAME       who tells whom (default star)
      star              everyone and the first node: fewest steps and messages
      tree              each node and up to four others: no one has many neighbours
  --batch-ms TIME       a neighbour is told news at most once in this time (default 100)
  --retry-timeout TIME  how long to wait before telling again; over four times the latency (default 2s)
  --max-line BYTES      the longest line that is read (default 1048576)
  --help, --version

TIME is 500ms, 2s or, in milliseconds, 500.
";

fn main() -> ExitCode {
    let mut options = Options::default();
    let mut line_bytes_max = LINE_BYTES_MAX;
    let parsed = arguments::parse("txn-rw-register", USAGE, |flag| match flag.name {
        "--topology" => flag.set(&mut options.topology),
        "--batch-ms" => flag.set_time(&mut options.batch),
        "--retry-timeout" => flag.set_time(&mut options.retry_timeout),
        "--max-line" => flag.set_count(&mut line_bytes_max),
        _ => flag.unknown(),
    });
    match parsed {
        Ok(()) => stdio::run(
            Node::new(TxnRwRegister::new(options, stdio::random_seed())),
            line_bytes_max,
        ),
        Err(exit_code) => exit_code,
    }
}
