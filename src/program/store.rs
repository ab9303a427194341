//! `kafka`, `lin-kv` and `txn-list-append`, whose nodes keep everything in a store.

use super::{LIMITS, Program, set_limit, set_service};
use crate::node::Limits;
use crate::workload::{Kafka, LinKv, TxnListAppend, kafka, lin_kv};

const STALENESS: &str =
    "  --staleness TIME      the maximum staleness of a poll or list (default 100ms)\n";

const SERVICE: &str =
    "  --kv SERVICE          the store: lin-kv, seq-kv or lww-kv (default lin-kv)\n";

/// A log a key.
pub const KAFKA: Program<kafka::Options, Kafka> = Program {
    name: "kafka",
    about: "\
A log per key that survives its nodes, kept in lin-kv, for Maelstrom: send{key, msg} -> send_ok{offset},
poll{offsets} -> poll_ok{msgs}, commit_offsets{offsets}, list_committed_offsets{keys}.",
    flags: &[STALENESS, LIMITS],
    defaults: kafka::Options::default,
    set: |options, flag| match flag.name {
        "--staleness" => flag.set_time(&mut options.staleness),
        _ => set_limit(&mut options.limits, flag),
    },
    workload: Kafka::new,
};

/// A key-value store that is a service's.
pub const LIN_KV: Program<lin_kv::Options, LinKv> = Program {
    name: "lin-kv",
    about: "\
A key-value store that is a service's, for Maelstrom: read{key}, write{key, value}, cas{key, from, to}. Only reads are
repeated.",
    flags: &[SERVICE, LIMITS],
    defaults: lin_kv::Options::default,
    set: |options, flag| match flag.name {
        "--kv" => set_service(&mut options.service, flag, &["lin-kv", "seq-kv", "lww-kv"]),
        _ => set_limit(&mut options.limits, flag),
    },
    workload: LinKv::new,
};

/// Transactions on lists.
pub const TXN_LIST_APPEND: Program<Limits, TxnListAppend> = Program {
    name: "txn-list-append",
    about: "\
Transactions of reads and appends to lists, kept in lin-kv, for Maelstrom: txn{txn} -> txn_ok{txn}. Strict serializable.",
    flags: &[LIMITS],
    defaults: Limits::default,
    set: set_limit,
    workload: TxnListAppend::new,
};
