//! Maelstrom nodes as small state machines, and a workbench to test them.
//!
//! A node is a hand-written readiness loop over stdin and stdout, `stdio::run`, around a state machine. Its pending
//! operations on the store are the entries of one slab, in [`kv::Registers`], each a state machine with the states
//! `Reading`, `Casing` and `Done`, [`kv::State`]: a change starts at `Casing`, and reads when it is in doubt. Everything is
//! on one thread, on mio, with no async runtime and next to no allocation a message.
//!
//! # Start reading here
//!
//! The way of `add{delta: 3}` through a `g-counter`, from a line on stdin to the answer:
//!
//! 1. `stdio` reads bytes, cuts them into lines ([`protocol::LineReader`]) and gives each line to
//!    [`Node::receive`](node::Node::receive);
//! 2. the node parses it in one pass ([`protocol::Message`]) and calls the workload,
//!    [`GCounter`](workload::GCounter), whose level, [`regular`](workload::g_counter::regular) if nothing else is chosen,
//!    admits the request ([`node::Requests`]) and puts it into the next batch;
//! 3. the level changes its register by a compare-and-swap, an operation in the slab of [`kv::Registers`];
//! 4. the store's reply comes in as a line, too. [`kv::Registers::on_reply`] moves the operation to its next state, and
//!    gives it back when it is `Done`; where there is no reply in time, [`kv::Registers::wake`] moves it;
//! 5. the level answers every request of the batch: `add_ok` goes to the [`Outbox`](node::Outbox), and `stdio` writes it.
//!
//! # The rooms
//!
//! | room | what it is |
//! |---|---|
//! | [`protocol`] | the wire: message, body, error codes, line framing, encoding; no I/O, no state |
//! | [`node`] | the sans-I/O core: `init`, dispatch, the outbox, requests that wait, pending entries |
//! | [`kv`] | the store's client: registers, and the slab of pending operations on them; exactly once is argued and done here |
//! | [`gossip`] | what spreads from node to node without a store |
//! | [`workload`] | one file or room per challenge; the counter's levels are in [`workload::g_counter`] |
//! | `stdio` | the mio loop over a node's stdin and stdout: the only room of a node with file descriptors (feature `stdio`, on by default) |
//! | `program` | the nodes as programs: names, flags, help (feature `stdio`) |
//! | `workbench` | the `eddy` command: network, services, faults, checkers, reports (feature `workbench`) |
//!
//! Arrows point one way: `program → stdio → node → protocol` and `workload → kv, gossip → node → protocol`; `program` brings
//! the two together, `workbench` may use all of them, and nothing uses `workbench`. The rooms before `stdio` do no I/O,
//! read no clock and draw no randomness, and are `no_std + alloc`: the same compiled state machine runs under the loop,
//! in the simulator (`workbench::sim` has an example that tests a node of one's own), in the model checker and in the
//! benches.
//!
//! # Driving a node
//!
//! Whoever runs a [`Node`](node::Node) calls it in this order, with the time since any fixed moment, which must not go
//! backwards:
//!
//! ```
//! use core::time::Duration;
//! use eddy::node::{Node, Workload};
//!
//! /// One turn of a loop: takes the lines at hand, writes the answers, and gives the time of the next turn.
//! fn turn<W: Workload>(node: &mut Node<W>, lines: &mut Vec<String>, now: Duration, out: &mut Vec<u8>) -> Option<Duration> {
//!     // Time first: what is overdue is answered before something new begins.
//!     if node.deadline().is_some_and(|deadline| deadline <= now) {
//!         node.wake(now);
//!     }
//!     // A node whose output waits takes no more input, so that nothing grows.
//!     while !node.is_full() && !lines.is_empty() {
//!         if let Err(error) = node.receive(&lines.remove(0), now) {
//!             eprintln!("{error}");
//!         }
//!     }
//!     // Any number of bytes may be taken; the rest stays.
//!     out.extend_from_slice(node.output());
//!     node.written(node.output().len());
//!     // Sleep until then, or until there is input. At the end of the input, call `finish` and write the output.
//!     if lines.is_empty() { node.deadline() } else { Some(now) }
//! }
//! # let mut node = Node::new(eddy::workload::Echo);
//! # let mut lines = vec![r#"{"src":"c0","dest":"n0","body":{"type":"init","node_id":"n0","node_ids":["n0"],"msg_id":1}}"#.into()];
//! # let mut out = Vec::new();
//! # turn(&mut node, &mut lines, Duration::ZERO, &mut out);
//! # node.finish();
//! # assert!(lines.is_empty() && out.ends_with(b"\"init_ok\",\"in_reply_to\":1}}\n"));
//! ```
//!
//! As a program, a node is one line:
//!
//! ```no_run
//! # #[cfg(feature = "stdio")]
//! fn main() -> std::process::ExitCode {
//!     eddy::stdio::run(eddy::node::Node::new(eddy::workload::Echo), eddy::protocol::LINE_BYTES_MAX)
//! }
//! # #[cfg(not(feature = "stdio"))]
//! # fn main() {}
//! ```
//!
//! The examples below need `serde` and `serde_json` besides eddy. Where there is no `std`, all three are used with
//! `default-features = false`, and `serde_json` with the feature `alloc`; the other features come with eddy.
//!
//! # A node that answers by itself
//!
//! ```
//! use core::time::Duration;
//! use eddy::node::{Context, Node, Workload};
//! use eddy::protocol::{Error, Message};
//!
//! /// Answers `ping{}` with `ping_ok{count}`.
//! struct Ping {
//!     count: u64,
//! }
//!
//! impl Workload for Ping {
//!     type Fields<'a> = serde::de::IgnoredAny;
//!
//!     fn request(
//!         &mut self,
//!         request: &Message<'_, Self::Fields<'_>>,
//!         context: &mut Context<'_>,
//!     ) -> Result<(), Error> {
//!         if request.body.kind != "ping" {
//!             return Err(Error::not_supported(&request.body.kind));
//!         }
//!         self.count += 1;
//!         context.outbox.reply(request, "ping_ok").field("count", self.count);
//!         Ok(())
//!     }
//! }
//!
//! let mut node = Node::new(Ping { count: 0 });
//! let now = Duration::ZERO;
//! node.receive(r#"{"src":"c0","dest":"n0","body":{"type":"init","node_id":"n0","node_ids":["n0"],"msg_id":1}}"#, now)?;
//! node.receive(r#"{"src":"c1","dest":"n0","body":{"type":"ping","msg_id":1}}"#, now)?;
//! let answer = r#"{"src":"n0","dest":"c1","body":{"type":"ping_ok","in_reply_to":1,"count":1}}"#;
//! assert_eq!(str::from_utf8(node.output()).unwrap().lines().last(), Some(answer));
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! # A node that asks a store and waits for the reply
//!
//! `visit{} → visit_ok{count}` counts the visits of a node, each once, and keeps the count in `lin-kv`, where it survives
//! the node. Visits that come while a change is in flight are counted together by the next one.
//!
//! ```
//! use core::time::Duration;
//! use eddy::kv::{Outcome, Queue, Register, RegisterId, Registers};
//! use eddy::node::{Context, Limits, Node, Outbox, Random, Requests, Workload, earliest};
//! use eddy::protocol::{Encode, Error, Json, Message, Name, present};
//! use serde::{Deserialize, Serialize};
//! use serde_json::value::RawValue;
//!
//! /// What the store holds. Only one node changes this register, so a value shows a change if it is equal to what
//! /// the change wanted. A register that several nodes change has to hold for each of them the id of its last change that
//! /// was applied, an id that no incarnation uses again (`Random::sequence_start`), and the name of the node that wrote the
//! /// value, whose id `shows` then looks for. The last change alone is not enough: the next node's hides it, and its node
//! /// would take it for lost and make it again.
//! #[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
//! struct Visits {
//!     count: u64,
//!     version: u64,
//! }
//!
//! impl Encode for Visits {
//!     fn encode(&self, out: &mut Vec<u8>) {
//!         Json(self).encode(out);
//!     }
//! }
//!
//! impl Register for Visits {
//!     fn decode(&mut self, json: &str) -> Result<(), serde_json::Error> {
//!         *self = serde_json::from_str(json)?;
//!         Ok(())
//!     }
//!
//!     fn version(&self) -> u64 {
//!         self.version
//!     }
//!
//!     fn shows(&self, wanted: &Self) -> bool {
//!         self == wanted
//!     }
//! }
//!
//! struct Visited {
//!     /// Visits that wait for their answers.
//!     requests: Requests<()>,
//!     /// The same, in the order in which they are counted.
//!     queue: Queue<()>,
//!     registers: Registers<Visits, ()>,
//!     register: Option<RegisterId>,
//! }
//!
//! impl Visited {
//!     /// The seed must be another for each incarnation of the node: `eddy::stdio::random_seed()` in a program.
//!     fn new(seed: u64) -> Self {
//!         let (limits, mut random) = (Limits::default(), Random::new(seed));
//!         Visited {
//!             requests: Requests::new(&limits, &mut random),
//!             queue: Queue::default(),
//!             registers: Registers::new("lin-kv", &limits, &mut random),
//!             register: None,
//!         }
//!     }
//!
//!     /// Counts the visits that wait, if no change is in flight. An incarnation that knows nothing yet reads first.
//!     fn advance(&mut self, context: &mut Context<'_>) {
//!         let register = self.register.expect("init comes first");
//!         if !self.queue.is_ready() {
//!             return;
//!         }
//!         if self.registers.known(register).is_none() {
//!             return self.registers.read(register, context);
//!         }
//!         // All that wait, however many, and whatever they are.
//!         self.queue.start_batch(usize::MAX, |_request, ()| true);
//!         let more = self.queue.in_flight().count() as u64;
//!         let count = |visits: &mut Visits| {
//!             visits.count += more;
//!             visits.version += 1;
//!         };
//!         self.registers.change(register, count, context);
//!     }
//! }
//!
//! #[derive(Default, Deserialize)]
//! struct Fields<'a> {
//!     /// In replies of the store. A store may hold `null`, which is a value too.
//!     #[serde(borrow, default, deserialize_with = "present")]
//!     value: Option<&'a RawValue>,
//! }
//!
//! impl Workload for Visited {
//!     type Fields<'a> = Fields<'a>;
//!
//!     fn init(&mut self, node_id: &str, _peers: &[Name]) {
//!         let key = format!("visits/{node_id}");
//!         self.register = Some(self.registers.open(&key, ()));
//!     }
//!
//!     fn request(&mut self, request: &Message<'_, Fields<'_>>, context: &mut Context<'_>) -> Result<(), Error> {
//!         if request.body.kind != "visit" {
//!             return Err(Error::not_supported(&request.body.kind));
//!         }
//!         let id = self.requests.admit(request, (), context.now)?;
//!         self.queue.push(id, ());
//!         self.advance(context);
//!         Ok(())
//!     }
//!
//!     fn reply(&mut self, reply: &Message<'_, Fields<'_>>, context: &mut Context<'_>) {
//!         let register = self.register.expect("init comes first");
//!         let Some(done) = self.registers.on_reply(reply, reply.body.fields.value, context) else {
//!             return;
//!         };
//!         match done.outcome {
//!             // No other node changes this register, so this is what the change has left.
//!             Outcome::Applied => {
//!                 let visits = self.registers.known(register).expect("it was changed");
//!                 for request in self.queue.end_batch().filter_map(|(id, ())| self.requests.take(id)) {
//!                     request.answer("visit_ok", context.outbox).field("count", visits.count);
//!                 }
//!             }
//!             // Certainly not applied: these visits go into the next change.
//!             Outcome::Lost => self.queue.return_batch(),
//!             // There is a value now to start a change from.
//!             Outcome::Read => {}
//!             // The register holds something else than visits. Only what is sent once is refused.
//!             Outcome::Unexpected | Outcome::Refused(_) => {
//!                 let why = self.registers.unexpected_value(register);
//!                 for (id, given_up) in self.queue.withdraw_all() {
//!                     self.requests.fail(id, &given_up.error(&why), context.outbox);
//!                 }
//!             }
//!         }
//!         self.advance(context);
//!     }
//!
//!     fn deadline(&self) -> Option<Duration> {
//!         earliest([self.requests.deadline(), self.registers.deadline()])
//!     }
//!
//!     /// Error 11 for visits that were in no change, else 0.
//!     fn give_up(&mut self, now: Duration, why: &str, outbox: &mut Outbox) {
//!         for (id, request) in self.requests.expired(now) {
//!             request.fail(&self.queue.withdraw(id).error(why), outbox);
//!         }
//!     }
//!
//!     fn wake(&mut self, context: &mut Context<'_>) {
//!         if let Some(register) = self.register && self.requests.is_empty() {
//!             self.registers.stop_reading(register);
//!         }
//!         self.registers.wake(context);
//!     }
//! }
//!
//! let mut node = Node::new(Visited::new(1));
//! let now = Duration::ZERO;
//! node.receive(r#"{"src":"c0","dest":"n0","body":{"type":"init","node_id":"n0","node_ids":["n0"],"msg_id":1}}"#, now)?;
//! node.receive(r#"{"src":"c1","dest":"n0","body":{"type":"visit","msg_id":1}}"#, now)?;
//! let output = str::from_utf8(node.output()).unwrap();
//! assert!(output.lines().last().unwrap().contains(r#""dest":"lin-kv","body":{"type":"read","key":"visits/n0""#));
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! # Features
//!
//! - `stdio` (default): the loop and the node binaries; needs `std` and mio.
//! - `workbench`: the `eddy` command; brings `stdio` along.
//! - without features: `no_std + alloc`, with serde, serde_json, slab and smallvec.

#![cfg_attr(not(feature = "stdio"), no_std)]

extern crate alloc;

pub mod gossip;
pub mod kv;
pub mod node;
#[cfg(feature = "stdio")]
pub mod program;
pub mod protocol;
#[cfg(feature = "stdio")]
pub mod stdio;
#[cfg(feature = "workbench")]
pub mod workbench;
pub mod workload;
