//! Which peers may be spoken to.
//!
//! On Maelstrom nodes are started side by side, and each joins the network when it is started. A message to a node that
//! has not joined ends the thread that reads its sender's stdout, so the sender is never heard again. A node therefore
//! holds back what it says to a peer until one of these shows that the peer is there:
//!
//! - a message from that peer has come;
//! - a client has asked for something other than `init`: clients do so when every node has answered `init`;
//! - [`START_WAIT`] has passed since this node's own `init`, the time that Maelstrom gives every node to answer.
//!
//! A node that is started again after a crash can't tell this from its first start and holds back as well. Whatever
//! must reach it soon has to come from its peers, who speak to it now and then by themselves.

use alloc::{borrow::Cow, vec::Vec};
use core::time::Duration;

use crate::protocol::Name;

/// How long after its own `init` a node takes all peers to be there: 10 s, Maelstrom's limit for answering `init`.
pub const START_WAIT: Duration = Duration::from_secs(10);

/// The most bytes that are held back for one peer, give or take one message: 64 KiB. What comes after is lost, as
/// messages on a network may be.
pub const HELD_BYTES_MAX: usize = 64 << 10;

/// The other nodes, until all of them are known to be there; then it is empty.
#[derive(Debug, Default)]
pub(super) struct Peers(Vec<Peer>);

#[derive(Debug)]
struct Peer {
    name: Name,
    is_there: bool,
    held: Vec<u8>,
}

impl Peers {
    pub(super) fn new(node_id: &str, node_ids: &[Cow<'_, str>]) -> Self {
        let others = node_ids.iter().filter(|other| **other != node_id);
        let absent = others.map(|other| Peer {
            name: (&**other).into(),
            is_there: false,
            held: Vec::new(),
        });
        Peers(absent.collect())
    }

    /// Whether all peers are known to be there.
    pub(super) fn are_there(&self) -> bool {
        self.0.is_empty()
    }

    /// A message from `src` has come, which shows that it is there; `out` takes what was held back for it. False if
    /// `src` is no peer.
    pub(super) fn hear(&mut self, src: &str, out: &mut Vec<u8>) -> bool {
        let Some(peer) = self.0.iter_mut().find(|peer| peer.name == *src) else {
            return false;
        };
        peer.is_there = true;
        out.append(&mut peer.held);
        if self.0.iter().all(|peer| peer.is_there) {
            self.0.clear();
        }
        true
    }

    /// All peers are there; `out` takes what was held back.
    pub(super) fn release(&mut self, out: &mut Vec<u8>) {
        for mut peer in self.0.drain(..) {
            out.append(&mut peer.held);
        }
    }

    /// Where a message to `dest` is held back; `None` if it need not be.
    pub(super) fn held(&mut self, dest: &str) -> Option<&mut Vec<u8>> {
        let mut peers = self.0.iter_mut();
        let peer = peers.find(|peer| peer.name == *dest)?;
        (!peer.is_there).then_some(&mut peer.held)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use serde::de::IgnoredAny;

    use super::*;
    use crate::node::{Node, Outbox, Workload};
    use crate::protocol::{Error, Message};

    /// Greets `n1` and `n2` whenever it is woken.
    struct Greeter;

    impl Workload for Greeter {
        type Fields<'a> = IgnoredAny;

        fn request(
            &mut self,
            _request: &Message<'_, IgnoredAny>,
            _now: Duration,
            _outbox: &mut Outbox,
        ) -> Result<(), Error> {
            Ok(())
        }

        fn wake(&mut self, _now: Duration, outbox: &mut Outbox) {
            outbox.send("n1", "hello");
            outbox.send("n2", "hello");
            outbox.send("seq-kv", "read");
        }
    }

    fn receive(node: &mut Node<Greeter>, src: &str, body: &str, now: Duration) {
        let line = alloc::format!(r#"{{"src":"{src}","dest":"n0","body":{{{body}}}}}"#);
        node.receive(&line, now).expect("a good line");
    }

    /// A node that has had its `init` at time zero and has been woken.
    fn greeter() -> Node<Greeter> {
        let mut node = Node::new(Greeter);
        let init = r#""type":"init","node_id":"n0","node_ids":["n0","n1","n2"]"#;
        receive(&mut node, "c0", init, Duration::ZERO);
        node.wake(Duration::ZERO);
        node
    }

    /// To whom the output speaks, which is taken out.
    fn spoken_to(node: &mut Node<Greeter>) -> Vec<String> {
        let output = str::from_utf8(node.output()).expect("UTF-8");
        let messages = output.lines().map(Message::<IgnoredAny>::parse);
        let spoken_to = messages.map(|message| message.expect("a message").dest.into());
        let spoken_to = spoken_to.collect();
        node.written(node.output().len());
        spoken_to
    }

    const NOW: Duration = Duration::from_secs(1);

    #[test]
    fn nothing_is_said_to_peers_that_are_not_known_to_be_there_and_services_are_asked_at_once() {
        let mut node = greeter();
        assert_eq!(spoken_to(&mut node), ["seq-kv"]);
        receive(&mut node, "c1", r#""type":"init""#, NOW);
        node.wake(NOW);
        assert_eq!(spoken_to(&mut node), ["seq-kv"]);
    }

    #[test]
    fn a_peer_that_speaks_is_there_and_shows_nothing_of_others() {
        let mut node = greeter();
        receive(&mut node, "n2", r#""type":"hello""#, NOW);
        assert_eq!(spoken_to(&mut node), ["seq-kv", "n2"]);
        node.wake(NOW);
        assert_eq!(spoken_to(&mut node), ["n2", "seq-kv"]);
        // Once more from a peer that is there already.
        receive(&mut node, "n2", r#""type":"hello""#, NOW);
        assert!(spoken_to(&mut node).is_empty());
    }

    #[test]
    fn a_client_that_asks_for_anything_but_init_shows_that_all_are_there() {
        let mut node = greeter();
        receive(&mut node, "c1", r#""type":"read""#, NOW);
        assert_eq!(spoken_to(&mut node), ["seq-kv", "n1", "n2"]);
    }

    #[test]
    fn the_answer_of_a_service_shows_nothing() {
        let mut node = greeter();
        receive(
            &mut node,
            "seq-kv",
            r#""type":"read_ok","in_reply_to":1"#,
            NOW,
        );
        assert_eq!(spoken_to(&mut node), ["seq-kv"]);
    }

    #[test]
    fn all_are_taken_to_be_there_when_the_wait_is_over() {
        let mut node = greeter();
        assert_eq!(node.deadline(), Some(START_WAIT));
        node.wake(START_WAIT);
        let twice = ["seq-kv", "n1", "n2", "n1", "n2", "seq-kv"];
        assert_eq!(spoken_to(&mut node), twice);
        assert_eq!(node.deadline(), None);
    }

    #[test]
    fn what_is_held_back_has_a_limit() {
        let mut node = greeter();
        for _ in 0..10_000 {
            node.wake(Duration::ZERO);
            spoken_to(&mut node);
        }
        receive(&mut node, "n1", r#""type":"hello""#, NOW);
        let held_bytes = node.output().len();
        assert!((HELD_BYTES_MAX..HELD_BYTES_MAX + 100).contains(&held_bytes));
    }
}
