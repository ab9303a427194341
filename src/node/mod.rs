//! The sans-I/O core: a node is a state machine between lines and bytes.
//!
//! Lines and the time come in ([`Node::receive`], [`Node::wake`]); bytes ([`Node::output`]) and the time at which the
//! node wants to be woken ([`Node::deadline`]) go out. Time is a [`Duration`] since any fixed moment; it must not go backwards.
//!
//! The node does the `init` handshake and answers what is malformed, unknown or too early; everything else it hands
//! to a [`Workload`]. What a workload has under way it keeps in [`Pending`].
//!
//! # When a node begins to send
//!
//! On Maelstrom nodes are started side by side, and each joins the network when it is started. A message to a node that
//! has not joined ends the thread that reads its sender's stdout: nothing that the sender writes later is delivered. A
//! [`Node`] therefore only answers `init` until one of these shows that all nodes have joined:
//!
//! - It has received another message. Clients send one only when all nodes have answered `init`, and other nodes only
//!   when they know that all have joined.
//! - [`START_WAIT`] has passed since its own `init`. That is how long Maelstrom waits for each node's answer.
//!
//! Until then no method of a [`Workload`] is called after [`Workload::init`], so a workload can't send too early. A node
//! that is started again after a crash can't tell this from its first start and waits as well. It begins to send when a
//! client or another node sends it something, so nodes that have to be found again after a crash must be sent a message
//! now and then: see [`gossip`](crate::gossip).

mod outbox;
mod pending;
mod random;
mod requests;

use alloc::{borrow::Cow, collections::BinaryHeap, vec::Vec};
use core::time::Duration;

use serde::Deserialize;

use crate::protocol::{Error, Message, Name};

pub use outbox::{OUTPUT_BYTES_MAX, Outbox};
pub use pending::Pending;
pub use random::{ID_BITS, Random};
pub use requests::{GivenUp, Limits, REQUESTS_MAX, Request, Requests};

/// What a handler works with, beside the message.
pub struct Context<'a> {
    /// The time.
    pub now: Duration,
    /// What the node says.
    pub outbox: &'a mut Outbox,
}

/// How long after its `init` a node takes all others to have joined the network: 10 s, as long as Maelstrom waits for
/// the answer to an `init`.
pub const START_WAIT: Duration = Duration::from_secs(10);

/// The earliest of the deadlines that there are.
pub fn earliest<const N: usize>(deadlines: [Option<Duration>; N]) -> Option<Duration> {
    deadlines.into_iter().flatten().min()
}

/// What a node does: one implementation a challenge.
#[allow(unused_variables, reason = "the implementations use them")]
pub trait Workload {
    /// The fields of a body that this workload knows, for any type of message; absent ones must be allowed. The default is
    /// that all are absent. [`serde::de::IgnoredAny`] if there are none.
    type Fields<'a>: Deserialize<'a> + Default;

    /// The node has learnt its own id and those of all other nodes, each once and in the same order everywhere. Called
    /// once, before any message.
    fn init(&mut self, node_id: &str, peers: &[Name]) {}

    /// A request has come, from a client or from another node.
    ///
    /// # Errors
    ///
    /// The error is sent to whoever asked. It must be true: no definite error for what may have been applied.
    fn request(
        &mut self,
        request: &Message<'_, Self::Fields<'_>>,
        context: &mut Context<'_>,
    ) -> Result<(), Error>;

