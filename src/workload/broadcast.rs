//! Values that every node learns, without a store.
//!
//! `broadcast{message} → broadcast_ok`, `read → read_ok{messages}`, `topology{topology} → topology_ok`. A message is any
//! JSON and is given back as it came. It is acknowledged as soon as this node has it, and spreads by
//! [gossip](crate::gossip): read there how it gets past partitions and restarts.
//!
//! A grow-only set is the same under other names: `add{element} → add_ok`, `read → read_ok{value}`, and no `topology`.
//!
//! A read copies one buffer. A value has at most [`GOSSIP_BYTES_MAX`] bytes and is nested at most 64 deep.

use alloc::{borrow::Cow, collections::BTreeMap, string::String, vec::Vec};
use core::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{canonical, parse};
use super::{at_most, required};
use crate::gossip::{GOSSIP_BYTES_MAX, Gossip, Options, Replica};
use crate::node::{Context, Outbox, Workload};
use crate::protocol::{Encode, Error, Message, Name, Raw, present};

/// All values together have at most this many bytes: 256 MiB.
pub const VALUES_BYTES_MAX: usize = 256 << 20;

/// The broadcast challenge, or a grow-only set.
pub struct Broadcast {
    is_set: bool,
    node: Name,
    gossip: Gossip<Values>,
}

impl Broadcast {
    /// Nothing has been broadcast. The seed has to be another at each start of a node: see
    /// [`Random`](crate::node::Random).
    pub fn new(options: Options, seed: u64) -> Self {
        Broadcast {
            is_set: false,
            node: Name::default(),
            gossip: Gossip::new(Values::default(), options, seed),
        }
    }

    /// The empty set.
    pub fn g_set(options: Options, seed: u64) -> Self {
        Broadcast {
            is_set: true,
            ..Self::new(options, seed)
        }
    }
}

/// What the messages of a broadcast or a set hold.
#[derive(Default, Deserialize)]
pub struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    message: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    element: Option<&'a RawValue>,
    #[serde(borrow)]
    topology: Option<BTreeMap<Cow<'a, str>, Vec<Cow<'a, str>>>>,
    #[serde(borrow)]
    gossip: Option<&'a RawValue>,
    #[serde(borrow)]
    entries: Option<&'a RawValue>,
}

/// A message to this node.
type Received<'a> = Message<'a, Fields<'a>>;

impl Workload for Broadcast {
    type Fields<'a> = Fields<'a>;

    fn init(&mut self, node_id: &str, peers: &[Name]) {
        self.node = node_id.into();
        self.gossip.init(node_id, peers);
    }

    fn request(&mut self, request: &Received<'_>, context: &mut Context<'_>) -> Result<(), Error> {
        let (fields, outbox) = (&request.body.fields, &mut *context.outbox);
        match (&*request.body.kind, self.is_set) {
            ("broadcast", false) => {
                let message = required(fields.message, "message")?;
                self.gossip.replica.add(message)?;
                outbox.reply(request, "broadcast_ok");
            }
            ("add", true) => {
                let element = required(fields.element, "element")?;
                self.gossip.replica.add(element)?;
                outbox.reply(request, "add_ok");
            }
            ("read", is_set) => {
                let name = if is_set { "value" } else { "messages" };
                let answer = outbox.reply(request, "read_ok");
                answer.field(name, &self.gossip.replica);
            }
            ("topology", false) => {
                let topology = required(fields.topology.as_ref(), "topology")?;
                if let Some(neighbours) = topology.get(self.node.as_str()) {
                    self.gossip.offer(neighbours.iter().map(|name| &**name));
                }
                outbox.reply(request, "topology_ok");
            }
            _ => {
                self.gossip
                    .on_message(request, fields.gossip, fields.entries, context)?;
            }
        }
        Ok(())
    }

    fn reply(&mut self, reply: &Received<'_>, context: &mut Context<'_>) {
        let fields = &reply.body.fields;
        // Nobody is told what is wrong with a reply.
        let _ = self
            .gossip
            .on_message(reply, fields.gossip, fields.entries, context);
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

/// A set that grows: JSON values as they were given, compared by what they mean and not by how they are written.
#[derive(Default)]
struct Values {
    /// All values, with a comma behind each: an answer is a copy of it.
    encoded: String,
    /// Where each value's comma stands.
    ends: Vec<usize>,
    positions: BTreeMap<String, u64>,
}

impl Values {
    /// Adds a value, unless it is here already, and gives its position. Fails when it is too large or nested too deep, or
    /// the memory for values is full.
    fn add(&mut self, value: &RawValue) -> Result<u64, Error> {
        let text = value.get();
        at_most("the value has", text.len(), GOSSIP_BYTES_MAX, "bytes")?;
        let key = canonical(value)?;
        if let Some(position) = self.positions.get(&key) {
            return Ok(*position);
        }
        if self.encoded.len() + text.len() >= VALUES_BYTES_MAX {
            let text = "this node's memory for values is full; nothing was added";
            return Err(Error::unavailable(text));
        }
        let position = self.end();
        self.encoded.push_str(text);
        self.ends.push(self.encoded.len());
        self.encoded.push(',');
        self.positions.insert(key, position);
        Ok(position)
    }

    fn value(&self, position: usize) -> Raw<&str> {
        let before = position.checked_sub(1);
        let start = before.map_or(0, |before| self.ends[before] + 1);
        Raw(&self.encoded[start..self.ends[position]])
    }
}

impl Replica for Values {
    fn end(&self) -> u64 {
        self.ends.len() as u64
    }

    fn entries_from(&self, position: u64) -> impl Iterator<Item = (u64, impl Encode)> {
        let positions = position as usize..self.ends.len();
        positions.map(|position| (position as u64, self.value(position)))
    }

    fn merge(&mut self, entries: &RawValue, merged: &mut dyn FnMut(u64)) -> Result<(), Error> {
        for value in parse::<Vec<&RawValue>>(entries, "a list")? {
            merged(self.add(value)?);
        }
        Ok(())
    }
}

/// As a list.
impl Encode for Values {
    fn encode(&self, out: &mut Vec<u8>) {
        let without_last_comma = self.encoded.len().saturating_sub(1);
        out.push(b'[');
        out.extend_from_slice(&self.encoded.as_bytes()[..without_last_comma]);
        out.push(b']');
    }
}
