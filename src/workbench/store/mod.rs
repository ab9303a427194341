//! Stores a run on disk: in `STORE/<workload>/<time>/`, with links `latest` beside and above it. `STORE/index.html`
//! lists all runs.
//!
//! - `results.json`: the verdict and the figures, as `--json` prints them; or why the run did not begin ([`NotBegun`]).
//! - `history.jsonl`: the operations of clients, with requests and replies.
//! - `messages.jsonl.lz4`: every message, and what became of it; compressed. Written as the run goes on.
//! - `log.txt`: operations, faults, nodes that join, and what nodes print on stderr, in the order in which it happened.
//!   Written as the run goes on.
//! - `node-logs/`: the lines of each node in it. Written as the run goes on.
//! - `report.html`: the report as a page.
//!
//! Times in the JSON files are microseconds (`_us`) since the nodes were ready, and negative before that.
//!
//! An error here never ends a run or changes its verdict.

mod blocks;
mod causes;
mod file;
mod history;
mod logs;
mod messages;
mod room;
mod runs;
#[cfg(test)]
mod testing;

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::history::Operation;
use super::log::{Log, Topics};
use super::workload::Workload;
use file::OutFile;
use room::Room;

pub use causes::{ClientRequest, StoredMessage, caused_by};
pub use history::StoredOperation;
pub use logs::{LOG, LineCounts, LogFiles};
pub use messages::{MESSAGES, MessageLine, Messages, body_text, read_messages};
pub use runs::{Removal, StoredRun, is_under_way, remove_old_runs, replace_index, runs};

/// The folder of the logs of an etcd cluster that was started for the run.
pub const ETCD_LOGS: &str = "etcd";

/// The file of the results in the folder of a run.
pub const RESULTS: &str = "results.json";

/// The file of the history.
pub const HISTORY: &str = "history.jsonl";

/// The file of the page.
pub const PAGE: &str = "report.html";

/// A file that was not stored, and the reason.
#[derive(Debug, Error)]
#[error("{what} {}: {error}", path.display())]
pub struct StoreError {
    what: &'static str,
    path: PathBuf,
    error: io::Error,
}

impl StoreError {
    fn creating(path: &Path) -> impl FnOnce(io::Error) -> Self {
        StoreError::at("can't create", path)
    }

    fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        StoreError::at("can't write", path)
    }

    fn at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |error| StoreError { what, path, error }
    }
}

/// All files that were not stored.
#[derive(Debug)]
pub struct StoreErrors(Vec<StoreError>);

impl StoreErrors {
    fn of(errors: impl Iterator<Item = StoreError>) -> Result<(), Self> {
        let errors: Vec<_> = errors.collect();
        match errors.is_empty() {
            true => Ok(()),
            false => Err(StoreErrors(errors)),
        }
    }

    /// The names of the files.
    pub fn file_names(&self) -> impl Iterator<Item = &str> {
        let names = self.0.iter().filter_map(|error| error.path.file_name());
        names.filter_map(OsStr::to_str)
    }
}

impl From<StoreError> for StoreErrors {
    fn from(error: StoreError) -> Self {
        StoreErrors(vec![error])
    }
}

impl fmt::Display for StoreErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for StoreErrors {}

/// The folder of a run or of an imported history.
pub struct Folder {
    path: PathBuf,
    /// Locked for [`StoredRun::is_under_way`]. The lock ends with this process, even if the process is killed. `None` if the
    /// file system has no locks.
    _lock: Option<File>,
    /// Reserved for the results, which are small and matter most, in case messages fill the disk.
    room: Option<Room>,
}

/// The folder of a run.
pub struct Store {
    folder: Folder,
    /// Observes the messages.
    pub messages: Messages,
    /// Writes the log.
    pub log: Log<LogFiles>,
}

/// The results of a run that did not begin.
#[derive(Serialize, Deserialize)]
pub struct NotBegun {
    /// Why, in words.
    pub error: String,
}

/// The files that were written during a run, now on disk.
pub struct Recorded {
    /// The messages.
    pub messages: Messages,
    /// The logs of the nodes.
    pub logs: LogFiles,
    /// The driver's time at which all nodes were ready.
    pub began_at: Option<Duration>,
}

