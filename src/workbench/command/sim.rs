//! `eddy sim` simulates this crate's own nodes.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::{Map, Value};

use super::error::CommandError;
use super::help::SHOWN_AND_KEPT;
use super::keep::KeepOptions;
use super::options::RunOptions;
use super::repeat;
use super::stores::refuse_clusters;
use super::values::positive;
use super::workloads::{self, Task};
use crate::program::Wrong;
use crate::workbench::audit::Counts;
use crate::workbench::check::{Validity, availability};
use crate::workbench::log::{LastLines, Log, Topics};
use crate::workbench::report::{Figures, Invocation, Machine, Quantiles, Report, VERSION};
use crate::workbench::signals::EndRequest;
use crate::workbench::sim::{Start, campaign, run, shrink};
use crate::workbench::stdout;
use crate::workbench::workload::Workload;
use crate::workbench::world::{Record, Settings, StartError};

const EXAMPLES: &str = "\
Examples:
  One run, checked and stored; the same seed leaves the same files, to the byte:
    eddy sim -w g-counter --node-count 3 --rate 100 --time-limit 20 --nemesis partition
  A thousand, in which the store's messages are lost, doubled and late and nodes die:
    eddy sim -w g-counter --node-count 3 --rate 100 --time-limit 20 --seeds 1000 --latency 10 \\
      --nemesis partition,kill,loss,duplicate,ghost --nemesis-interval 2 --nemesis-services \\
      --seq-kv lazy -- --consistency linearizable";

/// The maximum number of failing seeds to list.
const FAILING_SHOWN_MAX: usize = 10;

/// The maximum number of undecided seeds to list.
const UNKNOWN_SHOWN_MAX: usize = 3;

/// The flags of `eddy sim`.
#[derive(Args)]
#[command(args_override_self = true, after_help = format!("{EXAMPLES}\n\n{}", super::EXIT_STATUS))]
pub(super) struct SimOptions {
    /// How many seeds to run, from --seed up, or from 1. Of several runs, only one is stored: the smallest failing run
    /// that was found.
    #[arg(long, value_name = "N", default_value = "1", value_parser = positive)]
    pub seeds: usize,

    #[command(flatten)]
    pub run: RunOptions,

    #[command(flatten, next_help_heading = SHOWN_AND_KEPT)]
    pub keep: KeepOptions,
}

/// Simulates, prints the result and returns the worst verdict. `args` is the whole command line.
pub(super) fn sim(options: &SimOptions, args: &[OsString]) -> Result<Validity, CommandError> {
    refuse_clusters(Some(&options.run.seq_kv), &options.run.nemesis)?;
    let simulation = Simulation { options, args };
    let clients = &options.run.clients;
    workloads::perform(clients.workload, &clients.requests, simulation)
}

/// The results of many runs.
#[derive(Serialize)]
struct Campaign {
    valid: Validity,
    /// The number of runs that were done.
    runs: usize,
    /// Set if not all runs were done.
    interruption: Option<Interruption>,
    version: &'static str,
    machine: Machine,
    /// Every flag with its value, except those under "What is shown and kept".
    settings: Map<String, Value>,
    /// The number of invalid runs.
    invalid: usize,
    /// The number of undecided runs.
    unknown: usize,
    operations: Counts,
    operations_per_s: f64,
    latency_ms: Option<Quantiles>,
    messages_per_operation: f64,
    server_messages_per_operation: f64,
    /// Runs that were not valid: first the invalid ones, then the undecided ones, each by seed.
    shown: Vec<NotValid>,
    /// The report of the smallest failing run that was found.
    smallest: Option<Report>,
    /// The log of that run.
    #[serde(skip)]
    smallest_log: String,
    #[serde(skip)]
    took_s: f64,
}

/// Many runs were interrupted.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Interruption {
    /// The number of runs that were done.
    pub done: usize,
    /// The number of runs that were to be done.
    pub of: usize,
}

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interrupted after {} of {} runs", self.done, self.of)
    }
}

/// A run that was not valid.
#[derive(Serialize)]
struct NotValid {
    seed: u64,
    valid: Validity,
    /// The first finding.
    what: String,
    /// The command that repeats it.
    repeat: String,
}

/// The sums of a campaign.
struct Summary {
    /// The number of runs.
    runs: usize,
    validity: Validity,
    figures: Figures,
    /// The failing runs: the seed, and the first finding.
    failing: Vec<(u64, String)>,
    /// The undecided runs: the seed, and the first reason.
    unknown: Vec<(u64, String)>,
}

/// What is to be simulated. `args` is the whole command line.
struct Simulation<'a> {
    options: &'a SimOptions,
    args: &'a [OsString],
}

