//! `eddy sim`.

use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::error::CommandError;
use super::options::RunOptions;
use super::repeat;
use super::values::positive;
use super::workloads::{self, Task};
use crate::stdio::arguments::Wrong;
use crate::workbench::audit::Counts;
use crate::workbench::check::{Validity, availability};
use crate::workbench::report::{Figures, Report};
use crate::workbench::sim::{Start, Story, campaign, run, shrink};
use crate::workbench::workload::Workload;
use crate::workbench::world::{Record, Settings, StartError};

const EXAMPLES: &str = "\
Examples:
  One run, checked and told:
    eddy sim -w g-counter --node-count 3 --rate 100 --time-limit 20 --nemesis partition
  A thousand, in which the store's messages are lost, doubled and late and nodes die:
    eddy sim -w g-counter --node-count 3 --rate 100 --time-limit 20 --seeds 1000 --latency 10 \\
      --nemesis partition,kill,loss,duplicate,ghost --nemesis-interval 2 --nemesis-services \\
      --seq-kv lazy -- --consistency linearizable";

/// So many failing seeds are listed.
const FAILING_SHOWN_MAX: usize = 10;

/// So many seeds that could not be decided.
const UNKNOWN_SHOWN_MAX: usize = 3;

/// The flags of `eddy sim`.
#[derive(Args)]
#[command(args_override_self = true, after_help = format!("{EXAMPLES}\n\n{}", super::EXIT_STATUS))]
pub(super) struct SimOptions {
    /// How many seeds to run, from --seed up, or from 1 if there is none.
    #[arg(long, value_name = "N", default_value = "1", value_parser = positive)]
    pub seeds: usize,

    #[command(flatten)]
    pub run: RunOptions,
}

/// Simulates, prints what came of it and gives the worst verdict.
pub(super) fn sim(options: &SimOptions) -> Result<Validity, CommandError> {
    workloads::perform(options.run.workload, &options.run.load, options)
}

/// What many runs have shown.
struct Tally {
    validity: Validity,
    figures: Figures,
    /// What failed, by seed, with the first thing that was wrong.
    failing: Vec<(u64, String)>,
    /// What could not be decided, by seed, with the first reason.
    unknown: Vec<(u64, String)>,
}

impl Task for &SimOptions {
    type Done = Validity;

    fn with<W: Workload>(
        self,
        nodes: impl Fn(&[String]) -> Result<Start, Wrong>,
        workload: impl Fn(&Settings) -> W + Sync,
    ) -> Result<Validity, CommandError> {
        let start = nodes(&self.run.node_args);
        let start = start.map_err(|wrong| CommandError::Options(format!("after --: {wrong}")))?;
        simulate(&workload, &start, self)
    }
}

fn simulate<W: Workload>(
    workload: &(impl Fn(&Settings) -> W + Sync),
    start: &Start,
    options: &SimOptions,
) -> Result<Validity, CommandError> {
    let settings = options
        .run
        .settings(options.run.seed.unwrap_or(1))
        .map_err(CommandError::Options)?;
    if options.seeds == 1 {
        return simulate_one(workload, start, settings, &options.run);
    }
    let began = Instant::now();
    let tally = campaign(workload, start, &settings, options);
    let took_s = began.elapsed().as_secs_f64();
    let mut out = io::stdout().lock();
    let Tally {
        validity,
        mut figures,
        failing,
        unknown,
    } = tally;
    let (count, failing_count) = (options.seeds, failing.len());
    writeln!(
        out,
        "{count} runs: invalid {failing_count}, unknown {}; {:.0} runs a second",
        unknown.len(),
        count as f64 / took_s
    )?;
    tell_figures(&mut figures, &mut out)?;
    let failing_shown = failing.iter().take(FAILING_SHOWN_MAX);
    let unknown_shown = unknown.iter().take(UNKNOWN_SHOWN_MAX);
    for (seed, what) in failing_shown.chain(unknown_shown) {
        let what = what.lines().next().unwrap_or_default();
        writeln!(out, "\n  seed {seed}: {what}")?;
        let settings = with_seed(&settings, *seed);
        writeln!(
            out,
            "  again    {}",
            repeat::simulation::<W>(&settings, &options.run)
        )?;
    }
    if let Some((seed, _)) = failing.first() {
        tell_smallest(
            workload,
            start,
            with_seed(&settings, *seed),
            options,
            &mut out,
        )?;
    }
    Ok(validity)
}

