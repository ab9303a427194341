//! Values that every node learns, without a store.
//!
//! `broadcast{message} → broadcast_ok`, `read → read_ok{messages}`, `topology{topology} → topology_ok`. A message is any
//! JSON and is given back as it came. It is acknowledged as soon as this node has it, and spreads by
//! [gossip]: read there how it gets past partitions and restarts.
//!
//! # Cost
//!
//! With the default topology, a star, a value takes two steps from any node to any other. With 25 nodes, 100 ms from node
//! to node and 50 values a second, the two settings that Fly.io's challenges 3d and 3e ask for are:
//!
//! - `--batch-ms 100`: a value reaches all nodes within 200 to 400 ms, for about 3 messages between servers an operation;
//! - `--batch-ms 700`: within 200 to 1600 ms, for less than one.
//!
//! There is little left to save: at 800, for 0.63 messages, the median comes to the second that 3e allows. Heartbeats,
//! which are sent when nothing is broadcast, make up 0.04 of these messages.
//!
//! A read copies one buffer.
//!
//! # Limits
//!
//! A value has at most [`GOSSIP_BYTES_MAX`](crate::gossip::GOSSIP_BYTES_MAX) bytes and is nested at most 64 deep; all
//! values together have at most [`VALUES_BYTES_MAX`]. In a star, nodes that are cut off from the first node receive nothing
//! from each other until the partition ends, when everything arrives; with `--topology offered` there are more ways from
//! node to node, and more messages. When a node is killed, what no other node has received is lost.

use alloc::{borrow::Cow, collections::BTreeMap, vec::Vec};
use core::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::values::Values;
use crate::gossip::{self, Gossip, Options};
use crate::node::{Context, Outbox, Workload};
use crate::protocol::{Error, Message, Name, present};

pub use super::values::VALUES_BYTES_MAX;

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

impl Workload for Broadcast {
    type Fields<'a> = Fields<'a>;

    fn init(&mut self, node_id: &str, peers: &[Name]) {
        self.node = node_id.into();
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
            "broadcast" => {
                let message = fields.message.ok_or_else(|| Error::missing("message"))?;
                self.gossip.replica_mut().add(message)?;
                context.outbox.reply(request, "broadcast_ok");
            }
            "read" => {
                let answer = context.outbox.reply(request, "read_ok");
                answer.field("messages", self.gossip.replica());
            }
            "topology" => {
                let topology = fields.topology.as_ref();
                let topology = topology.ok_or_else(|| Error::missing("topology"))?;
                if let Some(neighbours) = topology.get(self.node.as_str()) {
                    self.gossip.offer(neighbours.iter().map(|name| &**name));
                }
                context.outbox.reply(request, "topology_ok");
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
