//! A set that only grows, without a store.
//!
//! `add{element} → add_ok`, `read → read_ok{value}`. It is a [broadcast](super::broadcast) of elements under other names:
//! the same [gossip](super::gossip), the same cost and the same limits. A read holds everything that was added at this
//! node, and sooner or later what was added anywhere.

use alloc::borrow::Cow;
use core::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::gossip::{Gossip, Options, Told, Values};
use crate::node::{Outbox, Workload};
use crate::protocol::{Error, Message, present};

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
    gossip: Option<Told<'a>>,
}

impl Workload for GSet {
    type Fields<'a> = Fields<'a>;

    fn init(&mut self, node_id: &str, node_ids: &[Cow<'_, str>]) {
        self.gossip.init(node_id, node_ids);
    }

    fn start_wait(&self) -> Duration {
        self.gossip.start_wait()
    }

    fn request(
        &mut self,
        request: &Message<'_, Fields<'_>>,
        now: Duration,
        outbox: &mut Outbox,
    ) -> Result<(), Error> {
        let Message { src, body, .. } = request;
        match &*body.kind {
            "add" => {
                let element = body
                    .fields
                    .element
                    .ok_or_else(|| Error::missing("element"))?;
                self.gossip.add(element)?;
                outbox.reply(src, body.msg_id, "add_ok");
            }
            "read" => {
                outbox
                    .reply(src, body.msg_id, "read_ok")
                    .field("value", self.gossip.replica());
            }
            "gossip" => self.gossip.hear(src, body.fields.gossip.as_ref(), now)?,
            kind => return Err(Error::not_supported(kind)),
        }
        self.gossip.advance(now, outbox);
        Ok(())
    }

    fn deadline(&self) -> Option<Duration> {
        self.gossip.deadline()
    }

    fn wake(&mut self, now: Duration, outbox: &mut Outbox) {
        self.gossip.advance(now, outbox);
    }

    fn finish(&mut self, outbox: &mut Outbox) {
        self.gossip.finish(outbox);
    }
}
