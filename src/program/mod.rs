//! The nodes as programs: their names, flags and help.
//!
//! [`run`] is the `main` of a program. The simulator makes many nodes of one, and so takes the same flags ([`Program::read`]).

mod programs;

use std::process::ExitCode;

use crate::node::{Node, Workload};
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
