//! The grow-only counter as a Maelstrom node.

use std::process::ExitCode;

use eddy::node::Node;
use eddy::protocol::LINE_BYTES_MAX;
use eddy::stdio::{self, arguments};
use eddy::workload::{GCounter, g_counter::Options};

const USAGE: &str = "\
A grow-only counter for Maelstrom: add{delta} -> add_ok, read -> read_ok{value}.

Usage: g-counter [flags], started by Maelstrom or by eddy test.

  --consistency LEVEL   which reads are right (default regular)
      regular           a read holds every add acknowledged before it began
      linearizable      as if everything happened one by one, in real time
      sequential        one by one, but a read may be of the past
  --kv SERVICE          the store: seq-kv or lin-kv (default seq-kv)
  --max-batch N         operations that ride on one message to the store (default 1024)
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
    let parsed = arguments::parse("g-counter", USAGE, |flag| match flag.name {
        "--max-line" => flag.set_count(&mut line_bytes_max),
        _ => arguments::set_counter(flag, &mut options),
    });
    match parsed {
        Ok(()) => stdio::run(
            Node::new(GCounter::new(options, stdio::random_seed())),
            line_bytes_max,
        ),
        Err(exit_code) => exit_code,
    }
}
