//! The nodes as programs: their names, flags and help.
//!
//! [`run`] is the `main` of a program. The simulator makes many nodes of one, and so takes the same flags ([`Program::read`]).

mod programs;

use std::process::ExitCode;
use std::time::Duration;

use crate::node::{Node, START_WAIT, Workload};
use crate::protocol::LINE_BYTES_MAX;
use crate::stdio::arguments::{self, Flag, Wrong};
use crate::stdio::{self, random_seed};

pub use programs::{
    BROADCAST, ECHO, G_COUNTER, G_SET, KAFKA, LIN_KV, PN_COUNTER, TXN_LIST_APPEND, TXN_RW_REGISTER,
    UNIQUE_IDS,
};

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

/// What all flags of a program set.
struct Settings<O> {
    options: O,
    line_bytes_max: usize,
    start_wait: Duration,
}

impl<O, W: Workload> Program<O, W> {
    /// How a node is made if it is started with these flags. Each incarnation needs a seed of its own. `--max-line` is
    /// checked and has no effect: the caller reads no lines.
    ///
    /// # Errors
    ///
    /// What is wrong with the first flag that is wrong.
    pub fn read(&self, flags: &[String]) -> Result<impl Fn(u64) -> Node<W> + use<O, W>, Wrong>
    where
        O: Clone,
    {
        let mut settings = self.settings();
        arguments::each(flags.iter().cloned(), |flag| self.set(&mut settings, flag))?;
        let (workload, start_wait) = (self.workload, settings.start_wait);
        Ok(move |seed| {
            Node::new(workload(settings.options.clone(), seed)).with_start_wait(start_wait)
        })
    }

    fn settings(&self) -> Settings<O> {
        Settings {
            options: (self.defaults)(),
            line_bytes_max: LINE_BYTES_MAX,
            start_wait: START_WAIT,
        }
    }

    fn set(&self, settings: &mut Settings<O>, flag: &mut Flag) -> Result<(), Wrong> {
        match flag.name {
            "--max-line" => flag.set_count(&mut settings.line_bytes_max, usize::MAX),
            "--start-wait" => flag.set_time(&mut settings.start_wait),
            _ => (self.set)(&mut settings.options, flag),
        }
    }

    fn usage(&self) -> String {
        let Program { name, about, .. } = self;
        let flags = self.flags.concat();
        format!(
            "\
{about}

Usage: {name} [flags], started by Maelstrom or by eddy test.

{flags}  --start-wait TIME     how long after init a node speaks to others if no message has come to it before
                        (default 10s: by then all nodes have joined Maelstrom's network)
  --max-line BYTES      the longest line that is read (default {LINE_BYTES_MAX})
  --help, --version

TIME is 500ms, 2s or, in milliseconds, 500.
"
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
    let workload = (program.workload)(settings.options, random_seed());
    let node = Node::new(workload).with_start_wait(settings.start_wait);
    stdio::run(node, settings.line_bytes_max)
}
