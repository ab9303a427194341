//! `eddy serve`: real services with real nodes, and clients and peers that a test controls.
#![cfg(feature = "workbench")]

mod client;
mod clients;
mod end;
mod etcd;
mod hostile;
mod metrics;
mod node;
mod node_process;
mod peers;
mod service;
mod start;
mod store;
mod tokens;
