//! The nodes as programs: their names, flags and help.
//!
//! [`run`] is the `main` of a program. The simulator makes many nodes of one, and so takes the same flags ([`Program::read`]).

mod flag;
mod programs;

use std::io::Write;
use std::process::ExitCode;

use crate::node::{Node, START_WAIT, Workload};
use crate::protocol::LINE_BYTES_MAX;
use crate::stdio::{self, random_seed};

use flag::Flag;

pub use flag::Wrong;
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
    /// Sets what one of its own flags says.
    set: fn(&mut O, &Flag) -> Result<(), Wrong>,
    workload: fn(O, u64) -> W,
}

impl<O: Clone + Default, W: Workload> Program<O, W> {
    /// How a node is made if it is started with these flags, and the longest line that it reads. Each incarnation needs a
    /// seed of its own.
    ///
    /// # Errors
    ///
    /// What is wrong with the first flag that is wrong.
    pub fn read(
        &self,
        flags: &[String],
    ) -> Result<(impl Fn(u64) -> Node<W> + use<O, W>, usize), Wrong> {
        let (mut options, mut line_bytes_max, mut start_wait) =
            (O::default(), LINE_BYTES_MAX, START_WAIT);
        let mut flags = flags.iter();
        while let Some(flag) = Flag::next(&mut flags) {
            match flag.name {
                "--max-line" => flag.set_count(&mut line_bytes_max, usize::MAX),
                "--start-wait" => flag.set_time(&mut start_wait),
                _ => (self.set)(&mut options, &flag),
            }?;
        }
        let workload = self.workload;
        let start =
            move |seed| Node::new(workload(options.clone(), seed)).with_start_wait(start_wait);
        Ok((start, line_bytes_max))
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
///
/// `--help` prints the help and `--version` the version, and both end the program well. A wrong flag ends it with exit code 2
/// and two lines on standard error: what is wrong, and how to list the flags. Whoever starts nodes may show only the last
/// lines of each.
pub fn run<O: Clone + Default, W: Workload>(program: &Program<O, W>) -> ExitCode {
    let name = program.name;
    let arguments = std::env::args_os().skip(1);
    let arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
    let arguments: Vec<String> = arguments.collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // Nobody is left to tell when printing fails.
    if has("--help") || has("-h") {
        let _ = std::io::stdout().write_all(program.usage().as_bytes());
        return ExitCode::SUCCESS;
    }
    if has("--version") || has("-V") {
        let _ = writeln!(std::io::stdout(), "{name} {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    match program.read(&arguments) {
        Ok((start, line_bytes_max)) => stdio::run(start(random_seed()), line_bytes_max),
        Err(wrong) => {
            let usage = format!("Usage: {name} [flags]; {name} --help lists them.");
            let _ = writeln!(std::io::stderr(), "{name}: {wrong}\n{usage}");
            ExitCode::from(2)
        }
    }
}