fn tell_figures(figures: &mut Figures, out: &mut impl Write) -> io::Result<()> {
    let Counts {
        ok,
        failed,
        indeterminate,
    } = figures.counts();
    writeln!(
        out,
        "operations  {}: ok {ok}, failed {failed}, indeterminate {indeterminate}; {:.1} a second",
        figures.counts().total(),
        figures.per_second()
    )?;
    if let Some(quantiles) = figures.latency_ms() {
        writeln!(out, "latency     {quantiles}")?;
    }
    let [all, servers] = figures.messages_an_operation();
    writeln!(
        out,
        "messages    {all:.2} an operation; between servers {servers:.2} an operation"
    )
}

fn with_seed(settings: &Settings, seed: u64) -> Settings {
    Settings {
        seed,
        ..settings.clone()
    }
}

fn simulate_one<W: Workload>(
    workload: &impl Fn(&Settings) -> W,
    start: &Start,
    settings: Settings,
    options: &RunOptions,
) -> Result<Validity, CommandError> {
    let (record, story) = run(
        workload(&settings),
        settings.clone(),
        start,
        Story::default(),
    )?;
    let story = story.with_faults(&record.fault_windows);
    let repeat = repeat::simulation::<W>(&settings, options);
    let report = Report::new(&record, &settings, options.demands(), repeat);
    let mut out = io::stdout().lock();
    if report.validity() == Validity::Invalid {
        writeln!(out, "{story}")?;
    }
    writeln!(out, "{report}")?;
    Ok(report.validity())
}

fn campaign<W: Workload>(
    workload: &(impl Fn(&Settings) -> W + Sync),
    start: &Start,
    settings: &Settings,
    options: &SimOptions,
) -> Tally {
    let first = settings.seed;
    let seeds = first..first + options.seeds as u64;
    let bar = progress_bar(options.seeds);
    let mut tally = Tally {
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
        tally.validity = tally.validity.max(validity);
        tally.figures.add(figures);
        match validity {
            Validity::Invalid => tally.failing.push((seed, what)),
            Validity::Unknown => tally.unknown.push((seed, what)),
            Validity::Valid => {}
        }
        bar.set_message(format!("{} invalid", tally.failing.len()));
        bar.inc(1);
        true
    });
    bar.finish_and_clear();
    tally.failing.sort_unstable();
    tally.unknown.sort_unstable();
    tally
}

/// A bar with an estimate, where stderr is a terminal.
pub(super) fn progress_bar(count: usize) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(count as u64);
    let template = "{bar:40} {pos} of {len} runs · {per_sec} · {eta} to go · {msg}";
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Says that something goes on whose end nobody knows, where stderr is a terminal.
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

/// The verdict on a run, its figures, and the first thing that was wrong.
fn verdict<W: Workload>(
    record: Result<Record<W>, StartError>,
    settings: &Settings,
    options: &RunOptions,
) -> (Validity, Figures, String) {
    match record {
        Err(error) => (Validity::Invalid, Figures::default(), error.to_string()),
        Ok(record) => {
            let figures = Figures::new(&record, settings);
            let report = Report::new(&record, settings, options.demands(), String::new());
            (report.validity(), figures, report.first_finding())
        }
    }
}

/// Shrinks a failing run and tells what is left of it.
fn tell_smallest<W: Workload>(
    workload: &impl Fn(&Settings) -> W,
    start: &Start,
    failing: Settings,
    options: &SimOptions,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let demands = options.run.demands();
    // That nothing succeeds is no wonder in a run that is short enough, and so no failure here.
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
        return Ok(());
    }
    let spinner = spinner();
    let smallest = shrink::shrink(failing, |settings| {
        spinner.inc(1);
        fails(settings)
    });
    spinner.finish_and_clear();
    let repeat = repeat::simulation::<W>(&smallest, &options.run);
    let (record, story) = run(
        workload(&smallest),
        smallest.clone(),
        start,
        Story::default(),
    )?;
    let story = story.with_faults(&record.fault_windows);
    let report = Report::new(&record, &smallest, demands, repeat);
    writeln!(
        out,
        "\nThe smallest run found that still fails:\n\n{story}\n{report}"
    )?;
    Ok(())
}
