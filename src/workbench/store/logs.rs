//! `log.txt`: the log of a run; and `node-logs/`: its lines that nodes printed on stderr, one file for each node.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::file::OutFile;
use crate::workbench::log::Sink;
use crate::workbench::world::Progress;

/// How long a log gets at most, but for a line that says so.
const LOG_BYTES_MAX: u64 = 256 << 20;

/// The last line of a log that is too long.
const CUT_OFF: &str =
    "(eddy: this log has reached its limit of 256 MiB; what happened from here on is left out)";

/// The log of a run and those of its nodes. A node that logs nothing has an empty one.
pub struct LogFiles {
    whole: OutFile,
    of_nodes: BTreeMap<String, OutFile>,
}

impl LogFiles {
    /// Empty logs in the folder of a run with these nodes.
    pub(super) fn create(folder: &Path, nodes: &[String]) -> Result<Self, StoreError> {
        Self::limited(folder, nodes, LOG_BYTES_MAX)
    }

    fn limited(folder: &Path, nodes: &[String], bytes_max: u64) -> Result<Self, StoreError> {
        let log_folder = folder.join("node-logs");
        fs::create_dir(&log_folder).map_err(StoreError::creating(&log_folder))?;
        let mut of_nodes = BTreeMap::new();
        for (index, name) in nodes.iter().enumerate() {
            let path = log_folder.join(file_name(index, name));
            of_nodes.insert(name.clone(), OutFile::create(path, bytes_max)?);
        }
        Ok(LogFiles {
            whole: OutFile::create(folder.join("log.txt"), bytes_max)?,
            of_nodes,
        })
    }

    /// What of it is not on disk.
    pub(super) fn finish(&mut self) -> Vec<StoreError> {
        let files = self.files();
        files.filter_map(|file| file.finish().err()).collect()
    }

    fn files(&mut self) -> impl Iterator<Item = &mut OutFile> {
        std::iter::once(&mut self.whole).chain(self.of_nodes.values_mut())
    }
}

/// A node's own name, or its number where that is no name for a file.
fn file_name(index: usize, name: &str) -> PathBuf {
    let is_plain = |char: char| char.is_alphanumeric() || "-_.".contains(char);
    let is_file_name = !name.starts_with('.') && name.len() <= 100 && name.chars().all(is_plain);
    PathBuf::from(if is_file_name {
        format!("{name}.log")
    } else {
        format!("#{index}.log")
    })
}

impl Sink for LogFiles {
    fn line(&mut self, line: &str, node: Option<&str>) {
        let of_node = node.and_then(|node| self.of_nodes.get_mut(node));
        for file in [&mut self.whole].into_iter().chain(of_node) {
            let has_room = file.append(|out| {
                out.extend_from_slice(line.as_bytes());
                out.push(b'\n');
            });
            if !has_room {
                file.end_with(CUT_OFF);
            }
        }
    }

    /// Now and then all of it goes to disk, so that a log can be followed.
    fn progress(&mut self, _: &Progress<'_>) {
        self.files().for_each(OutFile::flush_buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::store::testing::folder;

    #[test]
    fn a_log_that_is_cut_off_says_so_in_its_last_line_and_once() {
        let folder = folder("long_log");
        let names = [String::from("n0")];
        let mut logs = LogFiles::limited(&folder, &names, 20).expect("a new folder");
        for number in 0..100 {
            logs.line(&format!("line {number}"), Some("n0"));
        }
        assert!(logs.finish().is_empty(), "room on the disk");
        for file in ["log.txt", "node-logs/n0.log"] {
            let log = fs::read_to_string(folder.join(file)).expect("it is there");
            assert_eq!(log, format!("line 0\nline 1\n{CUT_OFF}\n"), "{file}");
        }
    }

    #[test]
    fn the_name_of_a_node_leads_to_no_other_folder() {
        assert_eq!(file_name(3, "n3"), Path::new("n3.log"));
        for name in [
            "../../etc/passwd",
            "..",
            "a/b",
            "",
            "a\0b",
            &"x".repeat(300),
        ] {
            let file_name = file_name(3, name);
            assert!(
                file_name == Path::new("#3.log") || file_name == Path::new(".log"),
                "{name}"
            );
        }
    }
}
