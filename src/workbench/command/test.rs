//! `eddy test`.

use std::ffi::OsString;
use std::io::{self, Write};

use thiserror::Error;

use super::console::{Console, MessageLog};
use super::options::{TestOptions, WorkloadName};
use super::repeat;
use crate::workbench::check::Validity;
use crate::workbench::process::{self, Program, RunError};
use crate::workbench::report::Report;
use crate::workbench::workload::{Echo, GCounter, UniqueIds, Workload};
use crate::workbench::world::{StartError, World};

/// Why there is no verdict.
#[derive(Debug, Error)]
pub(super) enum TestError {
    #[error("{0}")]
    Options(String),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the result can't be printed: {0}")]
    Print(#[from] io::Error),
}

/// Runs a test, prints the report and gives the verdict. `args` is the whole command line.
pub(super) fn test(options: &TestOptions, args: &[OsString]) -> Result<Validity, TestError> {
    let report = match options.run.workload {
        WorkloadName::Echo => run(Echo, options, args),
        WorkloadName::UniqueIds => run(UniqueIds, options, args),
        WorkloadName::GCounter => run(GCounter, options, args),
    }?;
    let mut out = io::stdout().lock();
    if options.json {
        let json = serde_json::to_string(&report).map_err(io::Error::from)?;
        writeln!(out, "{json}")?;
    } else {
        writeln!(out, "{report}")?;
    }
    Ok(report.validity())
}

fn run<W: Workload>(
    workload: W,
    options: &TestOptions,
    args: &[OsString],
) -> Result<Report, TestError> {
    // Short enough to be typed.
    let seed = u64::from(rand::random::<u32>());
    let run = &options.run;
    let settings = run.settings(seed).map_err(TestError::Options)?;
    let program = Program::find(&options.bin, run.node_args.clone()).map_err(RunError::Program)?;
    let log = MessageLog {
        shows_sent: options.log_net_send,
        shows_received: options.log_net_recv,
    };
    let mut console = Console::new(options.log_stderr, settings.time_limit);
    let world = World::new(workload, settings.clone(), log);
    let record = process::run(world, &settings.nodes, &program, &mut console);
    console.clear();
    let repeat = repeat::command(args, settings.seed);
    Ok(Report::new(record?, &settings, run.availability, repeat))
}
