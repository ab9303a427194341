//! `--watch`: runs again each time the program of the nodes changes.
//!
//! The file's metadata is read five times a second, instead of having the system report changes: linkers and editors
//! replace a file, so that its folder and that of every link to it would have to be watched too, and what another machine
//! changes on a network file system is reported to nobody.

use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, thread};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::console::{harmless, say};
use super::error::CommandError;
use crate::workbench::check::Validity;
use crate::workbench::process::{ProgramError, RunError};
use crate::workbench::report::Report;
use crate::workbench::stdout;

/// How often a file is looked at. One that has not changed for as long is taken to be whole.
const INTERVAL: Duration = Duration::from_millis(200);

/// What tells one version of a file from another. `None` where no program can be started from it.
type Version = Option<[i64; 5]>;

/// Runs `run` at once, and again each time one of `programs` has changed, until a signal comes. Returns what the last run
/// returned. A program that can't be run is complained about, and may be replaced; at the beginning it is an error.
pub(super) fn watch(
    programs: &[&Path],
    mut run: impl FnMut() -> Result<Validity, CommandError>,
) -> Result<Validity, CommandError> {
    let is_interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        let registered = flag::register(signal, Arc::clone(&is_interrupted));
        registered.map_err(|error| RunError::System {
            what: "watch signals",
            error,
        })?;
    }
    let versions = || Vec::from_iter(programs.iter().map(|program| version(program)));
    let mut tested = versions();
    let mut last = run();
    loop {
        match &last {
            Ok(_) => {}
            // The linker still writes to it.
            Err(CommandError::Run(RunError::Program(ProgramError::NotStarted {
                error, ..
            }))) if error.kind() == ErrorKind::ExecutableFileBusy => {
                tested.clear();
            }
            Err(error) if is_of_program(error) && tested.iter().all(Option::is_some) => {
                say(format_args!("eddy: {error}"));
            }
            Err(_) => return last,
        }
        let mut seen = Vec::new();
        while seen == tested || seen.is_empty() || seen.contains(&None) || seen != versions() {
            seen = versions();
            thread::sleep(INTERVAL);
            stdout::check()?;
            if is_interrupted.load(Ordering::Relaxed) {
                return last;
            }
        }
        tested = seen;
        last = run();
        if is_interrupted.load(Ordering::Relaxed) {
            return last;
        }
    }
}

fn version(path: &Path) -> Version {
    let file = fs::metadata(path).ok()?;
    let mode = file.permissions().mode();
    let is_program = file.is_file() && file.len() > 0 && mode & 0o111 != 0;
    is_program.then(|| {
        let (inode, length) = (file.ino() as i64, file.len() as i64);
        [inode, length, file.mtime(), file.mtime_nsec(), mode.into()]
    })
}

/// Whether another version of the program may do better.
fn is_of_program(error: &CommandError) -> bool {
    matches!(
        error,
        CommandError::Run(RunError::Program(_) | RunError::Start { .. })
    )
}

/// Tells each run in one line.
#[derive(Default)]
pub(super) struct Lines {
    run_count: usize,
    before: Option<Report>,
}

impl Lines {
    /// Tells a run of `name`, which may be empty, beside the run before.
    pub(super) fn tell(&mut self, name: &str, report: Report) -> io::Result<()> {
        self.run_count += 1;
        let (number, line) = (self.run_count, report.line(self.before.as_ref()));
        let line = format!("{name}run {number}: {line}");
        self.before = Some(report);
        writeln!(io::stdout(), "{}", harmless(&line))
    }
}
