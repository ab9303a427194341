use alloc::vec::Vec;
use core::{mem, time::Duration};

use super::Context;
use crate::protocol::{Encode, Error, Message, MessageId, MessageWriter, Sender};

/// When this much output waits, a node takes no more input: 256 KiB.
///
/// What a single message, or the time that has come, makes a node say comes on top.
pub const OUTPUT_BYTES_MAX: usize = 256 << 10;

/// The most bytes of an error's text that are sent: it may quote the input, which may have a mebibyte.
const ERROR_TEXT_BYTES_MAX: usize = 500;

/// The messages that wait to be written, as bytes.
#[derive(Debug)]
pub struct Outbox {
    /// This node, once its name is known.
    sender: Option<Sender>,
    bytes: Vec<u8>,
    /// `bytes[..written]` is out already.
    written: usize,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Outbox {
            sender: None,
            bytes: Vec::with_capacity(OUTPUT_BYTES_MAX),
            written: 0,
        }
    }

    pub(super) fn init(&mut self, node_id: &str) {
        self.sender = Some(Sender::new(node_id));
    }

    pub(super) fn is_initialised(&self) -> bool {
        self.sender.is_some()
    }

    /// Begins a message to `dest`. It is complete when the writer is dropped.
    // Inlined for the reason that `MessageWriter` is.
    #[inline(always)]
    pub fn send(&mut self, dest: &(impl Encode + ?Sized), kind: &'static str) -> MessageWriter<'_> {
        let sender = self.sender.as_ref();
        let sender = sender.expect("a workload hears nothing, so says nothing, before init");
        MessageWriter::new(&mut self.bytes, sender, dest, kind)
    }

    /// Begins the answer to a request, a message of type `kind`. Nothing is written if the request had no `msg_id`:
    /// nobody waits.
    #[inline(always)]
    pub fn reply<F>(&mut self, request: &Message<'_, F>, kind: &'static str) -> MessageWriter<'_> {
        self.answer(&request.src, request.body.msg_id, kind)
    }

    /// The same for a request of which no more is left than who sent it under which id.
    #[inline(always)]
    pub(super) fn answer(
        &mut self,
        dest: &(impl Encode + ?Sized),
        msg_id: Option<MessageId<'_>>,
        kind: &'static str,
    ) -> MessageWriter<'_> {
        match msg_id {
            Some(msg_id) => self.send(dest, kind).field("in_reply_to", msg_id),
            None => MessageWriter::silent(),
        }
    }

    /// Answers a request with an error, if it has a `msg_id`. A text beyond 500 bytes is cut off.
    pub(super) fn error(&mut self, dest: &str, msg_id: Option<MessageId<'_>>, error: &Error) {
        let text_bytes = error.text.floor_char_boundary(ERROR_TEXT_BYTES_MAX);
        self.answer(dest, msg_id, "error")
            .field("code", error.code.0)
            .field("text", &error.text[..text_bytes]);
    }

    /// Answers a request with an error. Before `init` it speaks under the name by which the node was addressed.
    pub(super) fn refuse<F>(&mut self, request: &Message<'_, F>, error: &Error) {
        let is_early = !self.is_initialised();
        if is_early && request.dest.is_empty() {
            return;
        }
        let addressed = || Sender::new(&request.dest);
        self.sender.get_or_insert_with(addressed);
        self.error(&request.src, request.body.msg_id, error);
        self.sender.take_if(|_| is_early);
    }

    /// What a handler works with at that time.
    pub(crate) fn at(&mut self, now: Duration) -> Context<'_> {
        Context { now, outbox: self }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    pub(super) fn written(&mut self, count: usize) {
        self.written += count;
        assert!(
            self.written <= self.bytes.len(),
            "more bytes written than there were"
        );
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.written = 0;
        } else if self.written >= OUTPUT_BYTES_MAX {
            self.drop_written();
        }
    }

    /// Keeps the outbox from growing where something always waits.
    #[cold]
    fn drop_written(&mut self) {
        self.bytes.drain(..mem::take(&mut self.written));
    }
}

#[cfg(test)]
impl Outbox {
    /// The outbox of node `n0`.
    pub(crate) fn of_n0() -> Self {
        let mut outbox = Outbox::new();
        outbox.init("n0");
        outbox
    }

    /// Whether nothing waits to be written.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// Takes out what waits to be written.
    pub(crate) fn take_output(&mut self) -> alloc::string::String {
        let output = str::from_utf8(self.bytes()).expect("messages are UTF-8");
        let output = output.into();
        self.written(self.bytes().len());
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outbox_in_which_something_always_waits_gives_all_bytes_and_does_not_grow() {
        let (mut outbox, mut whole) = (Outbox::of_n0(), Outbox::of_n0());
        let (mut taken, mut expected) = (String::new(), String::new());
        for round in 0..20_000u64 {
            for outbox in [&mut outbox, &mut whole] {
                outbox.send("n1", "hello").field("round", round);
            }
            let count = outbox.bytes().len() - 1 - (round % 7) as usize;
            taken += str::from_utf8(&outbox.bytes()[..count]).expect("messages are UTF-8");
            outbox.written(count);
            assert!(outbox.bytes.len() < OUTPUT_BYTES_MAX + 1000);
            expected += &whole.take_output();
        }
        taken += &outbox.take_output();
        assert_eq!(taken, expected);
    }
}
