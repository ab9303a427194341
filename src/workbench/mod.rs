//! The workbench: Maelstrom's network, services, clients, faults and checks in one native program.
//!
//! Feature `workbench`. Nothing outside this room uses it.

pub mod audit;
pub mod body;
pub mod check;
pub mod client;
pub mod clock;
pub mod command;
pub mod directory;
pub mod events;
pub mod history;
pub mod import;
pub mod json;
pub mod latency;
pub mod load;
pub mod log;
pub mod nemesis;
pub mod network;
pub mod pace;
pub mod process;
pub mod random;
pub mod report;
pub mod serve;
pub mod service;
pub mod signals;
pub mod sim;
pub mod stdout;
pub mod store;
pub mod system;
pub mod token;
mod words;
pub mod workload;
pub mod world;
