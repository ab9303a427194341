//! The table of workloads: all that the command knows of each of them.
//!
//! A workload is added by one entry here, beside its own module in `workload` and its checker's in `check`.

use clap::ValueEnum;

use super::error::CommandError;
use super::requests::RequestOptions;
use crate::node;
use crate::program::Wrong;
use crate::program::{self, Program};
use crate::workbench::sim::{Start, start};
use crate::workbench::workload::{
    Broadcast, Echo, GCounter, GSet, Kafka, LinKv, PnCounter, TxnListAppend, TxnRwRegister,
    UniqueIds, Workload,
};
use crate::workbench::world::Settings;

/// Defines [`WorkloadName`], [`perform`] and [`events_help`]. An entry has the help text and the type of a workload, the
/// program of this crate's own node for it, how it is made from the flags in `requests` (which also decides what
/// `--consistency-models` means for it), and how its operations look in one of Jepsen's histories.
macro_rules! workloads {
    ($requests:ident => $(#[$help:meta] $workload:ident, $program:ident, $new:expr, $events:expr;)*) => {
        /// A workload, as `-w` names it.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
        pub(super) enum WorkloadName {
            $(#[$help] #[value(name = $workload::NAME)] $workload,)*
        }

        /// Does the task with the workload of that name, made from the flags in `requests`.
        ///
        /// # Errors
        ///
        /// When the flags do not fit the workload, or the task fails.
        pub(super) fn perform<T: Task>(
            name: WorkloadName,
            $requests: &RequestOptions,
            task: T,
        ) -> Result<T::Done, CommandError> {
            match name {
                $(WorkloadName::$workload => task.with(nodes(&program::$program), $new?),)*
            }
        }

        /// The help on the operations of each workload in Jepsen's histories.
        pub(super) fn events_help() -> String {
            [$(($workload::NAME, $events)),*].map(|(name, events)| format!("  {name:<15}  {events}\n")).concat()
        }
    };
}

workloads! { requests =>
    /// Nodes send back what they are sent.
    Echo, ECHO, requests.plain(|_| Echo), r#":echo "a" (ok: {:type "echo_ok", :echo "a"})"#;
    /// Nodes give out ids, none of them twice.
    UniqueIds, UNIQUE_IDS, requests.plain(|_| UniqueIds), ":generate nil (ok: the id)";
    /// Nodes spread messages, and answer with all that they have.
    Broadcast, BROADCAST, requests.plain(|run| Broadcast::new(requests.topology, &run.nodes)), ":broadcast 7 and :read [7 8]";
    /// Nodes keep a set together that only grows.
    GSet, G_SET, requests.plain(|_| GSet::default()), ":add 7 and :read #{7 8}";
    /// Nodes keep a sum together that only grows.
    GCounter, G_COUNTER, requests.counter(GCounter::new), ":add 7 and :read 15";
    /// Nodes keep a sum together that rises and falls.
    PnCounter, PN_COUNTER, requests.counter(PnCounter::new), ":add -7 and :read 15";
    /// Nodes keep logs, for clients to append to and to read in order.
    Kafka, KAFKA, requests.plain(|_| Kafka::new(requests.keys())),
        ":send [[:send \"k\" 7]] (ok: [[:send \"k\" [offset 7]]]),\n                   \
         :poll [[:poll {\"k\" [[offset 7]]}]], :assign, :subscribe and :crash";
    /// Nodes keep values by key that are read, written and swapped.
    LinKv, LIN_KV, requests.plain(|run| LinKv::new(run.nodes.len(), run.client_count)),
        ":read 7, :write 7 and :cas [7 8] of one register; with the key of one of many\n                   \
         registers, :read [k 7], :write [k 7] and :cas [k [7 8]]";
    /// Nodes keep registers that transactions read and set.
    TxnRwRegister, TXN_RW_REGISTER, requests.transactions(TxnRwRegister::new), ":txn [[:r k 7] [:w k 8]]";
    /// Nodes keep lists that transactions read and append to.
    TxnListAppend, TXN_LIST_APPEND, requests.transactions(TxnListAppend::new), ":txn [[:r k [7 8]] [:append k 9]]";
}

/// A task of a command that is generic over workloads.
pub(super) trait Task {
    /// What the task returns.
    type Done;

    /// Does the task. `workload` makes the workload for a run with the given settings, and `nodes` starts this crate's
    /// nodes for it with the given flags.
    ///
    /// # Errors
    ///
    /// When the task fails.
    fn with<W: Workload>(
        self,
        nodes: impl Fn(&[String]) -> Result<Start, Wrong>,
        workload: impl Fn(&Settings) -> W + Sync,
    ) -> Result<Self::Done, CommandError>;
}

/// Starts nodes of a program with flags.
fn nodes<O: Clone + Default + Send + Sync + 'static, W: node::Workload + 'static>(
    program: &Program<O, W>,
) -> impl Fn(&[String]) -> Result<Start, Wrong> {
    |flags| Ok(start(program.read(flags)?.0))
}