impl Task for Simulation<'_> {
    type Done = Validity;

    fn with<W: Workload>(
        self,
        nodes: impl Fn(&[String]) -> Result<Start, Wrong>,
        workload: impl Fn(&Settings) -> W + Sync,
    ) -> Result<Validity, CommandError> {
        let node_args = &self.options.run.node_args;
        if node_args.iter().any(|arg| arg == "--help" || arg == "-h") {
            let name = W::NAME;
            return Err(CommandError::Options(format!(
                "after --: simulated nodes print no help. The program {name} has the same flags, and lists them: \
                 target/release/{name} --help"
            )));
        }
        let start = nodes(node_args);
        let start = start.map_err(|wrong| CommandError::Options(format!("after --: {wrong}")))?;
        simulate(&workload, &start, self.options, self.args)
    }
}

fn simulate<W: Workload>(
    workload: &(impl Fn(&Settings) -> W + Sync),
    start: &Start,
    options: &SimOptions,
    args: &[OsString],
) -> Result<Validity, CommandError> {
    let settings = options
        .run
        .settings(options.run.clients.seed.unwrap_or(1))
        .map_err(CommandError::Options)?;
    let eddy = &args[0];
    if options.seeds == 1 {
        let (report, log) = simulate_one(workload, start, settings, options, eddy)?;
        if !options.keep.json && report.validity() == Validity::Invalid {
            writeln!(io::stdout(), "{log}")?;
        }
        options.keep.print(&report)?;
        return Ok(report.validity());
    }
    let bar = progress_bar(options.seeds);
    let end_request = EndRequest::listen()?;
    let began = Instant::now();
    let Summary {
        runs,
        mut validity,
        mut figures,
        failing,
        unknown,
    } = campaign(workload, start, &settings, options, &end_request, &bar);
    bar.finish_and_clear();
    stdout::check()?;
    let took_s = began.elapsed().as_secs_f64();
    let interruption = (runs < options.seeds).then_some(Interruption {
        done: runs,
        of: options.seeds,
    });
    if interruption.is_some() {
        // An invalid run may be among those that are missing.
        validity = validity.max(Validity::Unknown);
    }
    let not_valid = |valid, (seed, what): &(u64, String)| NotValid {
        seed: *seed,
        valid,
        what: what.clone(),
        repeat: repeat::simulation::<W>(eddy, &with_seed(&settings, *seed), &options.run).command,
    };
    let failing_shown = failing.iter().take(FAILING_SHOWN_MAX);
    let unknown_shown = unknown.iter().take(UNKNOWN_SHOWN_MAX);
    let shown = failing_shown
        .map(|run| not_valid(Validity::Invalid, run))
        .chain(unknown_shown.map(|run| not_valid(Validity::Unknown, run)));
    let smallest = match failing.first() {
        Some((seed, _)) => {
            let failing = with_seed(&settings, *seed);
            smallest(workload, start, failing, options, &end_request, eddy)?
        }
        None => None,
    };
    let (smallest, smallest_log) = smallest.unzip();
    let [messages_per_operation, server_messages_per_operation] = figures.messages_an_operation();
    options.keep.print(&Campaign {
        valid: validity,
        runs,
        interruption,
        version: VERSION,
        machine: Machine::this(),
        settings: repeat::settings(args, settings.seed),
        invalid: failing.len(),
        unknown: unknown.len(),
        operations: figures.counts(),
        operations_per_s: figures.per_second(),
        latency_ms: figures.latency_ms(),
        messages_per_operation,
        server_messages_per_operation,
        shown: shown.collect(),
        smallest,
        smallest_log: smallest_log.unwrap_or_default(),
        took_s,
    })?;
    match interruption {
        Some(interruption) => Err(CommandError::Interrupted {
            what: interruption.to_string(),
            verdict: Some(validity),
        }),
        None => Ok(validity),
    }
}

impl fmt::Display for Campaign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.interruption {
            Some(interruption) => write!(f, "{interruption}")?,
            None => write!(f, "{} runs", self.runs)?,
        }
        writeln!(
            f,
            ": invalid {}, unknown {}; {:.0} runs a second",
            self.invalid,
            self.unknown,
            self.runs as f64 / self.took_s
        )?;
        writeln!(
            f,
            "operations  {}; {:.1} a second",
            self.operations, self.operations_per_s
        )?;
        if let Some(quantiles) = self.latency_ms {
            writeln!(f, "latency     {quantiles}")?;
        }
        write!(
            f,
            "messages    {:.2} an operation; between servers {:.2} an operation",
            self.messages_per_operation, self.server_messages_per_operation
        )?;
        for NotValid {
            seed, what, repeat, ..
        } in &self.shown
        {
            let what = what.lines().next().unwrap_or_default();
            write!(f, "\n\n  seed {seed}: {what}\n  again    {repeat}")?;
        }
        if let Some(report) = &self.smallest {
            write!(
                f,
                "\n\nThe smallest run found that still fails:\n\n{}\n{report}",
                self.smallest_log
            )?;
        }
        Ok(())
    }
}

fn with_seed(settings: &Settings, seed: u64) -> Settings {
    Settings {
        seed,
        ..settings.clone()
    }
}

