//! A set that only grows, without a store.
//!
//! `add{element} → add_ok`, `read → read_ok{value}`. It is a [broadcast](super::broadcast) of elements under other names:
//! the same [gossip], the same cost and the same limits. A read holds everything that was added at this
//! node, and sooner or later what was added anywhere.

use core::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::values::Values;
use crate::gossip::{self, Gossip, Options};
use crate::node::{Context, Outbox, Workload};
use crate::protocol::{Error, Message, Name, present};

/// The grow-only set.
pub struct GSet {
    gossip: Gossip<Values>,
}

impl GSet {
    /// The empty set. The seed has to be another at each start of a node: see [`Random`](crate::node::Random).
    pub fn new(options: Options, seed: u64) -> Self {
        GSet {
            gossip: Gossip::new(Values::default(), options, seed),
        }
    }
}

/// What the messages of a set hold.
#[derive(Deserialize)]
pub struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    element: Option<&'a RawValue>,
    #[serde(borrow)]
    gossip: Option<&'a RawValue>,
    #[serde(borrow)]
    entries: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    fn gossip(&self) -> gossip::Fields<'a> {
        gossip::Fields {
            gossip: self.gossip,
            entries: self.entries,
        }
    }
}

impl Workload for GSet {
    type Fields<'a> = Fields<'a>;

    fn init(&mut self, node_id: &str, peers: &[Name]) {
        self.gossip.init(node_id, peers);
    }

    fn start_wait(&self) -> Duration {
        self.gossip.start_wait()
    }

    fn request(
        &mut self,
        request: &Message<'_, Fields<'_>>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let fields = &request.body.fields;
        match &*request.body.kind {
            "add" => {
                let element = fields.element.ok_or_else(|| Error::missing("element"))?;
                self.gossip.replica_mut().add(element)?;
                context.outbox.reply(request, "add_ok");
            }
            "read" => {
                let answer = context.outbox.reply(request, "read_ok");
                answer.field("value", self.gossip.replica());
            }
            "gossip" => self.gossip.on_gossip(request, fields.gossip(), context)?,
            kind => return Err(Error::not_supported(kind)),
        }
        Ok(())
    }

    fn reply(&mut self, reply: &Message<'_, Fields<'_>>, context: &mut Context<'_>) {
        let fields = reply.body.fields.gossip();
        self.gossip.on_reply(reply, fields, context.now);
    }

    fn deadline(&self) -> Option<Duration> {
        self.gossip.deadline()
    }

    fn wake(&mut self, context: &mut Context<'_>) {
        self.gossip.wake(context);
    }

    fn finish(&mut self, outbox: &mut Outbox) {
        self.gossip.finish(outbox);
    }
}
