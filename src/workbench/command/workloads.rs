//! What can be tested, by name: each workload with this crate's own node for it.

use clap::ValueEnum;

use super::error::CommandError;
use super::load::LoadOptions;
use crate::node;
use crate::program::{self, Program};
use crate::stdio::arguments::Wrong;
use crate::workbench::sim::{Start, start};
use crate::workbench::workload::{
    Broadcast, Echo, GCounter, GSet, Kafka, LinKv, PnCounter, TxnListAppend, TxnRwRegister,
    UniqueIds, Workload,
};
use crate::workbench::world::Settings;

/// A workload that can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum WorkloadName {
    /// Nodes send back what they are sent.
    Echo,
    /// Nodes give out ids, none of them twice.
    UniqueIds,
    /// Nodes tell each other what clients tell them.
    Broadcast,
    /// Nodes keep a set together that only grows.
    GSet,
    /// Nodes keep a sum together that only grows.
    GCounter,
    /// Nodes keep a sum together that rises and falls.
    PnCounter,
    /// Nodes keep logs, for clients to append to and to read in order.
    Kafka,
    /// Nodes keep values by key that are read, written and swapped.
    LinKv,
    /// Nodes keep registers that transactions read and set.
    TxnRwRegister,
    /// Nodes keep lists that transactions read and append to.
    TxnListAppend,
}

/// What is done with a workload once it is known which it is.
pub(super) trait Task {
    /// What comes of it.
    type Done;

    /// Does it. `workload` makes the workload for a run with those settings, and `nodes` starts this
    /// crate's nodes for it with flags.
    ///
    /// # Errors
    ///
    /// Why nothing came of it.
    fn with<W: Workload>(
        self,
        nodes: impl Fn(&[String]) -> Result<Start, Wrong>,
        workload: impl Fn(&Settings) -> W + Sync,
    ) -> Result<Self::Done, CommandError>;
}

/// Does the task with the workload of that name, of which as much is asked as the flags say.
///
/// # Errors
///
/// When the flags don't fit the workload, or nothing comes of the task.
pub(super) fn perform<T: Task>(
    name: WorkloadName,
    load: &LoadOptions,
    task: T,
) -> Result<T::Done, CommandError> {
    use WorkloadName as Name;
    match name {
        Name::Echo => task.with(nodes(&program::ECHO), load.plain(|_| Echo)?),
        Name::UniqueIds => task.with(nodes(&program::UNIQUE_IDS), load.plain(|_| UniqueIds)?),
        Name::Broadcast => task.with(
            nodes(&program::BROADCAST),
            load.plain(|run| Broadcast::new(load.topology, &run.nodes))?,
        ),
        Name::GSet => task.with(nodes(&program::G_SET), load.plain(|_| GSet::default())?),
        Name::GCounter => task.with(nodes(&program::G_COUNTER), load.counter(GCounter::new)?),
        Name::PnCounter => task.with(nodes(&program::PN_COUNTER), load.counter(PnCounter::new)?),
        Name::Kafka => task.with(
            nodes(&program::KAFKA),
            load.plain(|_| Kafka::new(load.keys()))?,
        ),
        Name::LinKv => task.with(
            nodes(&program::LIN_KV),
            load.plain(|run| LinKv::new(run.nodes.len(), run.client_count))?,
        ),
        Name::TxnRwRegister => task.with(
            nodes(&program::TXN_RW_REGISTER),
            load.transactions(TxnRwRegister::new)?,
        ),
        Name::TxnListAppend => task.with(
            nodes(&program::TXN_LIST_APPEND),
            load.transactions(TxnListAppend::new)?,
        ),
    }
}

/// Starts nodes of that program with flags.
fn nodes<O: Clone + Send + Sync + 'static, W: node::Workload + 'static>(
    program: &Program<O, W>,
) -> impl Fn(&[String]) -> Result<Start, Wrong> {
    |flags| Ok(start(program.read(flags)?))
}
