//! Finds, lists and removes the runs in a store.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::logs::NODE_LOGS;
use super::messages::{MESSAGES, MESSAGES_UNCOMPRESSED};
use super::{ETCD_LOGS, HISTORY, LOG, PAGE, RESULTS, StoreError, StoreErrors, link_latest};

/// All files and folders that a run writes to its folder.
const CONTENTS: [&str; 8] = [
    ETCD_LOGS,
    HISTORY,
    LOG,
    MESSAGES,
    MESSAGES_UNCOMPRESSED,
    NODE_LOGS,
    PAGE,
    RESULTS,
];

/// The folder of a run in a store.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct StoredRun {
    /// When the run began, by the folder's name, and its number among those of that time.
    time: (String, u32),
    workload: String,
    path: PathBuf,
}

impl StoredRun {
    /// Its path in the store: `echo/20261123T201137.042Z`.
    pub fn name(&self) -> String {
        let folder = self.path.file_name().unwrap_or_default();
        format!("{}/{}", self.workload, folder.to_string_lossy())
    }

    /// When it began, in UTC: `2026-11-23 20:11:37`.
    pub fn began_at(&self) -> String {
        let time = &self.time.0;
        let part = |digits: Range<usize>| &time[digits];
        format!(
            "{}-{}-{} {}:{}:{}",
            part(0..4),
            part(4..6),
            part(6..8),
            part(9..11),
            part(11..13),
            part(13..15)
        )
    }

    /// Its workload.
    pub fn workload(&self) -> &str {
        &self.workload
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a process still writes to its folder.
    pub fn is_under_way(&self) -> bool {
        is_under_way(&self.path)
    }

    /// The run in a folder of this name. `None` if the name is not a time.
    fn of(workload: &OsStr, path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (time, number) = match name.split_once('-') {
            None => (name, 1),
            Some((time, number)) => (time, number.parse().ok()?),
        };
        let shape = time.replace(|char: char| char.is_ascii_digit(), "0");
        (shape == "00000000T000000.000Z").then(|| StoredRun {
            time: (String::from(time), number),
            workload: workload.to_string_lossy().into_owned(),
            path: path.clone(),
        })
    }

    /// The first entry of its folder that no run writes.
    fn unexpected_entry(&self) -> io::Result<Option<String>> {
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            if !CONTENTS.iter().any(|known| *known == name) {
                return Ok(Some(name.to_string_lossy().into_owned()));
            }
        }
        Ok(None)
    }
}

