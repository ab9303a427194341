//! `--watch`: runs again each time the program of the nodes changes.
//!
//! The file's metadata is read five times a second, instead of having the system report changes: linkers and editors
//! replace a file, so its folder and the folder of every link to it would have to be watched too, and the system does not
//! report what another machine changes on a network file system.

use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;
use std::{fs, mem, thread};

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

/// What is run, each time its program has changed.
pub(super) struct Watched<'a> {
    /// Begins a line on stderr about its program; may be empty.
    pub name: &'a str,
    pub program: &'a Path,
}

/// Calls `run` at once for each of `tasks`, by its index, and again for those whose program has changed. A program that can't
/// be run is reported on stderr, and its task is run again when it has changed. Programs that are missing at the beginning
/// are an error, and so is a run that is interrupted. While nothing runs, a signal ends the process.
pub(super) fn watch(
    tasks: &[Watched<'_>],
    mut run: impl FnMut(usize) -> Result<Validity, CommandError>,
) -> CommandError {
    let versions = || Vec::from_iter(tasks.iter().map(|task| version(task.program)));
    let mut seen = versions();
    let mut tested = seen.clone();
    let mut due = Vec::from_iter(0..tasks.len());
    loop {
        for index in due {
            tested[index] = seen[index];
            match run(index) {
                Ok(_) => {}
                // The linker is still writing the file.
                Err(CommandError::Run(RunError::Program(ProgramError::NotStarted {
                    error,
                    ..
                }))) if error.kind() == ErrorKind::ExecutableFileBusy => tested[index] = None,
                Err(error) if is_of_program(&error) && tested[index].is_some() => {
                    say(format_args!("eddy: {}{error}", tasks[index].name));
                }
                Err(error) => return error,
            }
        }
        due = loop {
            thread::sleep(INTERVAL);
            if let Err(error) = stdout::check() {
                return error.into();
            }
            let before = mem::replace(&mut seen, versions());
            let is_due = |&index: &usize| {
                let version = seen[index];
                version.is_some() && version == before[index] && version != tested[index]
            };
            let due = Vec::from_iter((0..tasks.len()).filter(is_due));
            if !due.is_empty() {
                break due;
            }
        };
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
    match error {
        CommandError::Run(error @ RunError::Start { .. }) => !error.is_interruption(),
        CommandError::Run(RunError::Program(_)) => true,
        _ => false,
    }
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
