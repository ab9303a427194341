//! A counter that many nodes add to, at the guarantee that one chooses.
//!
//! `add{delta} → add_ok`, `read → read_ok{value}`. With [`Options::decrements`] it counts both ways; without, a negative
//! delta is refused. Three levels keep the counter in a store that may answer from the past, the fourth keeps it in the
//! nodes themselves. Which reads are right depends on the [`Consistency`] that is chosen; exactly-once adds do not:
//!
//! - An add is acknowledged when the store has it, and it counts once, whatever messages are lost, late or doubled, and
//!   whichever node dies. An add that was answered with an indefinite error may count, once. (Where there is no store,
//!   the node has it, and an add can die with its node: see [`eventual`].)
//! - Operations that arrive while a change of a register is under way are *combined* into the next one. A node has at
//!   most one change of a register under way. Without that a busy node fights itself.
//! - An operation joins only a message that is sent after it arrived: one already under way may have taken effect before
//!   something that was acknowledged in between.
//! - Totals are exact, and an add that would take its register's out of the range of `i64` is refused. Where each node has a
//!   total of its own, so is one after which the sum of all that its node knows of would be out of range. Adds at several
//!   nodes at once can still take the sum there; reads then give it as it is.
//! - A node never goes back to an older state: newer is what has the higher version or epoch. For a counter that only
//!   grows this means that no later read of the same node has a smaller value. With decrements the value says nothing
//!   of the age, so nothing here ever compares values.
//!
//! Each level is a file that can be read alone: [`regular`], [`linearizable`], [`sequential`], [`eventual`]. They share the
//! clients' operations (`operations`), the values in the store (`register`), and the engine that changes a register
//! exactly once ([`kv`](crate::kv)). `forwarding` is a part of [`linearizable`] alone, and only [`eventual`] uses [`counts`].

pub mod counts;
pub mod eventual;
pub mod linearizable;
mod operations;
mod options;
mod register;
pub mod regular;
pub mod sequential;

use core::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::node::{Context, Outbox, Random, Workload, earliest};
use crate::protocol::{Error, Message, Name, present};

pub use options::{Consistency, Options};

use eventual::Eventual;
use linearizable::Linearizable;
use operations::{Operation, Operations};
use regular::Regular;
use sequential::Sequential;

/// The counter: grow-only, or with decrements.
#[derive(Debug)]
pub struct GCounter {
    options: Options,
    random: Random,
    /// The level that was chosen, once there was an `init`.
    level: Option<Level>,
}

// No trait object, so that `Debug` is not in binaries that never print a counter.
#[derive(Debug)]
enum Level {
    Regular(Regular),
    Linearizable(Linearizable),
    Sequential(Sequential),
    Eventual(Eventual),
}

const INIT_FIRST: &str = "a node passes on what comes after init";

/// Does the same with whichever level was chosen.
macro_rules! each {
    ($chosen:expr, $level:ident => $does:expr) => {
        match $chosen {
            Level::Regular($level) => $does,
            Level::Linearizable($level) => $does,
            Level::Sequential($level) => $does,
            Level::Eventual($level) => $does,
        }
    };
}

impl GCounter {
    /// A counter. The seed has to be another at each start of a node: see [`Random`].
    pub fn new(mut options: Options, seed: u64) -> Self {
        if options.consistency == Consistency::Eventual {
            let limits = &mut options.limits;
            limits.op_timeout = limits.op_timeout.min(options.read_wait);
        }
        GCounter {
            options,
            random: Random::new(seed),
            level: None,
        }
    }
}

impl Level {
    fn operations(&mut self) -> &mut Operations {
        each!(self, level => &mut level.operations)
    }

    /// What only another node asks.
    fn peer_request(
        &mut self,
        request: &Received<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        match (self, &*request.body.kind) {
            (Level::Linearizable(level), "forward") => level.on_forward(request, context),
            (Level::Eventual(level), "gossip") => level.on_gossip(request, context),
            (_, kind) => Err(Error::not_supported(kind)),
        }
    }
}

/// What the counter's messages and the answers of stores and peers hold. What only nodes say to each other is read when
/// it is needed: in anyone else's message it is an unknown field, whatever it holds.
#[derive(Default, Deserialize)]
pub struct Fields<'a> {
    delta: Option<i64>,
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
    /// Whom to forward to next, at the linearizable level.
    #[serde(borrow)]
    next: Option<&'a RawValue>,
    /// What a peer of the eventual level tells, see [`gossip`](crate::gossip).
    #[serde(borrow)]
    gossip: Option<&'a RawValue>,
    #[serde(borrow)]
    entries: Option<&'a RawValue>,
}

/// A message to this node.
type Received<'a> = Message<'a, Fields<'a>>;

impl Workload for GCounter {
    type Fields<'a> = Fields<'a>;

    fn init(&mut self, node: &str, peers: &[Name]) {
        let (options, random) = (&self.options, &mut self.random);
        self.level = Some(match options.consistency {
            Consistency::Regular => Level::Regular(Regular::new(options, random, node, peers)),
            Consistency::Linearizable => {
                Level::Linearizable(Linearizable::new(options, random, node, peers))
            }
            Consistency::Sequential => Level::Sequential(Sequential::new(options, random, node)),
            Consistency::Eventual => Level::Eventual(Eventual::new(options, random, node, peers)),
        });
    }

    fn request(&mut self, request: &Received<'_>, context: &mut Context<'_>) -> Result<(), Error> {
        let level = self.level.as_mut().expect(INIT_FIRST);
        let Some(operation) = Operation::parse(request, self.options.decrements)? else {
            return level.peer_request(request, context);
        };
        if let (Level::Eventual(level), Operation::Add(delta)) = (&mut *level, operation) {
            level.gossip.replica.add(delta)?;
            context.outbox.reply(request, "add_ok");
            return Ok(());
        }
        let requests = &mut level.operations().requests;
        let id = requests.admit(request, operation, context.now)?;
        each!(level, level => level.submit(id, operation, context));
        Ok(())
    }

    fn reply(&mut self, reply: &Received<'_>, context: &mut Context<'_>) {
        let level = self.level.as_mut().expect(INIT_FIRST);
        each!(level, level => level.reply(reply, context));
    }

    fn deadline(&self) -> Option<Duration> {
        each!(self.level.as_ref()?, level => {
            earliest([level.operations.requests.deadline(), level.deadline()])
        })
    }

    fn give_up(&mut self, now: Duration, why: &str, outbox: &mut Outbox) {
        let Some(level) = &mut self.level else { return };
        for (id, request) in level.operations().requests.expired(now) {
            let given_up = match level {
                Level::Regular(level) => level.withdraw(id),
                Level::Linearizable(level) => level.withdraw(id),
                Level::Sequential(level) => level.withdraw(id),
                Level::Eventual(level) => {
                    level.give_up(id, &request, outbox);
                    continue;
                }
            };
            operations::give_up(&request, given_up, why, outbox);
        }
    }

    fn wake(&mut self, context: &mut Context<'_>) {
        if let Some(level) = &mut self.level {
            each!(level, level => level.wake(context));
        }
    }

    fn finish(&mut self, outbox: &mut Outbox) {
        if let Some(Level::Eventual(level)) = &mut self.level {
            level.gossip.finish(outbox);
        }
    }
}
