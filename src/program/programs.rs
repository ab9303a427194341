//! The programs, each with its own flags and its help.

use super::Program;
use super::flag::{Flag, Wrong};
use crate::gossip::{self, Topology};
use crate::node::{Limits, REQUESTS_MAX};
use crate::workload::g_counter::{self, Consistency};
use crate::workload::{
    Broadcast, Echo, GCounter, Kafka, LinKv, TxnListAppend, TxnRwRegister, UniqueIds, kafka, lin_kv,
};

/// The help on the limits that every node with a store has.
const LIMITS: &str = "  --max-pending N       operations that wait at once; one more gets error 11 (default 10000)
  --rpc-timeout TIME    the longest wait for the store, or for another node, before asking again (default 1s), but for up to
                        a quarter more by chance; a store is asked again sooner once its round trips are known
  --op-timeout TIME     by then an operation is answered, if need be with an error (default 4500ms)
";

/// Sets one of those limits.
fn set_limit(limits: &mut Limits, flag: &Flag) -> Result<(), Wrong> {
    match flag.name {
        "--max-pending" => flag.set_count(&mut limits.pending_max, REQUESTS_MAX),
        "--rpc-timeout" => flag.set_time(&mut limits.rpc_timeout),
        "--op-timeout" => flag.set_time(&mut limits.op_timeout),
        _ => flag.unknown(),
    }
}

/// Sets which of these services is the store.
fn set_service(service: &mut String, flag: &Flag, services: &[&str]) -> Result<(), Wrong> {
    let named = services.iter().map(|name| (*name, name.to_string()));
    flag.set_one_of(service, &named.collect::<Vec<_>>())
}

/// Sends back what it is sent.
pub const ECHO: Program<(), Echo> = Program {
    name: "echo",
    about: "Sends back what it is sent, for Maelstrom: echo{echo} -> echo_ok{echo}.",
    flags: &[],
    set: |(), flag| flag.unknown(),
    workload: |(), _| Echo,
};

/// Gives out ids, none of them twice.
pub const UNIQUE_IDS: Program<(), UniqueIds> = Program {
    name: "unique-ids",
    about: "\
Gives out ids that no other node and no other incarnation of this node gives out, for Maelstrom:
generate -> generate_ok{id}. Nodes need not hear of each other for it.",
    flags: &[],
    set: |(), flag| flag.unknown(),
    workload: |(), seed| UniqueIds::new(seed),
};

const COUNTER: &str = "  --consistency LEVEL   which reads are right (default regular)
      regular           a read holds every add acknowledged before it began
      linearizable      as if everything happened one by one, in real time
      sequential        one by one, but a read may be of the past
      eventual          no store: the nodes tell each other, and answer in any partition; reads agree
                        once all have heard all. If a node is killed, what it has acknowledged and
                        no other node has heard is lost: mostly the last moments, in a partition
                        everything since the node was cut off
  --kv SERVICE          the store: seq-kv or lin-kv (default seq-kv)
  --max-batch N         operations that ride on one message to the store, or reads on one poll of
                        the other nodes (default 1024)
  --read-wait TIME      eventual: by then a read is answered with what is known (default 200ms)
";

fn set_counter(options: &mut g_counter::Options, flag: &Flag) -> Result<(), Wrong> {
    match flag.name {
        "--consistency" => flag.set_one_of(&mut options.consistency, &Consistency::ALL),
        "--kv" => set_service(&mut options.service, flag, &["seq-kv", "lin-kv"]),
        "--max-batch" => flag.set_count(&mut options.batch_max, usize::MAX),
        "--read-wait" => flag.set_time(&mut options.read_wait),
        _ => set_limit(&mut options.limits, flag),
    }
}

/// A sum that grows.
pub const G_COUNTER: Program<g_counter::Options, GCounter> = Program {
    name: "g-counter",
    about: "A grow-only counter for Maelstrom: add{delta} -> add_ok, read -> read_ok{value}.",
    flags: &[COUNTER, LIMITS],
    set: set_counter,
    workload: GCounter::new,
};

/// A sum that rises and falls.
pub const PN_COUNTER: Program<g_counter::Options, GCounter> = Program {
    name: "pn-counter",
    about: "\
A counter that goes up and down, for Maelstrom: add{delta} -> add_ok, read -> read_ok{value},
where delta may be negative.",
    workload: |mut options, seed| {
        options.decrements = true;
        GCounter::new(options, seed)
    },
    ..G_COUNTER
};

const STAR: (&str, Topology) = ("star", Topology::Star);
const TREE: (&str, Topology) = ("tree", Topology::Tree);
const OFFERED: (&str, Topology) = ("offered", Topology::Offered);

const TOPOLOGY: &str = "  --topology NAME       who tells whom (default star)
      star              everyone and the first node: fewest steps and messages
      tree              each node and up to four others: no one has many neighbours
";

const TOPOLOGY_OFFERED: &str = "      offered           what the topology message says; everyone and everyone until it comes\n";

const PACE: &str = "  --batch-ms TIME       a neighbour is told news at most once in this time (default 100)
  --retry-timeout TIME  how long to wait before telling again; over four times the latency (default 2s)
";

/// Sets how news spread; who tells whom is one of `topologies`.
fn set_gossip(
    options: &mut gossip::Options,
    flag: &Flag,
    topologies: &[(&str, Topology)],
) -> Result<(), Wrong> {
    match flag.name {
        "--topology" => flag.set_one_of(&mut options.topology, topologies),
        "--batch-ms" => flag.set_time(&mut options.batch),
        "--retry-timeout" => flag.set_time(&mut options.retry_timeout),
        _ => flag.unknown(),
    }
}

/// Values that every node learns.
pub const BROADCAST: Program<gossip::Options, Broadcast> = Program {
    name: "broadcast",
    about: "\
Values that every node learns, for Maelstrom: broadcast{message} -> broadcast_ok, read -> read_ok{messages}.",
    flags: &[TOPOLOGY, TOPOLOGY_OFFERED, PACE],
    set: |options, flag| set_gossip(options, flag, &[STAR, TREE, OFFERED]),
    workload: Broadcast::new,
};

/// A set that only grows.
pub const G_SET: Program<gossip::Options, Broadcast> = Program {
    name: "g-set",
    about: "A set that only grows, for Maelstrom: add{element} -> add_ok, read -> read_ok{value}.",
    flags: &[TOPOLOGY, PACE],
    set: |options, flag| set_gossip(options, flag, &[STAR, TREE]),
    workload: Broadcast::g_set,
};

/// Transactions on registers.
pub const TXN_RW_REGISTER: Program<gossip::Options, TxnRwRegister> = Program {
    name: "txn-rw-register",
    about: "\
Transactions of reads and writes that are never held up, for Maelstrom: txn{txn} -> txn_ok{txn}. Read committed.",
    flags: &[TOPOLOGY, PACE],
    set: |options, flag| set_gossip(options, flag, &[STAR, TREE]),
    workload: TxnRwRegister::new,
};

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
    set: set_limit,
    workload: TxnListAppend::new,
};
