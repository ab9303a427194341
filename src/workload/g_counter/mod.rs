//! A counter that only grows, in a store that may answer from the past.
//!
//! `add{delta ≥ 0} → add_ok`, `read → read_ok{value}`. Which reads are right depends on the [`Consistency`] that is
//! chosen; exactly-once adds do not:
//!
//! - An add is acknowledged when the store has it, and it counts once, whatever messages are lost, late or doubled,
//!   and whichever node dies. An add that was answered with an indefinite error may count, once.
//! - What waits is *combined*: a node has at most one change of a register under way, and whatever waits when it
//!   returns rides on the next. Without that a busy node fights itself.
//! - An operation rides only on a message that was sent after it arrived: one already under way may have taken effect
//!   before something that was acknowledged in between.
//! - Totals are exact up to [`i64::MAX`]; an add that would go beyond is refused.
//!
//! One file a level: [`regular`], [`linearizable`], [`sequential`]. What they share is in `rounds`.

pub mod linearizable;
pub mod regular;
mod rounds;
pub mod sequential;
mod shared;

use alloc::{borrow::Cow, boxed::Box, string::String};
use core::{fmt, str::FromStr, time::Duration};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::node::{Outbox, Workload};
use crate::protocol::{Error, ErrorCode, Message, present};

use linearizable::Linearizable;
use regular::Regular;
use rounds::{Rounds, Want};
use sequential::Sequential;

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
}

impl FromStr for Consistency {
    type Err = UnknownConsistency;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "regular" => Ok(Consistency::Regular),
            "linearizable" => Ok(Consistency::Linearizable),
            "sequential" => Ok(Consistency::Sequential),
            _ => Err(UnknownConsistency),
        }
    }
}

/// There is no level of that name.
#[derive(Debug)]
pub struct UnknownConsistency;

impl fmt::Display for UnknownConsistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is regular, linearizable or sequential")
    }
}

impl core::error::Error for UnknownConsistency {}

/// How a counter works: its guarantee, its store and its limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which reads are right.
    pub consistency: Consistency,
    /// The node id of the key-value service.
    pub service: String,
    /// The most operations that ride on one message to the store. 1 switches combining off.
    pub batch_max: usize,
    /// The most operations that wait at once; one more is refused with error 11.
    pub pending_max: usize,
    /// How long the store may take before it is asked again. It grows on repeats.
    pub rpc_timeout: Duration,
    /// By then an operation is answered: with error 11 if it has certainly not happened, else with error 0.
    pub op_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            consistency: Consistency::default(),
            service: "seq-kv".into(),
            batch_max: 1024,
            pending_max: 10_000,
            rpc_timeout: Duration::from_secs(1),
            op_timeout: Duration::from_millis(4500),
        }
    }
}

/// The grow-only counter.
pub struct GCounter {
    level: Box<dyn Level + Send>,
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

    fn reply(&mut self, reply: &Message<'_, Fields<'_>>, now: Duration, outbox: &mut Outbox);

    fn deadline(&self) -> Option<Duration>;

    fn wake(&mut self, now: Duration, outbox: &mut Outbox);

    fn finish(&mut self, outbox: &mut Outbox);
}

impl GCounter {
    /// A counter. The seed has to be another at each start of a node: see [`Random`](crate::node::Random).
    pub fn new(options: Options, seed: u64) -> Self {
        let level: Box<dyn Level + Send> = match options.consistency {
            Consistency::Regular => Box::new(Rounds::<Regular>::new(options, seed)),
            Consistency::Linearizable => Box::new(Rounds::<Linearizable>::new(options, seed)),
            Consistency::Sequential => Box::new(Rounds::<Sequential>::new(options, seed)),
        };
        GCounter { level }
    }
}

/// What the counter's messages and the store's answers hold.
#[derive(Deserialize)]
pub struct Fields<'a> {
    delta: Option<i64>,
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
}

impl Workload for GCounter {
    type Fields<'a> = Fields<'a>;

    fn init(&mut self, node_id: &str, node_ids: &[Cow<'_, str>]) {
        self.level.init(node_id, node_ids);
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
                delta @ 0.. => Want::Add(delta),
                delta => {
                    return Err(Error::new(
                        ErrorCode::MALFORMED_REQUEST,
                        alloc::format!("delta is {delta}; this counter only grows"),
                    ));
                }
            },
            "read" => Want::Read,
            kind => return Err(Error::not_supported(kind)),
        };
        self.level
            .accept(&request.src, body.msg_id, want, now, outbox)
    }

    fn reply(&mut self, reply: &Message<'_, Fields<'_>>, now: Duration, outbox: &mut Outbox) {
        self.level.reply(reply, now, outbox);
    }

    fn deadline(&self) -> Option<Duration> {
        self.level.deadline()
    }

    fn wake(&mut self, now: Duration, outbox: &mut Outbox) {
        self.level.wake(now, outbox);
    }

    fn finish(&mut self, outbox: &mut Outbox) {
        self.level.finish(outbox);
    }
}
