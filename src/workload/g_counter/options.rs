use alloc::string::String;
use core::time::Duration;

use crate::node::Limits;

/// Which reads are right.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Consistency {
    /// A read holds every add that was acknowledged before it began.
    #[default]
    Regular,
    /// Adds and reads happen one after the other, each at a moment between its request and its answer.
    Linearizable,
    /// Adds and reads happen one after the other, in each client's own order, but a read may be of the past.
    Sequential,
    /// Once adds have ended and every node can be reached again, all reads agree on the sum of all adds, but for those
    /// that died with a node before any other had heard of them. Adds and reads are answered in every partition.
    Eventual,
}

impl Consistency {
    /// Every level with its name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("regular", Consistency::Regular),
        ("linearizable", Consistency::Linearizable),
        ("sequential", Consistency::Sequential),
        ("eventual", Consistency::Eventual),
    ];
}

/// How a counter works: its guarantee, its store and its limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which reads are right.
    pub consistency: Consistency,
    /// Whether a delta may be negative.
    pub decrements: bool,
    /// The node id of the key-value service. The eventual level has none.
    pub service: String,
    /// The most operations that share one message to the store, or reads that share one poll of the peers. 1 switches
    /// combining off, and 0 counts as 1.
    pub batch_max: usize,
    /// How many operations may wait, and for how long. At the eventual level `rpc_timeout` is how long a peer may take,
    /// and it doesn't grow.
    pub limits: Limits,
    /// The longest that a read of the eventual level waits for peers.
    pub read_wait: Duration,
}

impl Options {
    /// What this counter is called, and what its keys in a store begin with: the two counters can share a store.
    pub fn name(&self) -> &'static str {
        match self.decrements {
            true => "pn-counter",
            false => "g-counter",
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            consistency: Consistency::default(),
            decrements: false,
            service: "seq-kv".into(),
            batch_max: 1024,
            limits: Limits::default(),
            read_wait: Duration::from_millis(200),
        }
    }
}
