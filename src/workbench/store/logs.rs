//! `node-logs/`: what nodes print on stderr, a file a node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::file::OutFile;
use crate::workbench::process::Audience;
use crate::workbench::world::Progress;

/// How long the log of one node gets, at most.
const LOG_BYTES_MAX: u64 = 256 << 20;

/// The logs of all nodes. A node that logs nothing has an empty one.
pub struct NodeLogs {
    files: BTreeMap<String, OutFile>,
}

impl NodeLogs {
    /// An empty log in `folder` for each of these nodes.
    pub(super) fn create(folder: &Path, nodes: &[String]) -> Result<Self, StoreError> {
        let mut files = BTreeMap::new();
        for (index, name) in nodes.iter().enumerate() {
            let path = folder.join(file_name(index, name));
            files.insert(name.clone(), OutFile::create(path, LOG_BYTES_MAX)?);
        }
        Ok(NodeLogs { files })
    }

    /// Whether all of it is on disk.
    pub(super) fn finish(&mut self) -> Result<(), StoreError> {
        self.files.values_mut().try_for_each(OutFile::finish)
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
            file.append(|out| {
                out.extend_from_slice(line.as_bytes());
                out.push(b'\n');
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
