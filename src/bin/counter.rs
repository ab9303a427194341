//! What `g-counter` and `pn-counter` share: everything but their names.

use std::process::ExitCode;

use eddy::node::Node;
use eddy::protocol::LINE_BYTES_MAX;
use eddy::stdio::{self, arguments};
use eddy::workload::{GCounter, g_counter::Options};

const FLAGS: &str = "  --consistency LEVEL   which reads are right (default regular)
      regular           a read holds every add acknowledged before it began
      linearizable      as if everything happened one by one, in real time
      sequential        one by one, but a read may be of the past
      eventual          no store: the nodes tell each other, and answer in any partition; reads agree
                        once all have heard all. If a node is killed, what it has acknowledged and
                        no other node has heard is lost: mostly the last moments, in a partition
                        everything since the node was cut off
  --kv SERVICE          the store: seq-kv or lin-kv (default seq-kv)
  --max-batch N         operations that ride on one message to the store, or reads on one poll of
                        the other nodes (default 1024)
  --max-pending N       operations that wait at once; one more gets error 11 (default 10000)
  --max-line BYTES      the longest line that is read (default 1048576)
  --rpc-timeout TIME    how long to wait for the store, or for a node, before asking again (default 1s)
  --op-timeout TIME     by then an operation is answered, if need be with an error (default 4500ms)
  --read-wait TIME      eventual: by then a read is answered with what is known (default 200ms)
  --help, --version

TIME is 500ms, 2s or, in milliseconds, 500.
";

/// Runs the counter that `options` say; `about` opens the help text.
pub fn run(mut options: Options, about: &str) -> ExitCode {
    let name = options.name();
    let usage = format!(
        "{about}\n\nUsage: {name} [flags], started by Maelstrom or by eddy test.\n\n{FLAGS}"
    );
    let mut line_bytes_max = LINE_BYTES_MAX;
    let parsed = arguments::parse(name, &usage, |flag| match flag.name {
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
