//! The nodes as programs: their names, flags and help.
//!
//! Each program is a type that holds the settings of its command line. [`run`] makes one node of it, for the binary; the
//! simulator makes many, and so takes the same flags.

mod counter;
mod gossip;
mod limits;
mod store;
mod storeless;

use std::process::ExitCode;

use crate::node::{Node, Workload};
use crate::protocol::LINE_BYTES_MAX;
use crate::stdio::arguments::{self, Flag, Wrong};
use crate::stdio::{self, random_seed};

pub use counter::{GCounter, PnCounter};
pub use gossip::{Broadcast, GSet, TxnRwRegister};
pub use store::{Kafka, LinKv, TxnListAppend};
pub use storeless::{Echo, UniqueIds};

/// A program that is a node. A value of it holds what the flags have set.
pub trait Program: Clone + Default + Send + Sync + 'static {
    /// What its nodes run.
    type Workload: Workload + 'static;

    /// Its name on the command line.
    const NAME: &'static str;

    /// How its help begins.
    const ABOUT: &'static str;

    /// The help on its own flags, in parts that end with a newline.
    const FLAGS: &'static [&'static str] = &[];

    /// Sets what one of its own flags says.
    ///
    /// # Errors
    ///
    /// What is wrong with the flag.
    fn set(&mut self, flag: &mut Flag) -> Result<(), Wrong> {
        flag.unknown()
    }

    /// The workload of one incarnation of a node. Each needs a seed of its own.
    fn workload(self, seed: u64) -> Self::Workload;
}

/// The settings of a command line.
struct CommandLine<P> {
    program: P,
    line_bytes_max: usize,
}

impl<P: Program> Default for CommandLine<P> {
    fn default() -> Self {
        CommandLine {
            program: P::default(),
            line_bytes_max: LINE_BYTES_MAX,
        }
    }
}

impl<P: Program> CommandLine<P> {
    fn set(&mut self, flag: &mut Flag) -> Result<(), Wrong> {
        match flag.name {
            "--max-line" => flag.set_count(&mut self.line_bytes_max, usize::MAX),
            _ => self.program.set(flag),
        }
    }
}

/// Runs a program with the command line of this process until its input ends, and gives the exit code of the process.
pub fn run<P: Program>() -> ExitCode {
    let mut line = CommandLine::<P>::default();
    match arguments::parse(P::NAME, &usage::<P>(), |flag| line.set(flag)) {
        Ok(()) => stdio::run(
            Node::new(line.program.workload(random_seed())),
            line.line_bytes_max,
        ),
        Err(exit_code) => exit_code,
    }
}

/// The program with the settings of these arguments. `--max-line` is checked and has no effect: the caller reads no lines.
///
/// # Errors
///
/// What is wrong with the first argument that is wrong.
pub fn read<P: Program>(arguments: &[String]) -> Result<P, Wrong> {
    let mut line = CommandLine::<P>::default();
    arguments::each(arguments.iter().cloned(), |flag| line.set(flag))?;
    Ok(line.program)
}

fn usage<P: Program>() -> String {
    let flags = P::FLAGS.concat();
    let time = match flags.contains(" TIME ") {
        true => "\nTIME is 500ms, 2s or, in milliseconds, 500.\n",
        false => "",
    };
    format!(
        "\
{about}

Usage: {name} [flags], started by Maelstrom or by eddy test.

{flags}  --max-line BYTES      the longest line that is read (default {LINE_BYTES_MAX})
  --help, --version
{time}",
        about = P::ABOUT,
        name = P::NAME,
    )
}
