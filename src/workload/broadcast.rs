//! Values that every node learns, without a store.
//!
//! `broadcast{message} → broadcast_ok`, `read → read_ok{messages}`, `topology{topology} → topology_ok`. A message is any
//! JSON and is given back as it came. It is acknowledged as soon as this node has it, and spreads by
//! [gossip](super::gossip): read there how it gets past partitions and restarts.
//!
//! # Cost
//!
//! With the default topology, a star, a value takes two steps from anyone to everyone. With 25 nodes, 100 ms from node
//! to node and 50 values a second, the two settings that Fly.io's challenges 3d and 3e ask for are:
//!
//! - `--batch-ms 100`: everywhere within 200 to 400 ms, for about 3 messages between servers an operation;
//! - `--batch-ms 700`: everywhere within 200 to 1600 ms, for less than one.
//!
//! That is about as low as it goes: at 800, for 0.63 messages, the median comes to the second that 3e allows.
//!
//! A read copies one buffer.
//!
//! # Limits
//!
//! A value has at most [`GOSSIP_BYTES_MAX`](super::gossip::GOSSIP_BYTES_MAX) bytes and is nested at most 64 deep; all
//! values together have at most [`VALUES_BYTES_MAX`](super::gossip::VALUES_BYTES_MAX). In a star, nodes that are cut off
//! from the first node hear nothing from each other until the partition ends, when everything arrives; `--topology
//! offered` buys more ways with more messages. A node that is killed takes with it what no other node has heard yet.

use alloc::{borrow::Cow, collections::BTreeMap, vec::Vec};
use core::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::gossip::{Gossip, Options, Told, Values};
use crate::node::{Outbox, Workload};
use crate::protocol::{Error, Message, Name, present};

/// The broadcast challenge.
pub struct Broadcast {
    node: Name,
    gossip: Gossip<Values>,
}

impl Broadcast {
    /// Nothing has been broadcast. The seed has to be another at each start of a node: see
    /// [`Random`](crate::node::Random).
    pub fn new(options: Options, seed: u64) -> Self {
        Broadcast {
            node: Name::default(),
            gossip: Gossip::new(Values::default(), options, seed),
        }
    }
}

/// What the messages of a broadcast hold.
#[derive(Deserialize)]
pub struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    topology: Option<BTreeMap<Cow<'a, str>, Vec<Cow<'a, str>>>>,
    #[serde(borrow)]
    gossip: Option<Told<'a>>,
}

impl Workload for Broadcast {
    type Fields<'a> = Fields<'a>;

    fn init(&mut self, node_id: &str, node_ids: &[Cow<'_, str>]) {
        self.node = node_id.into();
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
            "broadcast" => {
                let message = body
                    .fields
                    .message
                    .ok_or_else(|| Error::missing("message"))?;
                self.gossip.add(message)?;
                outbox.reply(src, body.msg_id, "broadcast_ok");
            }
            "read" => {
                outbox
                    .reply(src, body.msg_id, "read_ok")
                    .field("messages", self.gossip.replica());
            }
            "topology" => {
                let topology = body.fields.topology.as_ref();
                let topology = topology.ok_or_else(|| Error::missing("topology"))?;
                if let Some(neighbours) = topology.get(self.node.as_str()) {
                    self.gossip.offer(neighbours.iter().map(|name| &**name));
                }
                outbox.reply(src, body.msg_id, "topology_ok");
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
