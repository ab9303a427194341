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
use crate::workbench::workload::{
    Broadcast, Echo, GCounter, GSet, Kafka, LinKv, PnCounter, UniqueIds, Workload,
};
use crate::workbench::world::{Settings, World};

/// Why there is no verdict.
#[derive(Debug, Error)]
pub(super) enum TestError {
    #[error("{0}")]
    Options(String),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("the result can't be printed: {0}")]
    Print(#[from] io::Error),
}

/// Runs a test as often as was asked for or until it is not valid, prints the reports and gives the last verdict. `args`
/// is the whole command line.
pub(super) fn test(options: &TestOptions, args: &[OsString]) -> Result<Validity, TestError> {
    // Short enough to be typed.
    let first_seed = options.seed.unwrap_or_else(|| rand::random::<u32>().into());
    for run in 0..options.test_count {
        let settings = options.settings(first_seed.wrapping_add(run as u64));
        let settings = settings.map_err(TestError::Options)?;
        let report = run_once(options, &settings, args)?;
        let mut out = io::stdout().lock();
        if options.json {
            let json = serde_json::to_string(&report).map_err(io::Error::from)?;
            writeln!(out, "{json}")?;
        } else {
            if options.test_count > 1 {
                writeln!(out, "run {} of {}", run + 1, options.test_count)?;
            }
            writeln!(out, "{report}")?;
        }
        if report.validity() != Validity::Valid {
            return Ok(report.validity());
        }
    }
    Ok(Validity::Valid)
}

fn run_once(
    options: &TestOptions,
    settings: &Settings,
    args: &[OsString],
) -> Result<Report, TestError> {
    let load = &options.load;
    let name = options.workload;
    let is_held_to_models = matches!(name, WorkloadName::GCounter | WorkloadName::PnCounter);
    if !is_held_to_models {
        load.expect_no_models(name).map_err(TestError::Options)?;
    }
    let levels = || load.levels().map_err(TestError::Options);
    match name {
        WorkloadName::Echo => run(Echo, options, settings, args),
        WorkloadName::UniqueIds => run(UniqueIds, options, settings, args),
        WorkloadName::Broadcast => {
            let broadcast = Broadcast::new(load.topology, &settings.nodes);
            run(broadcast, options, settings, args)
        }
        WorkloadName::GSet => run(GSet::default(), options, settings, args),
        WorkloadName::GCounter => run(GCounter::new(levels()?), options, settings, args),
        WorkloadName::PnCounter => run(PnCounter::new(levels()?), options, settings, args),
        WorkloadName::Kafka => run(Kafka::new(load.keys()), options, settings, args),
        WorkloadName::LinKv => {
            let lin_kv = LinKv::new(settings.nodes.len(), settings.client_count);
            run(lin_kv, options, settings, args)
        }
        WorkloadName::TxnRwRegister | WorkloadName::TxnListAppend => unreachable!(),
    }
}

fn run<W: Workload>(
    workload: W,
    options: &TestOptions,
    settings: &Settings,
    args: &[OsString],
) -> Result<Report, TestError> {
    let program =
        Program::find(&options.bin, options.node_args.clone()).map_err(RunError::Program)?;
    let log = MessageLog {
        shows_sent: options.log_net_send,
        shows_received: options.log_net_recv,
    };
    let mut console = Console::new(options.log_stderr, settings.time_limit);
    let world = World::new(workload, settings.clone(), log);
    let record = process::run(world, &settings.nodes, &program, &mut console);
    console.clear();
    let repeat = repeat::command(args, settings.seed);
    Ok(Report::new(
        record?,
        settings,
        options.availability,
        repeat,
    ))
}
