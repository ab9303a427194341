//! `g-counter` and `pn-counter`, which share everything but their names.

use super::{LIMITS, Program, START_WAIT, set_limit, set_service};
use crate::stdio::arguments::{Flag, Wrong};
use crate::workload::GCounter;
use crate::workload::g_counter::{Consistency, Options};

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
  --read-wait TIME      eventual: by then a read is answered with what is known (default 200ms)
";

fn set(options: &mut Options, flag: &mut Flag) -> Result<(), Wrong> {
    match flag.name {
        "--consistency" => flag.set_one_of(&mut options.consistency, &Consistency::ALL),
        "--kv" => set_service(&mut options.service, flag, &["seq-kv", "lin-kv"]),
        "--max-batch" => flag.set_count(&mut options.batch_max, usize::MAX),
        "--read-wait" => flag.set_time(&mut options.read_wait),
        "--start-wait" => flag.set_time(&mut options.start_wait),
        _ => set_limit(&mut options.limits, flag),
    }
}

/// A sum that grows.
pub const G_COUNTER: Program<Options, GCounter> = Program {
    name: "g-counter",
    about: "A grow-only counter for Maelstrom: add{delta} -> add_ok, read -> read_ok{value}.",
    flags: &[FLAGS, START_WAIT, LIMITS],
    defaults: Options::default,
    set,
    workload: GCounter::new,
};

/// A sum that rises and falls.
pub const PN_COUNTER: Program<Options, GCounter> = Program {
    name: "pn-counter",
    about: "\
A counter that goes up and down, for Maelstrom: add{delta} -> add_ok, read -> read_ok{value},
where delta may be negative.",
    defaults: || Options {
        decrements: true,
        ..Options::default()
    },
    ..G_COUNTER
};
