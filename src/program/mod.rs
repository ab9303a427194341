//! The nodes as programs: their names, flags and help.
//!
//! [`run`] is the `main` of a program. The simulator makes many nodes of one, and so takes the same flags ([`Program::read`]).

mod counter;
mod gossip;
mod store;
mod storeless;

use std::process::ExitCode;

use crate::node::{Limits, Node, REQUESTS_MAX, Workload};
use crate::protocol::LINE_BYTES_MAX;
use crate::stdio::arguments::{self, Flag, Wrong};
use crate::stdio::{self, random_seed};

pub use counter::{G_COUNTER, PN_COUNTER};
pub use gossip::{BROADCAST, G_SET, TXN_RW_REGISTER};
pub use store::{KAFKA, LIN_KV, TXN_LIST_APPEND};
pub use storeless::{ECHO, UNIQUE_IDS};

/// A program that is a node which runs `W`. `O` holds what its flags set.
pub struct Program<O, W> {
    name: &'static str,
    /// How its help begins.
    about: &'static str,
    /// The help on its own flags, in parts that end with a newline.
    flags: &'static [&'static str],
    /// What holds if no flag is given.
    defaults: fn() -> O,
    /// Sets what one of its own flags says.
    set: fn(&mut O, &mut Flag) -> Result<(), Wrong>,
    workload: fn(O, u64) -> W,
}

impl<O, W: Workload> Program<O, W> {
    /// How the workload of a node is made if it is started with these flags. Each incarnation needs a seed of its own.
    /// `--max-line` is checked and has no effect: the caller reads no lines.
    ///
    /// # Errors
    ///
    /// What is wrong with the first flag that is wrong.
    pub fn read(&self, flags: &[String]) -> Result<impl Fn(u64) -> W + use<O, W>, Wrong>
    where
        O: Clone,
    {
        let mut settings = self.settings();
        arguments::each(flags.iter().cloned(), |flag| self.set(&mut settings, flag))?;
        let (workload, (options, _)) = (self.workload, settings);
        Ok(move |seed| workload(options.clone(), seed))
    }

    /// The options and the longest line, in bytes, if no flag is given.
    fn settings(&self) -> (O, usize) {
        ((self.defaults)(), LINE_BYTES_MAX)
    }

    fn set(
        &self,
        (options, line_bytes_max): &mut (O, usize),
        flag: &mut Flag,
    ) -> Result<(), Wrong> {
        match flag.name {
            "--max-line" => flag.set_count(line_bytes_max, usize::MAX),
            _ => (self.set)(options, flag),
        }
    }

    fn usage(&self) -> String {
        let Program { name, about, .. } = self;
        let flags = self.flags.concat();
        // Whatever has flags of its own has some with times.
        let time = match self.flags.is_empty() {
            true => "",
            false => "\nTIME is 500ms, 2s or, in milliseconds, 500.\n",
        };
        format!(
            "\
{about}

Usage: {name} [flags], started by Maelstrom or by eddy test.

{flags}  --max-line BYTES      the longest line that is read (default {LINE_BYTES_MAX})
  --help, --version
{time}"
        )
    }
}

/// Runs a program with the command line of this process until its input ends, and gives the exit code of the process.
pub fn run<O, W: Workload>(program: &Program<O, W>) -> ExitCode {
    let mut settings = program.settings();
    let parsed = arguments::parse(program.name, &program.usage(), |flag| {
        program.set(&mut settings, flag)
    });
    if let Err(exit_code) = parsed {
        return exit_code;
    }
    let (options, line_bytes_max) = settings;
    let workload = (program.workload)(options, random_seed());
    stdio::run(Node::new(workload), line_bytes_max)
}

/// The help on the limits that every node with a store has.
const LIMITS: &str = "\
  --max-pending N       operations that wait at once; one more gets error 11 (default 10000)
  --rpc-timeout TIME    the longest wait for the store, or for another node, before asking again (default 1s); a store is
                        asked again sooner once its round trips are known
  --op-timeout TIME     by then an operation is answered, if need be with an error (default 4500ms)
";

/// Sets one of those limits.
fn set_limit(limits: &mut Limits, flag: &mut Flag) -> Result<(), Wrong> {
    match flag.name {
        "--max-pending" => flag.set_count(&mut limits.pending_max, REQUESTS_MAX),
        "--rpc-timeout" => flag.set_time(&mut limits.rpc_timeout),
        "--op-timeout" => flag.set_time(&mut limits.op_timeout),
        _ => flag.unknown(),
    }
}

/// Sets which of these services is the store.
fn set_service(service: &mut String, flag: &mut Flag, services: &[&str]) -> Result<(), Wrong> {
    let named = services.iter().map(|name| (*name, name.to_string()));
    flag.set_one_of(service, &named.collect::<Vec<_>>())
}

/// The help on when a node that speaks to others begins to.
const START_WAIT: &str = "\
  --start-wait TIME     how long after init a node speaks to others if no message has come to it before
                        (default 10s: by then all nodes have joined Maelstrom's network)
";