    /// A reply has come; it may be late, doubled, or to nothing.
    fn reply(&mut self, reply: &Message<'_, Self::Fields<'_>>, context: &mut Context<'_>) {}

    /// When [`wake`](Self::wake) is wanted at the latest.
    ///
    /// Right after `init` it may be a time in the past: the node calls `wake` as soon as it begins to send.
    fn deadline(&self) -> Option<Duration> {
        None
    }

    /// Answers the requests whose time is up, for the reason `why`. Comes before each [`wake`](Self::wake), and when the input
    /// has ended and no reply can come any more: then the time of every request is up, and `now` is [`Duration::MAX`].
    fn give_up(&mut self, now: Duration, why: &str, outbox: &mut Outbox) {}

    /// Time has passed, perhaps not yet up to the deadline.
    fn wake(&mut self, context: &mut Context<'_>) {}

    /// The input has ended: say what is still to be said.
    fn finish(&mut self, outbox: &mut Outbox) {}
}

/// A node that runs a workload. The [crate's documentation](crate#driving-a-node) has examples.
#[derive(Debug)]
pub struct Node<W> {
    workload: W,
    outbox: Outbox,
    start_wait: Duration,
    /// When this node begins to send if it receives nothing before; none once it has begun.
    silent_until: Option<Duration>,
}

/// What an `init` says beyond what every message does.
#[derive(Default, Deserialize)]
struct Init<'a> {
    #[serde(borrow)]
    node_id: Cow<'a, str>,
    #[serde(borrow)]
    node_ids: Vec<Cow<'a, str>>,
}

impl<W: Workload> Node<W> {
    /// A node that waits for its `init`.
    pub fn new(workload: W) -> Self {
        Node {
            workload,
            outbox: Outbox::new(),
            start_wait: START_WAIT,
            silent_until: None,
        }
    }

    /// The same node with another wait than [`START_WAIT`].
    pub fn with_start_wait(self, start_wait: Duration) -> Self {
        Node { start_wait, ..self }
    }

    /// Takes one line of input.
    ///
    /// # Errors
    ///
    /// Why the line is no message, if it doesn't say whom to answer. The node goes on as if it had not come.
    pub fn receive(&mut self, line: &str, now: Duration) -> Result<(), serde_json::Error> {
        let mut message = Message::<W::Fields<'_>>::default();
        if let Err(reason) = message.read(line) {
            let Some(request) = Message::unanswered(line) else {
                return Err(reason);
            };
            let text = alloc::format!("malformed request: {reason}");
            self.outbox.refuse(&request, &Error::malformed(text));
            return Ok(());
        }
        let body = &message.body;
        let result = if body.kind == "init" {
            self.init(line, &message, now)
        } else if !self.outbox.is_initialised() {
            Err(Error::unavailable("this node has had no init yet"))
        } else {
            self.silent_until = None;
            let context = &mut self.outbox.at(now);
            if body.in_reply_to.is_some() {
                self.workload.reply(&message, context);
                Ok(())
            } else if body.kind.is_empty() {
                Err(Error::missing("type"))
            } else {
                self.workload.request(&message, context)
            }
        };
        if let Err(error) = result {
            self.outbox.refuse(&message, &error);
        }
        Ok(())
    }

    /// A second `init` changes nothing and is answered: the first answer may have been lost.
    fn init(
        &mut self,
        line: &str,
        request: &Message<'_, W::Fields<'_>>,
        now: Duration,
    ) -> Result<(), Error> {
        let init = Message::<Init>::parse(line)
            .map_err(|error| Error::malformed(alloc::format!("malformed init: {error}")))?;
        let Init { node_id, node_ids } = &init.body.fields;
        if node_id.is_empty() {
            return Err(Error::malformed("malformed init: node_id is empty"));
        }
        if !self.outbox.is_initialised() {
            self.outbox.init(node_id);
            self.silent_until = Some(now.saturating_add(self.start_wait));
            let peers = node_ids.iter().filter(|other| *other != node_id);
            // A heap sorts with less code than `sort` brings along.
            let peers: BinaryHeap<Name> = peers.map(|peer| (&**peer).into()).collect();
            let mut peers = peers.into_sorted_vec();
            peers.dedup();
            self.workload.init(node_id, &peers);
        }
        self.outbox.reply(request, "init_ok");
        Ok(())
    }

    /// When [`wake`](Self::wake) is wanted at the latest; `None` if nothing waits for a time to come. It may be the time of
    /// something that has ended meanwhile: then nothing comes of the call but a later deadline, or none.
    pub fn deadline(&self) -> Option<Duration> {
        self.silent_until.or_else(|| self.workload.deadline())
    }

