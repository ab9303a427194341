//! Writes `log.txt`, the log of a run, and `node-logs/`, its lines from the nodes' stderr, one file for each node.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::StoreError;
use super::file::OutFile;
use crate::workbench::log::{self, Sink};
use crate::workbench::world::Progress;

/// The file of the log in the folder of a run.
pub const LOG: &str = "log.txt";

/// The folder of the logs of its nodes.
pub(super) const NODE_LOGS: &str = "node-logs";

/// The maximum length of a log, not counting a last line that reports the cut.
const LOG_BYTES_MAX: u64 = 256 << 20;

/// The last line of a log that was cut.
const CUT_OFF: &str =
    "(eddy: this log has reached its limit of 256 MiB; what happened from here on is left out)";

/// The log of a run and those of its nodes. The log of a node that prints nothing is empty.
pub struct LogFiles {
    whole: OutFile,
    of_nodes: BTreeMap<String, NodeLog>,
}

struct NodeLog {
    file: OutFile,
    counts: LineCounts,
}

/// The lines that a node printed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LineCounts {
    /// The number of lines in its log.
    pub written: u64,
    /// The number of lines that did not fit into its log.
    pub omitted: u64,
}

impl LogFiles {
    /// Empty logs of these nodes in the folder of a run.
    pub(super) fn create(folder: &Path, nodes: &[String]) -> Result<Self, StoreError> {
        Self::limited(folder, nodes, LOG_BYTES_MAX)
    }

    fn limited(folder: &Path, nodes: &[String], bytes_max: u64) -> Result<Self, StoreError> {
        let log_folder = folder.join(NODE_LOGS);
        fs::create_dir(&log_folder).map_err(StoreError::creating(&log_folder))?;
        let mut of_nodes = BTreeMap::new();
        for (index, name) in nodes.iter().enumerate() {
            let path = log_folder.join(file_name(index, name));
            let log = NodeLog {
                file: OutFile::create(path, bytes_max)?,
                counts: LineCounts::default(),
            };
            of_nodes.insert(name.clone(), log);
        }
        Ok(LogFiles {
            whole: OutFile::create(folder.join(LOG), bytes_max)?,
            of_nodes,
        })
    }

    /// The parts that are not on disk.
    pub(super) fn finish(&mut self) -> Vec<StoreError> {
        let files = self.files();
        files.filter_map(|file| file.finish().err()).collect()
    }

    fn files(&mut self) -> impl Iterator<Item = &mut OutFile> {
        let of_nodes = self.of_nodes.values_mut().map(|log| &mut log.file);
        std::iter::once(&mut self.whole).chain(of_nodes)
    }

    /// The number of lines that a node printed.
    pub fn line_counts(&self, node: &str) -> LineCounts {
        let log = self.of_nodes.get(node);
        log.map(|log| log.counts).unwrap_or_default()
    }

    /// Reads the lines of a node: for each the time in microseconds since all nodes were ready, and the text.
    /// `began_at` is that moment by the driver's time. The log must be on disk.
    ///
    /// # Errors
    ///
    /// When the log can't be read.
    pub fn read_node(
        &self,
        node: &str,
        began_at: Option<Duration>,
        mut each: impl FnMut(i64, &str),
    ) -> io::Result<()> {
        let Some(log) = self.of_nodes.get(node) else {
            return Ok(());
        };
        let mut file = BufReader::new(File::open(log.file.path())?);
        let mut line = Vec::new();
        while file.read_until(b'\n', &mut line)? > 0 {
            // On a full disk the last line may have been cut within a character.
            let text = String::from_utf8_lossy(line.trim_ascii_end());
            if let Some((at_us, what)) = log::split(&text, began_at) {
                let prefix_bytes = node.len() + ": ".len();
                each(at_us, what.get(prefix_bytes..).unwrap_or_default());
            }
            line.clear();
        }
        Ok(())
    }
}

/// The name of a node, or its number if the name can't be that of a file.
fn file_name(index: usize, name: &str) -> PathBuf {
    let is_plain = |char: char| char.is_alphanumeric() || "-_.".contains(char);
    let is_file_name = !name.starts_with('.') && name.len() <= 100 && name.chars().all(is_plain);
    PathBuf::from(if is_file_name {
        format!("{name}.log")
    } else {
        format!("#{index}.log")
    })
}

/// Appends a line to a log. Returns whether it fitted.
fn append(file: &mut OutFile, line: &str) -> bool {
    let has_room = file.append(|out| {
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    });
    if !has_room {
        file.end_with(CUT_OFF);
    }
    has_room
}

impl Sink for LogFiles {
    fn line(&mut self, line: &str, node: Option<&str>) {
        append(&mut self.whole, line);
        if let Some(log) = node.and_then(|node| self.of_nodes.get_mut(node)) {
            match append(&mut log.file, line) {
                true => log.counts.written += 1,
                false => log.counts.omitted += 1,
            }
        }
    }

    /// Regularly flushes everything to disk, so that a log can be followed.
    fn progress(&mut self, _: &Progress<'_>) {
        self.files().for_each(OutFile::flush_buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::store::testing::folder;

    #[test]
    fn a_log_that_is_cut_off_ends_with_one_line_that_reports_it() {
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
        let counts = LineCounts {
            written: 2,
            omitted: 98,
        };
        assert_eq!(logs.line_counts("n0"), counts);
    }

    #[test]
    fn what_a_node_printed_is_read_again_with_its_times() {
        let folder = folder("read_log");
        let names = ["n0", "n1"].map(String::from);
        let mut logs = LogFiles::create(&folder, &names).expect("a new folder");
        for (line, node) in [
            ("start+0.000007 s  n0: early", "n0"),
            ("      0.000003 s  n1: other", "n1"),
            ("      1.000004 s  n0: a: b s  c", "n0"),
        ] {
            logs.line(line, Some(node));
        }
        assert!(logs.finish().is_empty(), "room on the disk");
        let mut read = Vec::new();
        let began_at = Some(Duration::from_micros(10));
        logs.read_node("n0", began_at, |at_us, text| {
            read.push((at_us, String::from(text)));
        })
        .expect("it can be read");
        let expected = [(-3, "early"), (1_000_004, "a: b s  c")];
        assert_eq!(
            read,
            expected.map(|(at_us, text)| (at_us, String::from(text)))
        );
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
