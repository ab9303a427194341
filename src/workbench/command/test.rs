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
use crate::workbench::workload::{
    Broadcast, Echo, GCounter, GSet, Kafka, LinKv, PnCounter, TxnListAppend, TxnRwRegister,
    UniqueIds, Workload,
};
use crate::workbench::world::{Settings, StartError, World};

/// Why there is no verdict.
#[derive(Debug, Error)]
pub(super) enum TestError {
    #[error("{0}")]
    Options(String),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("interrupted; all nodes have been ended{0}")]
    Interrupted(String),
    #[error("the result can't be printed: {0}")]
    Print(#[from] io::Error),
}

/// Runs a test as often as was asked for or until it is not valid, prints the reports and gives the last verdict. `args`
/// is the whole command line.
pub(super) fn test(options: &TestOptions, args: &[OsString]) -> Result<Validity, TestError> {
    // Short enough to be typed.
    let first_seed = options
        .run
        .seed
        .unwrap_or_else(|| rand::random::<u32>().into());
    for run in 0..options.test_count {
        let settings = options.run.settings(first_seed.wrapping_add(run as u64));
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
    let load = &options.run.load;
    let run = Run {
        options,
        settings,
        args,
    };
    match options.run.workload {
        WorkloadName::Echo => run.of(load.plain(Echo)),
        WorkloadName::UniqueIds => run.of(load.plain(UniqueIds)),
        WorkloadName::Broadcast => {
            run.of(load.plain(Broadcast::new(load.topology, &settings.nodes)))
        }
        WorkloadName::GSet => run.of(load.plain(GSet::default())),
        WorkloadName::GCounter => run.of(load.levels().map(GCounter::new)),
        WorkloadName::PnCounter => run.of(load.levels().map(PnCounter::new)),
        WorkloadName::Kafka => run.of(load.plain(Kafka::new(load.keys()))),
        WorkloadName::LinKv => {
            let (node_count, client_count) = (settings.nodes.len(), settings.client_count);
            run.of(load.plain(LinKv::new(node_count, client_count)))
        }
        WorkloadName::TxnRwRegister => {
            let limits = load.transactions();
            run.of(load
                .models()
                .map(|models| TxnRwRegister::new(limits, models)))
        }
        WorkloadName::TxnListAppend => {
            let limits = load.transactions();
            run.of(load
                .models()
                .map(|models| TxnListAppend::new(limits, models)))
        }
    }
}

/// One run to be done.
struct Run<'a> {
    options: &'a TestOptions,
    settings: &'a Settings,
    args: &'a [OsString],
}

impl Run<'_> {
    /// Does it with that workload, if the flags allow for it.
    fn of<W: Workload>(&self, workload: Result<W, String>) -> Result<Report, TestError> {
        let workload = workload.map_err(TestError::Options)?;
        let Run {
            options,
            settings,
            args,
        } = *self;
        let program = Program::find(&options.bin, options.run.node_args.clone())
            .map_err(RunError::Program)?;
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
        let mut report = Report::new(&record, settings, options.run.availability, repeat);
        if let Some(store) = store {
            report.set_store(store.folder());
            if let Err(error) = store.finish(&record, &report) {
                eprintln!("eddy: not all of the run is stored: {error}");
            }
        }
        if record.is_interrupted {
            let kept = report.store().map_or_else(String::new, |folder| {
                format!(". What is known of the run is in {}", folder.display())
            });
            return Err(TestError::Interrupted(kept));
        }
        Ok(report)
    }
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
