//! Transactions on lists, strict serializable, as a Maelstrom node.

use std::process::ExitCode;

use eddy::node::Node;
use eddy::protocol::LINE_BYTES_MAX;
use eddy::stdio::{self, arguments};
use eddy::workload::{TxnListAppend, txn_list_append::Options};

const USAGE: &str = "\
Transactions of reads and appends to lists, kept in lin-kv, for Maelstrom: txn{txn} -> txn_ok{txn}. Strict serializable.

Usage: txn-list-append [flags], started by Maelstrom or by eddy test.

  --max-pending N       operations that wait at once; one more gets error 11 (default 10000)
  --max-line BYTES      the longest line that is read (default 1048576)
  --rpc-timeout TIME    how long to wait for the store before asking again (default 1s)
  --op-timeout TIME     by then an operation is answered, if need be with an error (default 4500ms)
  --help, --version

TIME is 500ms, 2s or, in milliseconds, 500.
";

fn main() -> ExitCode {
    let mut options = Options::default();
    let mut line_bytes_max = LINE_BYTES_MAX;
    let parsed = arguments::parse("txn-list-append", USAGE, |flag| match flag.name {
        "--max-pending" => flag.set_count(&mut options.pending_max),
        "--max-line" => flag.set_count(&mut line_bytes_max),
        "--rpc-timeout" => flag.set_time(&mut options.rpc_timeout),
        "--op-timeout" => flag.set_time(&mut options.op_timeout),
        _ => flag.unknown(),
    });
    match parsed {
        Ok(()) => stdio::run(
            Node::new(TxnListAppend::new(options, stdio::random_seed())),
            line_bytes_max,
        ),
        Err(exit_code) => exit_code,
    }
}
