//! `eddy test` runs a node as real processes and checks the replies.

use std::ffi::OsString;
use std::io::{self, Write};

use super::console::Console;
use super::error::CommandError;
use super::options::TestOptions;
use super::repeat;
use super::watch::{self, Watched};
use super::workloads::{self, Task};
use crate::program::Wrong;
use crate::workbench::check::Validity;
use crate::workbench::log::Log;
use crate::workbench::process::{self, Program, RunError};
use crate::workbench::report::Report;
use crate::workbench::sim::Start;
use crate::workbench::stdout;
use crate::workbench::store::Store;
use crate::workbench::workload::Workload;
use crate::workbench::world::{Settings, World};

/// Runs a test up to `--test-count` times, as long as it is valid. Prints the reports and returns the last verdict.
/// `args` is the whole command line.
pub(super) fn test(options: &TestOptions, args: &[OsString]) -> Result<Validity, CommandError> {
    let keep = &options.output.keep;
    let seed = options.run.clients.first_seed();
    let mut lines = watch::Lines::default();
    let mut run = || {
        let mut last = Validity::Valid;
        each_run(options, args, seed, |run, report| {
            last = report.validity();
            if options.watch && !keep.json {
                return lines.print("", report);
            }
            if options.test_count > 1 && !keep.json {
                writeln!(io::stdout(), "run {} of {}", run + 1, options.test_count)?;
            }
            keep.print(&report)
        })?;
        Ok(last)
    };
    match options.watch {
        true => {
            let task = Watched {
                name: "",
                program: &options.bin,
            };
            Err(watch::watch(&[task], |_| run()))
        }
        false => run(),
    }
}

/// Runs a test up to `--test-count` times, as long as it is valid. Calls `print` with the report of each run and its
/// number from 0 up. The first run has the seed `first_seed`. `args` is the whole command line.
pub(super) fn each_run(
    options: &TestOptions,
    args: &[OsString],
    first_seed: u64,
    mut print: impl FnMut(usize, Report) -> io::Result<()>,
) -> Result<(), CommandError> {
    for run in 0..options.test_count {
        let settings = options.run.settings(first_seed.wrapping_add(run as u64));
        let settings = settings.map_err(CommandError::Options)?;
        let run_once = Run {
            options,
            settings: &settings,
            args,
        };
        let clients = &options.run.clients;
        let (report, is_interrupted) =
            workloads::perform(clients.workload, &clients.requests, run_once)?;
        let validity = report.validity();
        let interrupted = is_interrupted
            .then(|| CommandError::interrupted("; all nodes have been ended", &report));
        print(run, report)?;
        if let Some(error) = interrupted {
            return Err(error);
        }
        if validity != Validity::Valid {
            break;
        }
    }
    Ok(())
}

/// One run of the program.
struct Run<'a> {
    options: &'a TestOptions,
    settings: &'a Settings,
    args: &'a [OsString],
}

impl Task for Run<'_> {
    /// The report, and whether the run was interrupted.
    type Done = (Report, bool);

    fn with<W: Workload>(
        self,
        _: impl Fn(&[String]) -> Result<Start, Wrong>,
        workload: impl Fn(&Settings) -> W + Sync,
    ) -> Result<Self::Done, CommandError> {
        let Run {
            options,
            settings,
            args,
        } = self;
        options.stores.check(&options.run)?;
        let program = Program::find(&options.bin, options.run.node_args.clone())
            .map_err(RunError::Program)?;
        process::check_descriptors(settings.nodes.len())?;
        let shown = options.output.topics();
        let keep = &options.output.keep;
        let mut store = keep.new_store(W::NAME, &settings.nodes, shown);
        let folder = store.as_ref().map(Store::path);
        let clusters = options
            .stores
            .clusters(&options.run.seq_kv, settings, folder)?;
        let mut console = Log::new(shown, Console::new(settings.time_limit));
        let files = store
            .as_mut()
            .map(|store| (&mut store.messages, &mut store.log));
        let world = World::new(workload(settings), settings.clone(), (&mut console, files));
        let record = process::run(world, &settings.nodes, &program, &clusters);
        console.sink().clear();
        let mut record = match record {
            Ok(record) => record,
            Err(error) => {
                keep.not_begun(store, &error);
                // If the run was interrupted, this is the reason.
                stdout::check()?;
                return Err(error.into());
            }
        };
        let repeat = repeat::command(args, settings.seed);
        let report = keep.report(store, &mut record, settings, options.run.demands(), repeat);
        Ok((report, record.is_interrupted))
    }
}