/// Simulates one run, stores it, and returns the report and the end of the log with all messages. `eddy` is the first word
/// of the command line.
fn simulate_one<W: Workload>(
    workload: &impl Fn(&Settings) -> W,
    start: &Start,
    settings: Settings,
    options: &SimOptions,
    eddy: &OsStr,
) -> Result<(Report, String), CommandError> {
    let SimOptions {
        run: flags, keep, ..
    } = options;
    let mut store = keep.new_store(W::NAME, &settings.nodes, Topics::default());
    let files = store
        .as_mut()
        .map(|store| (&mut store.messages, &mut store.log));
    let topics = Topics {
        run: true,
        received: true,
        ..Topics::default()
    };
    let log = Log::new(topics, LastLines::default());
    let (record, (log, _)) = run(workload(&settings), settings.clone(), start, (log, files))?;
    let repeat = repeat::simulation::<W>(eddy, &settings, flags);
    let mut report = Report::new(&record, &settings, flags.demands(), repeat);
    if let Some(store) = store {
        let folder = store.path().to_path_buf();
        // Without the folder's path and the machine, the same seed leaves the same bytes.
        keep.finish(store, &record, &mut report);
        report.set_store(&folder);
    }
    report.set_machine(Machine::this());
    Ok((report, log.into_sink().to_string()))
}

/// Simulates the runs, as long as there is no request for the end.
fn campaign<W: Workload>(
    workload: &(impl Fn(&Settings) -> W + Sync),
    start: &Start,
    settings: &Settings,
    options: &SimOptions,
    end_request: &EndRequest,
    bar: &ProgressBar,
) -> Summary {
    let first = settings.seed;
    let seeds = first..first + options.seeds as u64;
    let mut summary = Summary {
        runs: 0,
        validity: Validity::Valid,
        figures: Figures::default(),
        failing: Vec::new(),
        unknown: Vec::new(),
    };
    let work = |seed| {
        let settings = with_seed(settings, seed);
        let record =
            run(workload(&settings), settings.clone(), start, ()).map(|(record, ())| record);
        verdict(record, &settings, &options.run)
    };
    campaign::each_seed(seeds, campaign::worker_count(), work, |seed, verdict| {
        let (validity, figures, what) = verdict;
        summary.runs += 1;
        summary.validity = summary.validity.max(validity);
        summary.figures.add(figures);
        match validity {
            Validity::Invalid => summary.failing.push((seed, what)),
            Validity::Unknown => summary.unknown.push((seed, what)),
            Validity::Valid => {}
        }
        bar.set_message(format!("{} invalid", summary.failing.len()));
        bar.inc(1);
        stdout::check().is_ok() && !end_request.is_made()
    });
    summary.failing.sort_unstable();
    summary.unknown.sort_unstable();
    summary
}

/// A progress bar, if stderr is a terminal.
pub(super) fn progress_bar(count: usize) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(count as u64);
    let template = "{bar:40} {pos} of {len} runs · {per_sec} · {eta} to go · {msg}";
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A spinner for a step of unknown length, if stderr is a terminal.
fn spinner() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{spinner} making the first of them smaller · {pos} runs tried",
    );
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style)
}

/// The verdict on a run, its figures, and the first finding.
fn verdict<W: Workload>(
    record: Result<Record<W>, StartError>,
    settings: &Settings,
    options: &RunOptions,
) -> (Validity, Figures, String) {
    match record {
        Err(error) => (Validity::Invalid, Figures::default(), error.to_string()),
        Ok(record) => {
            let figures = Figures::new(&record, settings);
            let report = Report::new(&record, settings, options.demands(), Invocation::default());
            (report.validity(), figures, report.first_finding())
        }
    }
}

/// Shrinks a failing run, as long as there is no request for the end. Stores the smallest one, and returns its report and
/// log.
fn smallest<W: Workload>(
    workload: &impl Fn(&Settings) -> W,
    start: &Start,
    failing: Settings,
    options: &SimOptions,
    end_request: &EndRequest,
    eddy: &OsStr,
) -> Result<Option<(Report, String)>, CommandError> {
    let demands = options.run.demands();
    // A run that is short enough may well have no successful operation, so that is no failure here.
    let fails = |settings: &Settings| match run(workload(settings), settings.clone(), start, ()) {
        Err(_) => true,
        Ok((record, ())) => {
            let history = &record.history;
            let verdicts = [
                record.workload.check(history),
                availability::check(history, W::is_success, demands.availability),
            ];
            let findings = verdicts.iter().flat_map(|verdict| &verdict.findings);
            let mut validities = findings
                .chain(&record.findings)
                .map(|finding| finding.severity.validity(demands.is_strict));
            validities.any(|validity| validity == Validity::Invalid)
        }
    };
    if !fails(&failing) {
        return Ok(None);
    }
    let spinner = spinner();
    let smallest = shrink::shrink(failing, |settings| {
        spinner.inc(1);
        !end_request.is_made() && fails(settings)
    });
    spinner.finish_and_clear();
    simulate_one(workload, start, smallest, options, eddy).map(Some)
}
