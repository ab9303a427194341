use alloc::vec::Vec;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::protocol::{Encode, Error, MessageWriter, Object};

/// The field `gossip`. Positions are those of the sender's own entries, but for `received`.
#[derive(Deserialize)]
pub(super) struct Head {
    /// The sender's incarnation.
    pub(super) incarnation: u64,
    /// The entries are all that the receiver lacks from this position on. 0 if there are none.
    #[serde(default)]
    pub(super) after: u64,
    /// A receiver that had all entries before `after` now has all before this position. 0 if there are no entries.
    #[serde(default)]
    pub(super) end: u64,
    /// The receiver's incarnation, as far as the sender knows.
    pub(super) peer: Option<u64>,
    /// The sender has received all entries of that incarnation before this position.
    #[serde(default)]
    pub(super) received: u64,
}

impl Head {
    /// Decodes the field of a message that is known to come from a node. In any other message it is an unknown field,
    /// which is ignored whatever it holds.
    ///
    /// # Errors
    ///
    /// When there is none or it is malformed.
    pub(super) fn decode(head: Option<&RawValue>) -> Result<Self, Error> {
        let head = head.ok_or_else(|| Error::missing("gossip"))?;
        serde_json::from_str(head.get())
            .map_err(|error| Error::malformed(alloc::format!("malformed gossip: {error}")))
    }

    /// Adds this head and these entries, which are separated by commas, to a message.
    pub(super) fn write(&self, entries: &[u8], message: MessageWriter<'_>) {
        let message = message.field("gossip", self);
        if !entries.is_empty() {
            message.field("entries", List(entries));
        }
    }
}

// Flat, as the entries of a counter are: serde_json takes memory to pass over JSON in JSON in JSON.
impl Encode for Head {
    fn encode(&self, out: &mut Vec<u8>) {
        let (has_entries, peer) = (self.end > 0, self.peer.unwrap_or_default());
        let fields = [
            (true, "incarnation", self.incarnation),
            (has_entries, "after", self.after),
            (has_entries, "end", self.end),
            (self.peer.is_some(), "peer", peer),
            (self.peer.is_some(), "received", self.received),
        ];
        let fields = fields.iter().filter(|(is_known, ..)| *is_known);
        Object(fields.map(|(_, name, value)| (*name, *value))).encode(out);
    }
}

struct List<'a>(&'a [u8]);

impl Encode for List<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        out.extend_from_slice(self.0);
        out.push(b']');
    }
}
