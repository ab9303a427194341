//! `node-logs/`: what nodes print on stderr, a file a node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::file::OutFile;
use crate::workbench::process::Audience;
use crate::workbench::world::Progress;

/// How long the log of one node gets, at most, but for a line that says so.
const LOG_BYTES_MAX: u64 = 256 << 20;

/// The last line of a log that is too long.
const CUT_OFF: &str = "(eddy: this log has reached its limit of 256 MiB; what the node printed from here on is left out)";

/// The logs of all nodes. A node that logs nothing has an empty one.
pub struct NodeLogs {
    files: BTreeMap<String, OutFile>,
}

impl NodeLogs {
    /// An empty log in `folder` for each of these nodes.
    pub(super) fn create(folder: &Path, nodes: &[String]) -> Result<Self, StoreError> {
        Self::limited(folder, nodes, LOG_BYTES_MAX)
    }

    fn limited(folder: &Path, nodes: &[String], bytes_max: u64) -> Result<Self, StoreError> {
        let mut files = BTreeMap::new();
        for (index, name) in nodes.iter().enumerate() {
            let path = folder.join(file_name(index, name));
            files.insert(name.clone(), OutFile::create(path, bytes_max)?);
        }
        Ok(NodeLogs { files })
    }

    /// What of it is not on disk.
    pub(super) fn finish(&mut self) -> Vec<StoreError> {
        let files = self.files.values_mut();
        files.filter_map(|file| file.finish().err()).collect()
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

impl Audience for NodeLogs {
    /// Now and then all of it goes to disk, so that a log can be followed.
    fn progress(&mut self, _: &Progress<'_>) {
        self.files.values_mut().for_each(OutFile::flush_buffer);
    }

    fn logged(&mut self, node: &str, line: &str) {
        if let Some(file) = self.files.get_mut(node) {
            let has_room = file.append(|out| {
                out.extend_from_slice(line.as_bytes());
                out.push(b'\n');
            });
            if !has_room {
                file.end_with(CUT_OFF);
            }
        }
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
        let mut logs = NodeLogs::limited(&folder, &names, 20).expect("a new folder");
        for number in 0..100 {
            logs.logged("n0", &format!("line {number}"));
        }
        assert!(logs.finish().is_empty(), "room on the disk");
        let log = std::fs::read_to_string(folder.join("n0.log")).expect("it is there");
        assert_eq!(log, format!("line 0\nline 1\n{CUT_OFF}\n"));
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
