//! The nodes that can be simulated: one function each, from the arguments that its binary takes to how it is started.

use super::{Machine, Start};
use crate::node::{Node, Workload};
use crate::stdio::arguments::{self, Flag, Wrong};
use crate::workload::g_counter::Options;
use crate::workload::{Echo, GCounter, UniqueIds};

/// `echo`.
///
/// # Errors
///
/// What is wrong with the arguments.
pub fn echo(args: &[String]) -> Result<Start, Wrong> {
    read(args, |flag| flag.unknown())?;
    Ok(start(|_| Echo))
}

/// `unique-ids`.
///
/// # Errors
///
/// What is wrong with the arguments.
pub fn unique_ids(args: &[String]) -> Result<Start, Wrong> {
    read(args, |flag| flag.unknown())?;
    Ok(start(UniqueIds::new))
}

/// `g-counter`.
///
/// # Errors
///
/// What is wrong with the arguments.
pub fn g_counter(args: &[String]) -> Result<Start, Wrong> {
    let mut options = Options::default();
    read(args, |flag| arguments::set_counter(flag, &mut options))?;
    Ok(start(move |seed| GCounter::new(options.clone(), seed)))
}

/// Reads arguments. In virtual time no line is too long.
fn read(args: &[String], mut set: impl FnMut(&mut Flag) -> Result<(), Wrong>) -> Result<(), Wrong> {
    arguments::read(args.iter().cloned(), |flag| match flag.name {
        "--max-line" => flag.value().map(drop),
        _ => set(flag),
    })
}

fn start<W: Workload + 'static>(workload: impl Fn(u64) -> W + Send + Sync + 'static) -> Start {
    Box::new(move |seed| Box::new(Node::new(workload(seed))) as Box<dyn Machine>)
}
