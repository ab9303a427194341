//! `kafka`, `lin-kv` and `txn-list-append`, whose nodes keep what they have in a store.

use std::time::Duration;

use super::Program;
use crate::stdio::arguments::{Flag, Wrong};
use crate::workload;
use crate::workload::{kafka, lin_kv, txn_list_append};

const STALENESS: &str =
    "  --staleness TIME      how old what a poll or a list shows may be (default 100ms)\n";

const SERVICE: &str =
    "  --kv SERVICE          the store: lin-kv, seq-kv or lww-kv (default lin-kv)\n";

const LIMITS: &str = concat!(
    "  --max-pending N       operations that wait at once; one more gets error 11 (default 10000)\n",
    "  --rpc-timeout TIME    how long to wait for the store before asking again (default 1s)\n",
    "  --op-timeout TIME     by then an operation is answered, if need be with an error (default 4500ms)\n",
);

/// Sets how many operations wait, for the store how long, and how long at all.
pub(super) fn set_limit(
    flag: &mut Flag,
    pending_max: &mut usize,
    rpc_timeout: &mut Duration,
    op_timeout: &mut Duration,
) -> Result<(), Wrong> {
    match flag.name {
        "--max-pending" => flag.set_count(pending_max),
        "--rpc-timeout" => flag.set_time(rpc_timeout),
        "--op-timeout" => flag.set_time(op_timeout),
        _ => flag.unknown(),
    }
}

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
        let kafka::Options {
            staleness,
            pending_max,
            rpc_timeout,
            op_timeout,
        } = &mut self.0;
        match flag.name {
            "--staleness" => flag.set_time(staleness),
            _ => set_limit(flag, pending_max, rpc_timeout, op_timeout),
        }
    }

    fn workload(self, seed: u64) -> workload::Kafka {
        workload::Kafka::new(self.0, seed)
    }
}

/// A proxy to a key-value service.
#[derive(Clone, Default, Debug)]
pub struct LinKv(lin_kv::Options);

impl Program for LinKv {
    type Workload = workload::LinKv;

    const NAME: &'static str = "lin-kv";
    const ABOUT: &'static str = "\
A key-value store that is the service's, for Maelstrom: read{key}, write{key, value}, cas{key, from, to}. Only reads are
asked for again.";
    const FLAGS: &'static [&'static str] = &[SERVICE, LIMITS];

    fn set(&mut self, flag: &mut Flag) -> Result<(), Wrong> {
        let lin_kv::Options {
            service,
            pending_max,
            rpc_timeout,
            op_timeout,
        } = &mut self.0;
        match flag.name {
            "--kv" => flag.set_one_of(service, &["lin-kv", "seq-kv", "lww-kv"]),
            _ => set_limit(flag, pending_max, rpc_timeout, op_timeout),
        }
    }

    fn workload(self, seed: u64) -> workload::LinKv {
        workload::LinKv::new(self.0, seed)
    }
}

/// Transactions on lists.
#[derive(Clone, Default, Debug)]
pub struct TxnListAppend(txn_list_append::Options);

impl Program for TxnListAppend {
    type Workload = workload::TxnListAppend;

    const NAME: &'static str = "txn-list-append";
    const ABOUT: &'static str = "\
Transactions of reads and appends to lists, kept in lin-kv, for Maelstrom: txn{txn} -> txn_ok{txn}. Strict serializable.";
    const FLAGS: &'static [&'static str] = &[LIMITS];

    fn set(&mut self, flag: &mut Flag) -> Result<(), Wrong> {
        let txn_list_append::Options {
            pending_max,
            rpc_timeout,
            op_timeout,
        } = &mut self.0;
        set_limit(flag, pending_max, rpc_timeout, op_timeout)
    }

    fn workload(self, seed: u64) -> workload::TxnListAppend {
        workload::TxnListAppend::new(self.0, seed)
    }
}
