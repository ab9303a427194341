//! `kafka`, `lin-kv` and `txn-list-append`, whose nodes keep everything in a store.

use super::limits::{self, LIMITS};
use super::{Flag, Program, Wrong};
use crate::node::Limits;
use crate::workload::{self, kafka, lin_kv};

const STALENESS: &str =
    "  --staleness TIME      the maximum staleness of a poll or list (default 100ms)\n";

const SERVICE: &str =
    "  --kv SERVICE          the store: lin-kv, seq-kv or lww-kv (default lin-kv)\n";

/// A log a key.
#[derive(Clone, Default, Debug)]
pub struct Kafka(kafka::Options);

impl Program for Kafka {
    type Workload = workload::Kafka;

    const NAME: &'static str = "kafka";
    const ABOUT: &'static str = "\
A log per key that survives its nodes, kept in lin-kv, for Maelstrom: send{key, msg} -> send_ok{offset},
poll{offsets} -> poll_ok{msgs}, commit_offsets{offsets}, list_committed_offsets{keys}.";
    const FLAGS: &'static [&'static str] = &[STALENESS, LIMITS];

    fn set(&mut self, flag: &mut Flag) -> Result<(), Wrong> {
        match flag.name {
            "--staleness" => flag.set_time(&mut self.0.staleness),
            _ => limits::set(flag, &mut self.0.limits),
        }
    }

    fn workload(self, seed: u64) -> workload::Kafka {
        workload::Kafka::new(self.0, seed)
    }
}

/// A key-value store that is a service's.
#[derive(Clone, Default, Debug)]
pub struct LinKv(lin_kv::Options);

impl Program for LinKv {
    type Workload = workload::LinKv;

    const NAME: &'static str = "lin-kv";
    const ABOUT: &'static str = "\
A key-value store that is a service's, for Maelstrom: read{key}, write{key, value}, cas{key, from, to}. Only reads are
repeated.";
    const FLAGS: &'static [&'static str] = &[SERVICE, LIMITS];

    fn set(&mut self, flag: &mut Flag) -> Result<(), Wrong> {
        match flag.name {
            "--kv" => flag.set_one_of(&mut self.0.service, &["lin-kv", "seq-kv", "lww-kv"]),
            _ => limits::set(flag, &mut self.0.limits),
        }
    }

    fn workload(self, seed: u64) -> workload::LinKv {
        workload::LinKv::new(self.0, seed)
    }
}

/// Transactions on lists.
#[derive(Clone, Default, Debug)]
pub struct TxnListAppend(Limits);

impl Program for TxnListAppend {
    type Workload = workload::TxnListAppend;

    const NAME: &'static str = "txn-list-append";
    const ABOUT: &'static str = "\
Transactions of reads and appends to lists, kept in lin-kv, for Maelstrom: txn{txn} -> txn_ok{txn}. Strict serializable.";
    const FLAGS: &'static [&'static str] = &[LIMITS];

    fn set(&mut self, flag: &mut Flag) -> Result<(), Wrong> {
        limits::set(flag, &mut self.0)
    }

    fn workload(self, seed: u64) -> workload::TxnListAppend {
        workload::TxnListAppend::new(self.0, seed)
    }
}
