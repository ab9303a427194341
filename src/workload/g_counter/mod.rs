//! A counter that many nodes add to, at the guarantee that one chooses.
//!
//! `add{delta} → add_ok`, `read → read_ok{value}`. With [`Options::decrements`] it counts both ways; without, a negative
//! delta is refused. Three levels keep the counter in a store that may answer from the past, the fourth keeps it in the
//! nodes themselves. Which reads are right depends on the [`Consistency`] that is chosen; exactly-once adds do not:
//!
//! - An add is acknowledged when the store has it, and it counts once, whatever messages are lost, late or doubled, and
//!   whichever node dies. An add that was answered with an indefinite error may count, once. (Where there is no store,
//!   the node has it, and an add can die with its node: see [`eventual`].)
//! - What waits is *combined*: a node has at most one change of a register under way, and whatever waits when it
//!   returns rides on the next. Without that a busy node fights itself.
//! - An operation rides only on a message that was sent after it arrived: one already under way may have taken effect
//!   before something that was acknowledged in between.
//! - Totals are exact in the range of `i64`; an add that would leave it is refused.
//! - A node never goes back to an older state: newer is what has the higher version or epoch. For a counter that only
//!   grows this means that no later read of the same node has a smaller value. With decrements the value says nothing
//!   of the age, so nothing here ever compares values.
//!
//! One file a level: [`regular`], [`linearizable`], [`sequential`], [`eventual`]. The first three differ in no more than
//! two answers: do all nodes share one register, and do reads change it. How it is changed is in `rounds`, what it holds in
//! `tally`, and what keeps nodes that fight over one from keeping each other out in `peers` and `turns`. The last is made
//! of [`replicas`] and [`gossip`].

mod answers;
pub mod eventual;
pub mod gossip;
pub mod linearizable;
mod peers;
pub mod regular;
pub mod replicas;
mod rounds;
pub mod sequential;
mod tally;
mod turns;

use alloc::{borrow::Cow, boxed::Box, collections::BinaryHeap, string::String, vec::Vec};
use core::{fmt, str::FromStr, time::Duration};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::node::{Outbox, START_WAIT, Workload};
use crate::protocol::{Error, ErrorCode, Message, Name, present};

use answers::Want;
use eventual::Eventual;
use linearizable::LINEARIZABLE;
use regular::REGULAR;
use rounds::Rounds;
use sequential::SEQUENTIAL;

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

impl FromStr for Consistency {
    type Err = UnknownConsistency;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "regular" => Ok(Consistency::Regular),
            "linearizable" => Ok(Consistency::Linearizable),
            "sequential" => Ok(Consistency::Sequential),
            "eventual" => Ok(Consistency::Eventual),
            _ => Err(UnknownConsistency),
        }
    }
}

/// There is no level of that name.
#[derive(Debug)]
pub struct UnknownConsistency;

impl fmt::Display for UnknownConsistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is regular, linearizable, sequential or eventual")
    }
}

impl core::error::Error for UnknownConsistency {}

/// How a counter works: its guarantee, its store and its limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which reads are right.
    pub consistency: Consistency,
    /// Whether a delta may be negative.
    pub decrements: bool,
    /// The node id of the key-value service. The eventual level has none.
    pub service: String,
    /// The most operations that ride on one message to the store, or reads on one poll of the peers. 1 switches
    /// combining off.
    pub batch_max: usize,
    /// The most operations that wait at once; one more is refused with error 11.
    pub pending_max: usize,
    /// How long the store may take before it is asked again; it grows on repeats. At the eventual level: a peer, and it
    /// doesn't grow.
    pub rpc_timeout: Duration,
    /// By then an operation is answered: with error 11 if it has certainly not happened, else with error 0.
    pub op_timeout: Duration,
    /// How long a read of the eventual level waits for peers at most.
    pub read_wait: Duration,
    /// How long after its `init` a node begins to speak if no message makes it do so before: see
    /// [`node`](crate::node#when-a-node-begins-to-speak).
    pub start_wait: Duration,
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
            pending_max: 10_000,
            rpc_timeout: Duration::from_secs(1),
            op_timeout: Duration::from_millis(4500),
            read_wait: Duration::from_millis(200),
            start_wait: START_WAIT,
        }
    }
}

/// The counter: grow-only, or with decrements.
#[derive(Debug)]
pub struct GCounter {
    decrements: bool,
    start_wait: Duration,
    level: Chosen,
}

/// The level that was chosen.
// No trait object, so that `Debug` is not in binaries that never print a counter.
#[derive(Debug)]
enum Chosen {
    Stored(Box<Rounds>),
    Eventual(Box<Eventual>),
}

