//! Write [Maelstrom](https://github.com/jepsen-io/maelstrom) nodes as small state machines, and embed them where you
//! like: in the loop that comes along, in a simulator, or where there is neither `std` nor an operating system.
//!
//! # The house
//!
//! | room | what it is |
//! |---|---|
//! | [`protocol`] | the wire: lines, messages, error codes, encoding; no I/O, no state |
//! | [`node`] | the sans-I/O core: the init handshake, dispatch, pending operations, the outbox |
//! | [`kv`] | a client of Maelstrom's key-value services, and how an unsettled change is settled |
//! | [`workload`] | what nodes do: one room or file a challenge; [`workload::g_counter`] is the heart |
//! | `stdio` | the mio loop: the only room with file descriptors (feature `stdio`, on by default) |
//! | `program` | the nodes as programs: names, flags, help (feature `stdio`) |
//! | `workbench` | the `eddy` command: network, services, faults, checks (feature `workbench`) |
//!
//! Arrows point one way: `stdio → node → protocol`, `workload → kv → node → protocol`; `program` brings the two
//! together, `workbench` may use all of them, and none uses `workbench`. The rooms before `stdio` do no I/O, read no
//! clock and draw no randomness: lines and the time come in, bytes and the next deadline go out. So the state machine
//! that the binaries run is the one that is simulated, tested and measured.
//!
//! # A node
//!
//! ```
//! use core::time::Duration;
//! use eddy::node::{Node, Outbox, Workload};
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
//!         _now: Duration,
//!         outbox: &mut Outbox,
//!     ) -> Result<(), Error> {
//!         if request.body.kind != "ping" {
//!             return Err(Error::not_supported(&request.body.kind));
//!         }
//!         self.count += 1;
//!         outbox.reply(&request.src, request.body.msg_id, "ping_ok").field("count", self.count);
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
//! # Ok::<(), eddy::node::BadLine>(())
//! ```
//!
//! As a program it is `eddy::stdio::run(node, eddy::protocol::LINE_BYTES_MAX)`.
//!
//! # Features
//!
//! - `stdio` (default): the loop and the node binaries; needs `std` and mio.
//! - `workbench`: the `eddy` command; brings `stdio` along.
//! - without features: `no_std + alloc`, with serde, serde_json, slab and smallvec.

#![cfg_attr(not(feature = "stdio"), no_std)]

extern crate alloc;

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