/// Whether a process still writes to the folder of a run. Several may ask at the same time.
pub fn is_under_way(folder: &Path) -> bool {
    let folder = File::open(folder);
    folder.is_ok_and(|folder| matches!(folder.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// All runs in a store, the oldest first. Links and other folders and files are left out.
///
/// # Errors
///
/// When the store can't be read.
pub fn runs(store: &Path) -> Result<Vec<StoredRun>, StoreError> {
    let mut runs = Vec::new();
    for workload in folders(store)? {
        let name = workload.file_name().unwrap_or_default().to_os_string();
        let of_workload = folders(&workload)?.into_iter();
        runs.extend(of_workload.filter_map(|path| StoredRun::of(&name, path)));
    }
    runs.sort();
    Ok(runs)
}

/// Writes the page `index.html` of a store. At any time there is a complete one, even if several processes write it.
///
/// # Errors
///
/// When it can't be written.
pub fn replace_index(
    store: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), StoreError> {
    let index = store.join("index.html");
    let new = store.join(format!(".index-{}", std::process::id()));
    let written = File::create(&new).and_then(|file| {
        let mut out = BufWriter::new(file);
        write(&mut out)?;
        out.flush()?;
        fs::rename(&new, &index)
    });
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.map_err(StoreError::writing(&index))
}

/// The folders in a folder, without links to folders.
fn folders(parent: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let list = || {
        let mut folders = Vec::new();
        for entry in fs::read_dir(parent)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
        Ok(folders)
    };
    list().map_err(StoreError::at("can't read", parent))
}

/// The result of removing runs.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Removal {
    /// The number of removed runs.
    pub removed_count: usize,
    /// The runs that were kept because their folder has other files: their names, and the first such file.
    pub left: Vec<(String, String)>,
}

/// Removes the runs in a store that have ended, except for the newest `keep`. Every link `latest` then leads to the
/// latest run that is left.
///
/// # Errors
///
/// All files that could not be removed.
pub fn remove_old_runs(store: &Path, keep: usize) -> Result<Removal, StoreErrors> {
    let runs = runs(store)?;
    let ended: Vec<&StoredRun> = runs.iter().filter(|run| !run.is_under_way()).collect();
    let old = &ended[..ended.len().saturating_sub(keep)];
    let mut removal = Removal::default();
    let mut errors = Vec::new();
    for run in old {
        let removed = run.unexpected_entry().and_then(|entry| match entry {
            Some(entry) => {
                removal.left.push((run.name(), entry));
                Ok(())
            }
            None => fs::remove_dir_all(&run.path).map(|()| removal.removed_count += 1),
        });
        errors.extend(
            removed
                .map_err(StoreError::at("can't remove", &run.path))
                .err(),
        );
    }
    errors.extend(renew_links(store, &runs).err());
    match StoreErrors::of(errors.into_iter()) {
        Ok(()) => Ok(removal),
        Err(errors) => Err(errors),
    }
}

/// Makes the links that led to removed runs lead to the latest run that is left. If none is left, removes them with
/// the folder of their workload. `runs` are the runs before the removal.
fn renew_links(store: &Path, runs: &[StoredRun]) -> Result<(), StoreError> {
    let is_left = |run: &&StoredRun| run.path.is_dir();
    renew_link(store, runs.iter().rfind(is_left).map(StoredRun::name))?;
    let mut workloads: Vec<&str> = runs.iter().map(|run| &*run.workload).collect();
    workloads.sort_unstable();
    workloads.dedup();
    for workload in workloads {
        let folder = store.join(workload);
        let mut of_workload = runs.iter().filter(|run| run.workload == workload);
        let latest = of_workload.rfind(is_left);
        renew_link(
            &folder,
            latest.and_then(|run| Some(run.path.file_name()?.to_string_lossy().into_owned())),
        )?;
        if latest.is_none() {
            // The folder stays if it has other files.
            let _ = fs::remove_dir(&folder);
        }
    }
    Ok(())
}

/// Renews the link in this folder if it leads nowhere.
fn renew_link(folder: &Path, target: Option<String>) -> Result<(), StoreError> {
    let link = folder.join("latest");
    if !link.is_symlink() || link.exists() {
        return Ok(());
    }
    match target {
        Some(target) => link_latest(folder, Path::new(&target)),
        None => match fs::remove_file(&link) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(StoreError::at("can't remove", &link)(error))
            }
            _ => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::store::Folder;
    use crate::workbench::store::testing::folder;

    /// A store with three runs and other files. Returns the names of the runs, oldest first.
    fn store(name: &str) -> (PathBuf, [&'static str; 3]) {
        let store = folder(name);
        let names = [
            "echo/20261123T201137.042Z",
            "echo/20261123T201137.042Z-2",
            "broadcast/20261124T000000.000Z",
        ];
        for name in names {
            fs::create_dir_all(store.join(name).join("node-logs")).expect("a folder");
            fs::write(store.join(name).join("results.json"), "{}").expect("a file");
        }
        fs::create_dir_all(store.join("echo/notes")).expect("a folder");
        fs::write(store.join("mine.txt"), "mine").expect("a file");
        fs::create_dir_all(store.join("20261123T201137.042Z")).expect("a folder");
        std::os::unix::fs::symlink("notes", store.join("echo/20200101T000000.000Z"))
            .expect("a link");
        link_latest(&store, Path::new(names[2])).expect("a link");
        link_latest(&store.join("echo"), Path::new("20261123T201137.042Z-2")).expect("a link");
        link_latest(&store.join("broadcast"), Path::new("20261124T000000.000Z")).expect("a link");
        (store, names)
    }

    fn names(store: &Path) -> Vec<String> {
        let runs = runs(store).expect("a store");
        runs.iter().map(StoredRun::name).collect()
    }

    #[test]
    fn runs_are_found_in_the_order_of_time_and_nothing_else_is() {
        let (store, expected) = store("runs-found");
        assert_eq!(names(&store), expected);
    }

    #[test]
    fn old_runs_are_removed_and_nothing_else_is() {
        let (store, expected) = store("runs-removed");
        let removal = remove_old_runs(&store, 1).expect("all can be removed");
        assert_eq!(removal.removed_count, 2);
        assert_eq!(names(&store), expected[2..]);
        for other in [
            "echo/notes",
            "mine.txt",
            "20261123T201137.042Z",
            "echo/20200101T000000.000Z/.",
            "latest/results.json",
        ] {
            assert!(store.join(other).exists(), "{other} is gone");
        }
        assert!(!store.join("echo/latest").is_symlink());
        let removal = remove_old_runs(&store, 0).expect("all can be removed");
        assert_eq!(removal.removed_count, 1);
        assert!(!store.join("latest").is_symlink() && !store.join("broadcast").exists());
    }

    #[test]
    fn a_run_that_goes_on_is_neither_removed_nor_counted() {
        let (store, expected) = store("runs-under-way");
        let folder = Folder::create(&store, "echo").expect("a folder");
        let name = folder.path().strip_prefix(&store).expect("it is in there");
        let name = name.to_str().expect("UTF-8").to_owned();
        let removal = remove_old_runs(&store, 1).expect("all can be removed");
        assert_eq!(removal.removed_count, 2);
        assert_eq!(names(&store), [expected[2], &name]);
        drop(folder);
        // Another process asks at the same time.
        let other = File::open(store.join(&name)).expect("a folder");
        // A process that another test begins has the folder open, too, until it runs a program of its own.
        other.lock_shared().expect("nobody writes to it");
        let removal = remove_old_runs(&store, 0).expect("all can be removed");
        assert_eq!(removal.removed_count, 2);
    }

    #[test]
    fn a_run_with_something_of_someone_else_is_left_and_links_lead_to_the_latest_that_is_left() {
        let (store, expected) = store("runs-left");
        fs::write(store.join(expected[0]).join("notes.txt"), "mine").expect("a file");
        let removal = remove_old_runs(&store, 0).expect("all can be removed");
        let left = (String::from(expected[0]), String::from("notes.txt"));
        assert_eq!((removal.removed_count, removal.left), (2, vec![left]));
        for latest in ["latest/notes.txt", "echo/latest/notes.txt"] {
            assert!(store.join(latest).exists(), "{latest}");
        }
    }
}
