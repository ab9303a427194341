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
use crate::workbench::store::Store;
use crate::workbench::workload::{Echo, GCounter, UniqueIds, Workload};
use crate::workbench::world::World;

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

/// Runs a test, prints the report and gives the verdict. `args` is the whole command line.
pub(super) fn test(options: &TestOptions, args: &[OsString]) -> Result<Validity, TestError> {
    let report = match options.workload {
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
    let settings = options.settings(seed).map_err(TestError::Options)?;
    let program =
        Program::find(&options.bin, options.node_args.clone()).map_err(RunError::Program)?;
    let log = MessageLog {
        shows_sent: options.log_net_send,
        shows_received: options.log_net_recv,
    };
    let mut store = new_store(options, W::NAME, &settings.nodes);
    let (messages, logs) = store
        .as_mut()
        .map(|store| (&mut store.messages, &mut store.logs))
        .unzip();
    let mut console = Console::new(options.log_stderr, settings.time_limit);
    let world = World::new(workload, settings.clone(), (log, messages));
    let mut audience = (&mut console, logs);
    let record = process::run(world, &settings.nodes, &program, &mut audience);
    console.clear();
    let record = record?;
    let repeat = repeat::command(args, settings.seed);
    let mut report = Report::new(&record, &settings, options.availability, repeat);
    if let Some(store) = store {
        report.set_store(store.folder());
        if let Err(error) = store.finish(&record, &report) {
            eprintln!("eddy: not all of the run is stored: {error}");
        }
    }
    Ok(report)
}

/// The folder of the run, if there is to be one and can be one.
fn new_store(options: &TestOptions, workload: &str, nodes: &[String]) -> Option<Store> {
    if options.no_store {
        return None;
    }
    match Store::create(&options.store, workload, nodes) {
        Ok(store) => Some(store),
        Err(error) => {
            eprintln!(
                "eddy: this run will not be stored: {error}. Choose another folder with --store, or none with \
                 --no-store"
            );
            None
        }
    }
}
