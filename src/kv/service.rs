use serde_json::value::RawValue;

use crate::node::Outbox;
use crate::protocol::{Encode, ErrorCode, Message, Name, Raw};

/// A key-value service: `seq-kv`, `lin-kv` or another that speaks the same messages.
#[derive(Debug)]
pub(super) struct Service(pub(super) Name);

/// What a service answered.
pub(super) enum Answer<'a> {
    /// The value of the key that was read.
    Value(&'a RawValue),
    /// The compare-and-swap was applied.
    CasOk,
    /// The key was written.
    Written,
    /// A definite error says that this copy of the request was not applied.
    Error(ErrorCode),
}

impl Service {
    pub(super) fn read(&self, key: &str, id: i64, outbox: &mut Outbox) {
        let request = outbox.send(&self.0, "read");
        request.field("key", Raw(key)).field("msg_id", id);
    }

    /// Sets a key, whatever it holds.
    pub(super) fn write(&self, key: &str, value: &dyn Encode, id: i64, outbox: &mut Outbox) {
        let request = outbox.send(&self.0, "write").field("key", Raw(key));
        request.field("value", value).field("msg_id", id);
    }

    /// Sets a key to `to` if it holds `from`, or, with `create`, if it isn't there.
    pub(super) fn cas(
        &self,
        key: &str,
        (from, to): (&dyn Encode, &dyn Encode),
        create: bool,
        id: i64,
        outbox: &mut Outbox,
    ) {
        let request = outbox.send(&self.0, "cas").field("key", Raw(key));
        let request = request.field("from", from).field("to", to);
        let request = match create {
            true => request.field("create_if_not_exists", true),
            false => request,
        };
        request.field("msg_id", id);
    }

    /// Reads an answer, if this is one and comes from this service. `value` is its field of that name.
    pub(super) fn answer<'a, F>(
        &self,
        reply: &Message<'_, F>,
        value: Option<&'a RawValue>,
    ) -> Option<Answer<'a>> {
        if self.0 != *reply.src {
            return None;
        }
        Some(match (&*reply.body.kind, value) {
            ("read_ok", Some(value)) => Answer::Value(value),
            ("cas_ok", _) => Answer::CasOk,
            ("write_ok", _) => Answer::Written,
            ("error", _) => Answer::Error(ErrorCode(reply.body.code?)),
            _ => return None,
        })
    }
}