impl Folder {
    /// Creates a folder for something of `workload` that happens now, in the folder `parent`, which is created if need be.
    ///
    /// # Errors
    ///
    /// When the folder can't be created.
    pub fn create(parent: &Path, workload: &str) -> Result<Self, StoreError> {
        let of_workload = parent.join(workload);
        fs::create_dir_all(&of_workload).map_err(StoreError::creating(&of_workload))?;
        let name = create_unique(&of_workload, &time_name(SystemTime::now()))?;
        let path = of_workload.join(&name);
        let lock = File::open(&path).and_then(|folder| folder.lock().map(|()| folder));
        link_latest(&of_workload, Path::new(&name))?;
        link_latest(parent, &Path::new(workload).join(&name))?;
        let room = Room::keep(&path).ok();
        Ok(Folder {
            path,
            _lock: lock.ok(),
            room,
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the results, the history, in which the nodes have these names, and the page. Tries to write each, whatever
    /// happens to the others.
    ///
    /// # Errors
    ///
    /// Everything that could not be written.
    pub fn finish<W: Workload>(
        mut self,
        results: &impl Serialize,
        history: &[Operation<W::Call, W::Answer>],
        nodes: &[String],
        page: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), StoreErrors> {
        let results = self.write_results(results);
        let path = &*self.path;
        // The two largest files, at the same time.
        let (history, page) = thread::scope(|scope| {
            let history = scope.spawn(|| {
                write(path, HISTORY, |out| {
                    history::write::<W>(history, nodes, out)
                })
            });
            let page = write(path, PAGE, |out| page(out));
            let history = history.join().expect("writing a history does not panic");
            (history, page)
        });
        StoreErrors::of([results, history, page].into_iter().filter_map(Result::err))
    }

    /// Writes the results. They come first, before other files can use the reserved space.
    fn write_results(&mut self, results: &impl Serialize) -> Result<(), StoreError> {
        drop(self.room.take());
        write(&self.path, RESULTS, |out| {
            serde_json::to_writer_pretty(&mut *out, results)?;
            out.write_all(b"\n")
        })
    }
}

impl Store {
    /// Creates a folder for a run of `workload` that starts now, in the folder `parent`, which is created if need be. Its
    /// log has these topics.
    ///
    /// # Errors
    ///
    /// When the folder can't be created.
    pub fn create(
        parent: &Path,
        workload: &str,
        nodes: &[String],
        topics: Topics,
    ) -> Result<Self, StoreError> {
        let folder = Folder::create(parent, workload)?;
        Ok(Store {
            messages: Messages::create(folder.path.join(MESSAGES))?,
            log: Log::new(topics, LogFiles::create(&folder.path, nodes)?),
            folder,
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes why the run did not begin, and the messages that there were.
    ///
    /// # Errors
    ///
    /// Everything that could not be written.
    pub fn finish_not_begun(mut self, results: &NotBegun) -> Result<(), StoreErrors> {
        let messages = self.messages.finish();
        let results = self.folder.write_results(results);
        StoreErrors::of([results, messages].into_iter().filter_map(Result::err))
    }

    /// As [`Folder::finish`], with a page that can read the files written during the run.
    ///
    /// # Errors
    ///
    /// Everything that could not be written.
    pub fn finish<W: Workload>(
        mut self,
        results: &impl Serialize,
        history: &[Operation<W::Call, W::Answer>],
        nodes: &[String],
        page: impl FnOnce(&Recorded, &mut dyn Write) -> io::Result<()>,
    ) -> Result<(), StoreErrors> {
        let messages = self.messages.finish();
        let began_at = self.log.began_at();
        let mut logs = self.log.into_sink();
        let unwritten = messages.err().into_iter().chain(logs.finish());
        let recorded = Recorded {
            messages: self.messages,
            logs,
            began_at,
        };
        let files = self
            .folder
            .finish::<W>(results, history, nodes, |out| page(&recorded, out));
        let files = files
            .err()
            .into_iter()
            .flat_map(|StoreErrors(errors)| errors);
        StoreErrors::of(files.chain(unwritten))
    }
}

fn write(
    folder: &Path,
    name: &str,
    write: impl FnOnce(&mut OutFile) -> io::Result<()>,
) -> Result<(), StoreError> {
    let mut file = OutFile::create(folder.join(name), u64::MAX)?;
    write(&mut file).map_err(StoreError::writing(file.path()))?;
    file.finish()
}

/// A time as the name of a folder: `20261123T201137.042Z`.
fn time_name(time: SystemTime) -> String {
    let name = humantime::format_rfc3339_millis(time).to_string();
    name.replace(['-', ':'], "")
}

/// Creates a folder of that name, or with a number appended if there is one already, and returns its name.
fn create_unique(parent: &Path, name: &str) -> Result<String, StoreError> {
    let mut unique = String::from(name);
    for number in 2.. {
        let path = parent.join(&unique);
        match fs::create_dir(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                unique = format!("{name}-{number}");
            }
            result => return result.map(|()| unique).map_err(StoreError::creating(&path)),
        }
    }
    unreachable!("there are more names than folders");
}

/// Makes `latest` in `parent` lead to `target`. There is one at any time, even if several processes make one.
fn link_latest(parent: &Path, target: &Path) -> Result<(), StoreError> {
    let latest = parent.join("latest");
    let new = parent.join(format!(".latest-{}", std::process::id()));
    symlink(target, &new)
        .and_then(|()| fs::rename(&new, &latest))
        .map_err(StoreError::creating(&latest))
}

#[cfg(test)]
mod tests {
    use super::testing::folder;
    use super::*;

    #[test]
    fn a_folder_is_named_for_its_time() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_464_697_042);
        assert_eq!(time_name(time), "20261123T201137.042Z");
    }

    #[test]
    fn two_runs_at_one_time_have_two_folders() {
        let parent = folder("unique");
        let names = [(); 3].map(|()| create_unique(&parent, "now").expect("a folder"));
        assert_eq!(names, ["now", "now-2", "now-3"]);
    }

    #[test]
    fn the_latest_run_is_found_in_both_places() {
        let parent = folder("latest");
        let nodes = [String::from("n0")];
        let first = Store::create(&parent, "echo", &nodes, Topics::default()).expect("a folder");
        let second = Store::create(&parent, "echo", &nodes, Topics::default()).expect("a folder");
        assert_ne!(first.path(), second.path());
        for latest in [parent.join("latest"), parent.join("echo/latest")] {
            let target = fs::canonicalize(latest).expect("it leads somewhere");
            assert_eq!(target, fs::canonicalize(second.path()).expect("a folder"));
        }
    }

    #[test]
    fn a_folder_that_can_not_be_created_is_reported_in_one_line() {
        let error = Store::create(Path::new("/dev/null"), "echo", &[], Topics::default())
            .err()
            .expect("no folder");
        let message = error.to_string();
        assert!(
            message.starts_with("can't create /dev/null/echo: "),
            "{message}"
        );
        assert!(!message.contains('\n'), "{message}");
    }
}
