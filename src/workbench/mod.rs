//! The workbench: Maelstrom's network, services, clients, faults and checks in one native program.
//!
//! Feature `workbench`. Nothing outside this room uses it.

pub mod check;
pub mod history;
