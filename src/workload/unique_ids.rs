use serde::de::IgnoredAny;

use crate::node::{Context, Random, Workload};
use crate::protocol::{Error, Message, Name};

/// Gives out ids that no one else gives out, without asking anyone.
///
/// `generate → generate_ok{id}`. An id is the node's own id, the number of this incarnation of the node, and a count:
/// `"n0-9f1c2a70d5b3e846-17"`. The first keeps nodes apart, the second the incarnations of one node: it is 64 random bits, so
/// among a million restarts of a node two share a number with a chance of about one in forty million.
pub struct UniqueIds {
    node: Name,
    incarnation: u64,
    count: u64,
}

impl UniqueIds {
    /// A source of ids. The seed has to be another at each start of a node: see [`Random`].
    pub fn new(seed: u64) -> Self {
        UniqueIds {
            node: Name::default(),
            incarnation: Random::new(seed).next_u64(),
            count: 0,
        }
    }
}

impl Workload for UniqueIds {
    type Fields<'a> = IgnoredAny;

    fn init(&mut self, node_id: &str, _peers: &[Name]) {
        self.node = node_id.into();
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
        let node = self.node.as_str();
        let id = alloc::format!("{node}-{:016x}-{}", self.incarnation, self.count);
        context.outbox.reply(request, "generate_ok").field("id", id);
        Ok(())
    }
}
