//! The Kafka-style log as a Maelstrom node.

use std::process::ExitCode;

use eddy::node::Node;
use eddy::protocol::LINE_BYTES_MAX;
use eddy::stdio::{self, arguments};
use eddy::workload::{Kafka, kafka::Options};

const USAGE: &str = "\
A log per key that survives its nodes, kept in lin-kv, for Maelstrom: send{key, msg} -> send_ok{offset},
poll{offsets} -> poll_ok{msgs}, commit_offsets{offsets}, list_committed_offsets{keys}.

Usage: kafka [flags], started by Maelstrom or by eddy test.

  --staleness TIME      how old what a poll or a list shows may be (default 100ms)
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
    let parsed = arguments::parse("kafka", USAGE, |flag| match flag.name {
        "--staleness" => flag.set_time(&mut options.staleness),
        "--max-pending" => flag.set_count(&mut options.pending_max),
        "--max-line" => flag.set_count(&mut line_bytes_max),
        "--rpc-timeout" => flag.set_time(&mut options.rpc_timeout),
        "--op-timeout" => flag.set_time(&mut options.op_timeout),
        _ => flag.unknown(),
    });
    match parsed {
        Ok(()) => stdio::run(
            Node::new(Kafka::new(options, stdio::random_seed())),
            line_bytes_max,
        ),
        Err(exit_code) => exit_code,
    }
}