    /// Says that time has passed.
    pub fn wake(&mut self, now: Duration) {
        if self.silent_until.is_some_and(|until| now < until) {
            return;
        }
        self.silent_until = None;
        self.workload
            .give_up(now, "no reply in time", &mut self.outbox);
        self.workload.wake(&mut self.outbox.at(now));
    }

    /// Says that no input will come any more. What is under way is answered as truly as it can be. After this, only the output
    /// is taken.
    pub fn finish(&mut self) {
        if self.silent_until.is_none() {
            let why = "the node's input has ended, so no reply can come";
            self.workload.give_up(Duration::MAX, why, &mut self.outbox);
            self.workload.finish(&mut self.outbox);
        }
    }

    /// The bytes that wait to be written: whole lines, but for one of which a part has been [`written`](Self::written).
    pub fn output(&self) -> &[u8] {
        self.outbox.bytes()
    }

    /// Says that the first `count` bytes of the output have been written. It is a bug to name more than there are.
    pub fn written(&mut self, count: usize) {
        self.outbox.written(count);
    }

    /// Whether so much output waits that no more input should be given, see [`OUTPUT_BYTES_MAX`].
    pub fn is_full(&self) -> bool {
        self.outbox.bytes().len() >= OUTPUT_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    /// Greets `n1` whenever it can, and for the last time when the input ends.
    struct Greeter;

    impl Workload for Greeter {
        type Fields<'a> = IgnoredAny;

        fn request(
            &mut self,
            _request: &Message<'_, IgnoredAny>,
            _context: &mut Context<'_>,
        ) -> Result<(), Error> {
            Ok(())
        }

        fn deadline(&self) -> Option<Duration> {
            Some(Duration::ZERO)
        }

        fn wake(&mut self, context: &mut Context<'_>) {
            context.outbox.send("n1", "hello");
        }

        fn finish(&mut self, outbox: &mut Outbox) {
            outbox.send("n1", "farewell");
        }
    }

    const NOW: Duration = Duration::from_secs(1);

    const INIT: &str = r#""type":"init","node_id":"n0","node_ids":["n0","n1"],"msg_id":1"#;

    fn receive(node: &mut Node<Greeter>, src: &str, body: &str, now: Duration) {
        let line = alloc::format!(r#"{{"src":"{src}","dest":"n0","body":{{{body}}}}}"#);
        node.receive(&line, now).expect("a message");
    }

    #[test]
    fn a_node_says_nothing_by_itself_until_a_message_has_come_after_init_or_the_wait_is_over() {
        let mut node = Node::new(Greeter);
        let begins_at = NOW + START_WAIT;
        receive(&mut node, "n1", r#""type":"gossip""#, NOW);
        for now in [NOW, 2 * NOW] {
            receive(&mut node, "c0", INIT, now);
            assert!(node.outbox.take_output().contains("init_ok"));
            assert_eq!(node.deadline(), Some(begins_at));
        }
        node.wake(begins_at - Duration::from_nanos(1));
        assert_eq!(node.deadline(), Some(begins_at));
        node.finish();
        assert_eq!(node.outbox.take_output(), "");
        node.wake(begins_at);
        assert!(node.outbox.take_output().contains("hello"));
        assert_eq!(node.deadline(), Some(Duration::ZERO));
    }

    #[test]
    fn a_message_from_anyone_shows_that_all_have_joined() {
        for (src, body) in [
            ("c1", r#""type":"read""#),
            ("n1", r#""type":"gossip""#),
            ("seq-kv", r#""type":"read_ok","in_reply_to":7"#),
        ] {
            let mut node = Node::new(Greeter);
            receive(&mut node, "c0", INIT, Duration::ZERO);
            receive(&mut node, src, body, NOW);
            assert_eq!(node.deadline(), Some(Duration::ZERO), "{src}");
            node.wake(NOW);
            node.finish();
            let said = node.outbox.take_output();
            assert!(
                said.contains("hello") && said.contains("farewell"),
                "{said}"
            );
        }
    }
}
