//! Selects the lines of the nodes' stderr for the page: all lines, or for each node the first and the last lines, and
//! lines printed during the operations of the evidence.

use std::io;
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;

use crate::workbench::store::{LineCounts, Recorded};
use crate::workbench::words;

/// The maximum number of lines on the page, of all nodes together.
const LINES_MAX: u64 = 10_000;

/// The maximum number of characters of a line on the page.
const LINE_CHARS_MAX: usize = 400;

/// Lines of nodes, column by column, in the order of time.
#[derive(Default, Serialize)]
pub(super) struct LogColumns {
    /// The number of lines that each node printed.
    total: Vec<u64>,
    /// The number of those lines that did not fit into its log.
    omitted: Vec<u64>,
    node: Vec<usize>,
    /// The line's number among those of its node, from 0 up. Where numbers are missing, lines were left out.
    number: Vec<u64>,
    at_us: Vec<i64>,
    text: Vec<String>,
}

/// Which lines of one node are on the page.
struct Choice<'a> {
    /// Lines with a number below this one are on the page.
    first_end: u64,
    /// Lines with this number or a higher one are on the page.
    last_begin: u64,
    /// Other lines are on the page if they were printed in one of these time spans, which are in order and do not
    /// touch.
    evidence_us: &'a [Range<i64>],
    /// The maximum number of other lines from one span.
    of_stretch_max: u64,
    /// The position of the last span with a line, and the number of its lines so far.
    of_stretch: (usize, u64),
}

struct Line {
    at_us: i64,
    node: usize,
    number: u64,
    text: String,
}

impl LogColumns {
    /// Reads what these nodes printed. `spans` are the times of the operations of the evidence.
    pub(super) fn read(
        recorded: &Recorded,
        nodes: &[String],
        spans: impl Iterator<Item = Range<Duration>>,
    ) -> io::Result<Self> {
        let logs = &recorded.logs;
        let counts: Vec<LineCounts> = nodes.iter().map(|node| logs.line_counts(node)).collect();
        let written = counts.iter().map(|counts| counts.written).sum();
        let evidence_us = united(spans);
        let mut lines = Vec::new();
        for (node, name) in nodes.iter().enumerate() {
            let share = LINES_MAX / nodes.len() as u64;
            let mut choice = match written {
                ..=LINES_MAX => Choice::everything(),
                _ => Choice::new(share, counts[node].written, &evidence_us),
            };
            let mut numbers = 0..;
            logs.read_node(name, recorded.began_at, |at_us, text| {
                let number = numbers.next().expect("numbers don't end");
                if choice.includes(number, at_us) {
                    lines.push(Line {
                        at_us,
                        node,
                        number,
                        text: words::clipped_to(text.as_bytes(), LINE_CHARS_MAX),
                    });
                }
            })?;
        }
        lines.sort_by_key(|line| (line.at_us, line.node, line.number));
        let mut columns = LogColumns {
            total: counts
                .iter()
                .map(|counts| counts.written + counts.omitted)
                .collect(),
            omitted: counts.iter().map(|counts| counts.omitted).collect(),
            ..LogColumns::default()
        };
        for line in lines {
            columns.node.push(line.node);
            columns.number.push(line.number);
            columns.at_us.push(line.at_us);
            columns.text.push(line.text);
        }
        Ok(columns)
    }
}

impl<'a> Choice<'a> {
    fn everything() -> Self {
        Choice {
            first_end: u64::MAX,
            last_begin: 0,
            evidence_us: &[],
            of_stretch_max: 0,
            of_stretch: (0, 0),
        }
    }

    /// Selects about `share` of `count` lines: three eighths of the share from either end, and the rest from the
    /// evidence, an equal part from each span.
    fn new(share: u64, count: u64, evidence_us: &'a [Range<i64>]) -> Self {
        let of_end = share * 3 / 8;
        Choice {
            first_end: of_end,
            last_begin: count.saturating_sub(of_end),
            evidence_us,
            of_stretch_max: (share - 2 * of_end).div_ceil(evidence_us.len().max(1) as u64),
            of_stretch: (0, 0),
        }
    }

    /// Whether the page has the line of this number. Must be called for one line after the other.
    fn includes(&mut self, number: u64, at_us: i64) -> bool {
        if number < self.first_end || number >= self.last_begin {
            return true;
        }
        let stretch = self.evidence_us.partition_point(|span| span.end <= at_us);
        if !self
            .evidence_us
            .get(stretch)
            .is_some_and(|span| span.contains(&at_us))
        {
            return false;
        }
        if self.of_stretch.0 != stretch {
            self.of_stretch = (stretch, 0);
        }
        self.of_stretch.1 += 1;
        self.of_stretch.1 <= self.of_stretch_max
    }
}

/// The same spans in microseconds, in order, with spans that touch merged.
fn united(spans: impl Iterator<Item = Range<Duration>>) -> Vec<Range<i64>> {
    let in_us =
        |span: Range<Duration>| span.start.as_micros() as i64..span.end.as_micros() as i64 + 1;
    let mut spans: Vec<Range<i64>> = spans.map(in_us).collect();
    spans.sort_by_key(|span| span.start);
    let mut united: Vec<Range<i64>> = Vec::new();
    for span in spans {
        match united.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => united.push(span),
        }
    }
    united
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the selected lines of a node that prints one line per millisecond.
    fn chosen(share: u64, count: u64, evidence_ms: &[(i64, i64)]) -> Vec<u64> {
        let in_us = |&(begin, end): &(i64, i64)| begin * 1000..end * 1000;
        let evidence_us: Vec<_> = evidence_ms.iter().map(in_us).collect();
        let mut choice = Choice::new(share, count, &evidence_us);
        (0..count)
            .filter(|&number| choice.includes(number, number as i64 * 1000))
            .collect()
    }

    #[test]
    fn of_a_long_log_the_first_lines_the_last_and_those_of_the_evidence_are_chosen() {
        for (count, evidence_ms, expected) in [
            (1000, vec![(500, 501)], vec![0, 1, 2, 500, 997, 998, 999]),
            // At most a quarter of the share.
            (
                1000,
                vec![(500, 600)],
                vec![0, 1, 2, 500, 501, 997, 998, 999],
            ),
            // An equal part from each span.
            (
                1000,
                vec![(500, 600), (700, 800)],
                vec![0, 1, 2, 500, 700, 997, 998, 999],
            ),
            (3, vec![], vec![0, 1, 2]),
        ] {
            assert_eq!(chosen(8, count, &evidence_ms), expected, "{evidence_ms:?}");
        }
    }

    #[test]
    fn times_that_touch_are_one() {
        let ms = Duration::from_millis;
        let spans = [ms(5)..ms(7), ms(1)..ms(2), ms(6)..ms(9), ms(20)..ms(20)];
        assert_eq!(
            united(spans.into_iter()),
            [1_000..2_001, 5_000..9_001, 20_000..20_001]
        );
    }
}
