use alloc::string::String;
use core::fmt::Write;

use serde::de::IgnoredAny;

use crate::node::{Context, Random, Workload};
use crate::protocol::{Error, Message, Name};

/// Gives out ids that no one else gives out, without asking anyone.
///
/// `generate → generate_ok{id}`. An id is the node's own id, the number of this incarnation of the node, and a count:
/// `"n0-9f1c2a70d5b3e846-17"`. The first keeps nodes apart, the second the incarnations of one node: it is 64 random bits, so
/// among a million restarts of a node two share a number with a chance of about one in forty million.
pub struct UniqueIds {
    incarnation: u64,
    /// The id given out last. `count` stands behind its last `-`.
    id: String,
    count: u64,
}

impl UniqueIds {
    /// A source of ids. The seed has to be another at each start of a node: see [`Random`].
    pub fn new(seed: u64) -> Self {
        UniqueIds {
            incarnation: Random::new(seed).next_u64(),
            id: String::new(),
            count: 0,
        }
    }
}

impl Workload for UniqueIds {
    type Fields<'a> = IgnoredAny;

    fn init(&mut self, node_id: &str, _peers: &[Name]) {
        self.id = alloc::format!("{node_id}-{:016x}-", self.incarnation);
    }

    fn request(
        &mut self,
        request: &Message<'_, IgnoredAny>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let body = &request.body;
        if body.kind != "generate" {
            return Err(Error::not_supported(&body.kind));
        }
        self.count += 1;
        let prefix_bytes = self.id.rfind('-').map_or(0, |dash| dash + 1);
        self.id.truncate(prefix_bytes);
        write!(self.id, "{}", self.count).expect("writing to a String never fails");
        let id = self.id.as_str();
        context.outbox.reply(request, "generate_ok").field("id", id);
        Ok(())
    }
}
