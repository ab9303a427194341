//! The nodes as programs: what they are called, their flags, their help.
//!
//! Each program is a type that holds what its command line sets, and of which nodes are made: by [`run`] in the binary,
//! and by the simulator, which so takes the same flags.

mod counter;
mod gossip;
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

/// A node as a program. A value of it is what the flags have set.
pub trait Program: Clone + Default + Send + Sync + 'static {
    /// What its nodes do.
    type Workload: Workload + 'static;

    /// Its name on the command line.
    const NAME: &'static str;

    /// What its help begins with.
    const ABOUT: &'static str;

    /// What its help says of its own flags, one or more to a part. Parts end with a newline.
    const FLAGS: &'static [&'static str] = &[];

    /// Sets what one of its own flags says.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn set(&mut self, flag: &mut Flag) -> Result<(), Wrong> {
        flag.unknown()
    }

    /// What a node does in one of its lives. The seed has to be another for each.
    fn workload(self, seed: u64) -> Self::Workload;
}

/// What a command line says.
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
            "--max-line" => flag.set_count(&mut self.line_bytes_max),
            _ => self.program.set(flag),
        }
    }
}

/// Runs a program with the command line of this process, until its input ends. The exit code is the process's.
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

/// The program that has been given these arguments. How long a line may be is left to whoever reads lines.
///
/// # Errors
///
/// What is wrong with the first one that is wrong.
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
