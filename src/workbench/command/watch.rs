//! `--watch`: runs again each time the program of the nodes changes.
//!
//! The file's metadata is read five times a second, instead of having the system report changes: linkers and editors
//! replace a file, so its folder and the folder of every link to it would have to be watched too, and the system does not
//! report what another machine changes on a network file system.

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

/// How often the metadata of a file is read. A file that has not changed for that long is taken to be complete.
const INTERVAL: Duration = Duration::from_millis(200);

/// Identifies the version of a file. `None` if the file can't be started as a program.
type Version = Option<[i64; 5]>;

/// Calls `run` at once, and again each time one of `programs` has changed, until a signal comes. Returns the result of the
/// last run. A program that can't be run is reported on stderr, and `run` is called again when it has changed. Programs
/// that are missing at the beginning are an error.
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
            // The linker is still writing the file.
            Err(CommandError::Run(RunError::Program(ProgramError::NotStarted {
                error, ..
            }))) if error.kind() == ErrorKind::ExecutableFileBusy => {
                tested.clear();
            }
            Err(error) if is_of_program(error) && tested.iter().all(Option::is_some) => {
                say(format_args!("eddy: {error}"));
                last = Err(CommandError::Interrupted(String::new()));
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

/// Prints each run in one line, compared with the run before.
#[derive(Default)]
pub(super) struct Lines {
    run_count: usize,
    before: Option<Report>,
}

impl Lines {
    /// Prints the line of a run. `name` begins it, and may be empty.
    pub(super) fn print(&mut self, name: &str, report: Report) -> io::Result<()> {
        self.run_count += 1;
        let (number, line) = (self.run_count, report.line(self.before.as_ref()));
        let line = format!("{name}run {number}: {line}");
        self.before = Some(report);
        writeln!(io::stdout(), "{}", harmless(&line))
    }
}
