//! Writes `report.html`: a run as a page in one file that loads nothing from the network.
//!
//! The page draws on a canvas itself, because hundreds of thousands of points and messages, with zoom and selection,
//! in a light and a dark theme, are beyond a plot that is drawn in advance. Figures over the whole run (quantiles,
//! rates) are computed here from all operations. Of the rest the page holds as much as a browser opens at once, and it
//! shows what it leaves out.
//!
//! The output of nodes can't become markup of the page: data is JSON in which no `<` occurs, and the scripts only use
//! it as text.

mod index;
mod logs;
mod matrix;
mod messages;
mod operations;
mod series;

use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::thread;

use serde::Serialize;

use super::Report;
use crate::workbench::store::Recorded;
use crate::workbench::workload::Workload;
use crate::workbench::world::Record;
pub use index::write_index;
use logs::LogColumns;
pub use matrix::write_matrix;
use messages::MessageColumns;
use operations::OperationColumns;
use series::Series;

const BODY: &str = include_str!("run.html");
const SCRIPTS: [&str; 10] = [
    include_str!("js/page.js"),
    include_str!("js/data.js"),
    include_str!("js/causes.js"),
    include_str!("js/canvas.js"),
    include_str!("js/summary.js"),
    include_str!("js/overview.js"),
    include_str!("js/timeline.js"),
    include_str!("js/log.js"),
    include_str!("js/diagram.js"),
    include_str!("js/main.js"),
];

/// The size of the buffer for the data of a page.
const BUFFER_BYTES: usize = 64 << 10;

/// The page of one run.
#[derive(Serialize)]
pub struct Page<'a> {
    report: &'a Report,
    series: Series,
    operations: OperationColumns,
    messages: MessageColumns,
    logs: LogColumns,
}

impl<'a> Page<'a> {
    /// Collects the contents of the page. An imported history has no messages and logs.
    ///
    /// # Errors
    ///
    /// When the messages or logs can't be read.
    pub fn new<W: Workload>(
        record: &Record<W>,
        report: &'a Report,
        recorded: Option<&Recorded>,
    ) -> io::Result<Self> {
        let evidence: Vec<usize> = report.evidence().collect();
        let spans = evidence.iter().map(|&index| {
            let operation = &record.history[index];
            operation.invoked_at..operation.completed_at
        });
        let history = &record.history[..];
        let operations =
            |times_us: &[Range<i64>]| OperationColumns::new::<W>(history, &evidence, times_us);
        let (operations, messages, logs) = match recorded {
            Some(recorded) => {
                let messages = &recorded.messages;
                let blocks = messages::choose(messages, spans.clone());
                let times_us = blocks.iter().map(|&block| messages.block_time_us(block));
                let times_us: Vec<Range<i64>> = times_us.collect();
                // The two that take longest, at the same time.
                let (operations, messages) = thread::scope(|scope| {
                    let operations = scope.spawn(|| operations(&times_us));
                    let messages = MessageColumns::read(messages, &blocks);
                    (operations.join(), messages)
                });
                let operations = operations.expect("selecting operations does not panic");
                let logs = LogColumns::read(recorded, report.nodes(), spans)?;
                (operations, messages?, logs)
            }
            None => (operations(&[]), Default::default(), Default::default()),
        };
        Ok(Page {
            report,
            series: Series::new::<W>(history),
            operations,
            messages,
            logs,
        })
    }

    /// Writes the page.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        write_page("eddy", BODY, self, &SCRIPTS, out)
    }
}

/// Writes a page: the head, the body, and then the data and the scripts.
fn write_page(
    title: &str,
    body: &str,
    data: &impl Serialize,
    scripts: &[&str],
    mut out: impl Write,
) -> io::Result<()> {
    write_head(title, &mut out)?;
    write!(out, "{body}<script type=\"application/json\" id=\"data\">")?;
    write_data(data, &mut out)?;
    out.write_all(b"</script>\n<script type=\"module\">\n")?;
    for script in scripts {
        out.write_all(script.as_bytes())?;
    }
    out.write_all(b"</script>\n</body>\n</html>\n")
}

/// Writes data as JSON in which no tag can begin.
fn write_data(data: &impl Serialize, out: impl Write) -> io::Result<()> {
    // Buffered, because the serializer writes every number separately.
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, WithoutTags(out));
    serde_json::to_writer(&mut out, data)?;
    out.flush()
}

/// Writes what comes before the body of a page.
fn write_head(title: &str, out: &mut impl Write) -> io::Result<()> {
    write!(
        out,
        include_str!("head.html"),
        title = title,
        style = include_str!("style.css")
    )
}

/// Writes JSON in which no tag can begin. In JSON, `<` occurs only in strings, where an escape means the same.
struct WithoutTags<W>(W);

impl<W: Write> Write for WithoutTags<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut pieces = bytes.split(|&byte| byte == b'<');
        self.0.write_all(pieces.next().unwrap_or_default())?;
        for piece in pieces {
            self.0.write_all(b"\\u003c")?;
            self.0.write_all(piece)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Names, each once, in the order of their first use.
#[derive(Default)]
struct Names {
    numbers: std::collections::HashMap<String, usize>,
}

impl Names {
    /// The number of a name.
    fn number(&mut self, name: &str) -> usize {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.numbers.len();
        self.numbers.insert(String::from(name), number);
        number
    }

    /// All of them, each at its number.
    fn into_list(self) -> Vec<String> {
        let mut list = vec![String::new(); self.numbers.len()];
        for (name, number) in self.numbers {
            list[number] = name;
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_tag_can_begin_in_the_data() {
        let hostile = "</script><script>alert(1)</script><!-- < <";
        let mut out = Vec::new();
        serde_json::to_writer(WithoutTags(&mut out), hostile).expect("memory takes it");
        let text = String::from_utf8(out).expect("JSON");
        assert!(!text.contains('<'), "{text}");
        let read: String = serde_json::from_str(&text).expect("JSON still");
        assert_eq!(read, hostile);
    }

    #[test]
    fn names_are_numbered_as_they_come() {
        let mut names = Names::default();
        assert_eq!(["b", "a", "b"].map(|name| names.number(name)), [0, 1, 0]);
        assert_eq!(names.into_list(), ["b", "a"]);
    }
}
