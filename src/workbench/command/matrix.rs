//! `eddy matrix` simulates the counter at each level on each store, and prints which guarantees hold.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;

use super::error::CommandError;
use super::sim::{Interruption, progress_bar};
use super::stores::{self, refuse_clusters};
use super::values::{not_negative, positive, seconds, some_seconds};
use crate::workbench::check::Validity;
use crate::workbench::latency::Latency;
use crate::workbench::nemesis::Fault;
use crate::workbench::process::{self, Program, RunError};
use crate::workbench::report::page;
use crate::workbench::signals::EndRequest;
use crate::workbench::sim::matrix::{LEVELS, Matrix, Row, STORES, row, validities};
use crate::workbench::stdout;
use crate::workbench::words::counted;
use crate::workbench::workload::GCounter;
use crate::workbench::world::{Settings, World, node_names};
use crate::workload::g_counter::Consistency;

const ABOUT: &str = "\
Each row is a level of the grow-only counter on a store; each column is a guarantee, and whether the histories of all
runs keep it. Runs are short, so that their consistency can be decided.";

/// The flags of `eddy matrix`.
#[derive(Args)]
#[command(args_override_self = true, after_help = ABOUT)]
pub(super) struct MatrixOptions {
    /// How many seeds to run for each row.
    #[arg(long, value_name = "N", default_value = "200", value_parser = positive)]
    seeds: usize,

    /// The first seed.
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,

    /// How many nodes to run, with two clients each.
    #[arg(long, value_name = "N", default_value = "3", value_parser = positive)]
    node_count: usize,

    /// The approximate number of operations per second, of all clients together.
    #[arg(long, value_name = "RATE", default_value = "50", value_parser = not_negative)]
    rate: f64,

    /// How many seconds clients send requests.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    time_limit: Duration,

    /// The mean latency of a message, in milliseconds. Some messages take much longer.
    #[arg(long, value_name = "MILLISECONDS", default_value = "10")]
    latency: u64,

    /// Which faults to inject, separated by commas.
    #[arg(long, value_name = "FAULTS", value_enum, value_delimiter = ',')]
    nemesis: Vec<Fault>,

    /// Let faults hit messages to and from services too.
    #[arg(long)]
    nemesis_services: bool,

    /// The mean time between the beginning and the end of faults, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = some_seconds)]
    nemesis_interval: Duration,

    /// Also run each level on a cluster of etcd, in real time, with this program (g-counter) as the nodes. Members are
    /// killed and paused. The program etcd must be on the PATH.
    #[arg(long, value_name = "FILE")]
    etcd_bin: Option<PathBuf>,

    /// The number of runs of each level on etcd.
    #[arg(long, value_name = "N", default_value = "3", value_parser = positive)]
    etcd_runs: usize,

    /// Also write the table as an HTML page.
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

/// Runs every level on every store and prints the table.
pub(super) fn matrix(options: &MatrixOptions) -> Result<Validity, CommandError> {
    refuse_clusters(None, &options.nemesis)?;
    let node_count = options.node_count;
    let settings = Settings {
        client_count: 2 * node_count,
        rate_per_s: options.rate,
        time_limit: options.time_limit,
        latency: Latency::exponential(Duration::from_millis(options.latency)),
        faults: options.nemesis.clone(),
        services_suffer: options.nemesis_services,
        fault_interval: options.nemesis_interval,
        seed: options.seed,
        ..Settings::new(node_names(node_count))
    };
    let etcd_runs = options.etcd_bin.as_ref().map_or(0, |_| options.etcd_runs);
    let run_count = (options.seeds * STORES.len() + etcd_runs) * LEVELS.len();
    let bar = progress_bar(run_count);
    let (rows, is_interrupted) = rows(options, &settings, &bar)?;
    bar.finish_and_clear();
    let done = rows.iter().map(Row::run_count).sum();
    let matrix = Matrix(rows);
    writeln!(io::stdout(), "{matrix}")?;
    if is_interrupted {
        let interruption = Interruption {
            done,
            of: run_count,
        };
        writeln!(io::stdout(), "{interruption}")?;
        let no_page = options.page.as_ref().map_or("", |_| "; no page is written");
        return Err(CommandError::Interrupted {
            what: format!("{interruption}{no_page}"),
            verdict: Some(Validity::Unknown),
        });
    }
    if let Some(path) = &options.page {
        let written = File::create(path).and_then(|file| page::write_matrix(&matrix, file));
        written.map_err(|reason| CommandError::Page {
            path: path.clone(),
            reason,
        })?;
    }
    Ok(Validity::Valid)
}

/// Runs every level on every store, as long as there is no request for the end. Returns the rows, and whether there was
/// one. The name of the store says how many runs the last row has, if they are not all.
fn rows(
    options: &MatrixOptions,
    settings: &Settings,
    bar: &ProgressBar,
) -> Result<(Vec<Row>, bool), CommandError> {
    let mut rows = Vec::new();
    for level in LEVELS {
        for store in STORES {
            // Not while a row on etcd runs: that watches signals itself.
            let end_request = EndRequest::listen()?;
            let seeds = options.seed..options.seed + options.seeds as u64;
            let mut row = row(level, store, settings, seeds, || {
                bar.inc(1);
                !end_request.is_made()
            });
            stdout::check()?;
            let run_count = row.run_count();
            if run_count < options.seeds {
                row.store = format!("{store}, {}", counted(run_count, "run"));
            }
            rows.push(row);
            if end_request.is_made() {
                return Ok((rows, true));
            }
        }
        if let Some(bin) = &options.etcd_bin {
            let (row, is_interrupted) = row_on_etcd(level, bin, options, settings, || bar.inc(1))?;
            rows.extend(Some(row).filter(|row| row.run_count() > 0));
            if is_interrupted {
                return Ok((rows, true));
            }
        }
    }
    Ok((rows, false))
}

/// The number of members of a cluster.
const ETCD_MEMBERS: usize = 3;

/// The time of recovery on etcd, which is real time. The election of a leader takes one or two seconds.
const ETCD_RECOVERY: Duration = Duration::from_secs(5);

/// Runs `level` on etcd, each time on a new cluster, until a run is interrupted, and calls `done` after each other run.
/// Returns the row, and whether a run was interrupted. Messages have no simulated latency.
fn row_on_etcd(
    level: Consistency,
    bin: &Path,
    options: &MatrixOptions,
    settings: &Settings,
    done: impl Fn(),
) -> Result<(Row, bool), CommandError> {
    let mut row = Row::new(level, String::new());
    let mut is_interrupted = false;
    let args = ["--consistency", row.level_name()].map(String::from);
    let program = Program::find(bin, args.to_vec()).map_err(RunError::Program)?;
    for seed in (options.seed..).take(options.etcd_runs) {
        let mut settings = settings.clone();
        settings.seed = seed;
        settings.latency.mean = Duration::ZERO;
        settings.recovery = ETCD_RECOVERY;
        let faults = [Fault::MemberKill, Fault::MemberPause];
        settings.faults.extend(faults);
        let clusters = stores::local(ETCD_MEMBERS, &settings, None)?;
        let world = World::new(GCounter::default(), settings.clone(), ());
        let record = match process::run(world, &settings.nodes, &program, &clusters) {
            Err(error) if error.is_interruption() => None,
            record => Some(record?),
        };
        let Some(record) = record.filter(|record| !record.is_interrupted) else {
            is_interrupted = true;
            break;
        };
        row.count(validities(&record.history));
        done();
    }
    row.store = format!("etcd, {}", counted(row.run_count(), "run"));
    Ok((row, is_interrupted))
}