impl Chosen {
    fn level(&self) -> &dyn Level {
        match self {
            Chosen::Stored(level) => &**level,
            Chosen::Eventual(level) => &**level,
        }
    }

    fn level_mut(&mut self) -> &mut dyn Level {
        match self {
            Chosen::Stored(level) => &mut **level,
            Chosen::Eventual(level) => &mut **level,
        }
    }
}

/// What a level does with operations, answers and time.
trait Level {
    fn init(&mut self, node_id: &str, node_ids: &[Cow<'_, str>]);

    fn accept(
        &mut self,
        client: &str,
        msg_id: Option<i64>,
        want: Want,
        now: Duration,
        outbox: &mut Outbox,
    ) -> Result<(), Error>;

    /// What only another node asks.
    fn peer_request(
        &mut self,
        request: &Message<'_, Fields<'_>>,
        now: Duration,
        outbox: &mut Outbox,
    ) -> Result<(), Error>;

    fn reply(&mut self, reply: &Message<'_, Fields<'_>>, now: Duration, outbox: &mut Outbox);

    fn deadline(&self) -> Option<Duration>;

    fn wake(&mut self, now: Duration, outbox: &mut Outbox);

    fn finish(&mut self, outbox: &mut Outbox);
}

/// The nodes but for `node_id`, in the same order everywhere; one that is named twice is there once.
fn others(node_id: &str, node_ids: &[Cow<'_, str>]) -> Vec<Name> {
    let others = node_ids.iter().filter(|other| **other != node_id);
    let others: BinaryHeap<Name> = others.map(|other| Name::from(&**other)).collect();
    let mut others = others.into_sorted_vec();
    others.dedup();
    others
}

impl GCounter {
    /// A counter. The seed has to be another at each start of a node: see [`Random`](crate::node::Random).
    pub fn new(options: Options, seed: u64) -> Self {
        let (decrements, start_wait) = (options.decrements, options.start_wait);
        let stored = |plan, options| Chosen::Stored(Box::new(Rounds::new(plan, options, seed)));
        let level = match options.consistency {
            Consistency::Regular => stored(REGULAR, options),
            Consistency::Linearizable => stored(LINEARIZABLE, options),
            Consistency::Sequential => stored(SEQUENTIAL, options),
            Consistency::Eventual => Chosen::Eventual(Box::new(Eventual::new(options, seed))),
        };
        GCounter {
            decrements,
            start_wait,
            level,
        }
    }
}

/// What the counter's messages and the answers of stores and peers hold. What only nodes say to each other is read when
/// it is needed: in anyone else's message it is an unknown field, whatever it holds.
#[derive(Deserialize)]
pub struct Fields<'a> {
    delta: Option<i64>,
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
    /// What a peer wants to be carried, see `peers`.
    #[serde(borrow)]
    step: Option<&'a RawValue>,
    /// What a peer tells, see `gossip`.
    #[serde(borrow)]
    news: Option<&'a RawValue>,
    #[serde(borrow)]
    counts: Option<&'a RawValue>,
}

impl Workload for GCounter {
    type Fields<'a> = Fields<'a>;

    fn init(&mut self, node_id: &str, node_ids: &[Cow<'_, str>]) {
        self.level.level_mut().init(node_id, node_ids);
    }

    fn start_wait(&self) -> Duration {
        self.start_wait
    }

    fn request(
        &mut self,
        request: &Message<'_, Fields<'_>>,
        now: Duration,
        outbox: &mut Outbox,
    ) -> Result<(), Error> {
        let body = &request.body;
        let want = match &*body.kind {
            "add" => match body.fields.delta.ok_or_else(|| Error::missing("delta"))? {
                delta if delta < 0 && !self.decrements => {
                    return Err(Error::new(
                        ErrorCode::MALFORMED_REQUEST,
                        alloc::format!("delta is {delta}; this counter only grows"),
                    ));
                }
                delta => Want::Add(delta),
            },
            "read" => Want::Read,
            _ => return self.level.level_mut().peer_request(request, now, outbox),
        };
        self.level
            .level_mut()
            .accept(&request.src, body.msg_id, want, now, outbox)
    }

    fn reply(&mut self, reply: &Message<'_, Fields<'_>>, now: Duration, outbox: &mut Outbox) {
        self.level.level_mut().reply(reply, now, outbox);
    }

    fn deadline(&self) -> Option<Duration> {
        self.level.level().deadline()
    }

    fn wake(&mut self, now: Duration, outbox: &mut Outbox) {
        self.level.level_mut().wake(now, outbox);
    }

    fn finish(&mut self, outbox: &mut Outbox) {
        self.level.level_mut().finish(outbox);
    }
}
