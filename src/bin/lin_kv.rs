//! The proxy to a key-value service as a Maelstrom node.

use std::process::ExitCode;

use eddy::node::Node;
use eddy::protocol::LINE_BYTES_MAX;
use eddy::stdio::{self, arguments};
use eddy::workload::{LinKv, lin_kv::Options};

const USAGE: &str = "\
A key-value store that is the service's, for Maelstrom: read{key}, write{key, value}, cas{key, from, to}.

Usage: lin-kv [flags], started by Maelstrom or by eddy test.

  --kv SERVICE          the store: lin-kv, seq-kv or lww-kv (default lin-kv)
  --max-pending N       operations that wait at once; one more gets error 11 (default 10000)
  --max-line BYTES      the longest line that is read (default 1048576)
  --rpc-timeout TIME    how long to wait for the store before a read is sent again (default 1s)
  --op-timeout TIME     by then an operation is answered, if need be with an error (default 4500ms)
  --help, --version

TIME is 500ms, 2s or, in milliseconds, 500.
";

fn main() -> ExitCode {
    let mut options = Options::default();
    let mut line_bytes_max = LINE_BYTES_MAX;
    let parsed = arguments::parse("lin-kv", USAGE, |flag| match flag.name {
        "--kv" => flag.set_one_of(&mut options.service, &["lin-kv", "seq-kv", "lww-kv"]),
        "--max-pending" => flag.set_count(&mut options.pending_max),
        "--max-line" => flag.set_count(&mut line_bytes_max),
        "--rpc-timeout" => flag.set_time(&mut options.rpc_timeout),
        "--op-timeout" => flag.set_time(&mut options.op_timeout),
        _ => flag.unknown(),
    });
    match parsed {
        Ok(()) => stdio::run(
            Node::new(LinKv::new(options, stdio::random_seed())),
            line_bytes_max,
        ),
        Err(exit_code) => exit_code,
    }
}
