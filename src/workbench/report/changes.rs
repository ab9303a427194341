//! A run in one line, and what is different from the run before.

use super::Report;
use crate::workbench::check::Validity;

/// By which factor a figure must change to be printed. Real processes differ by less from run to run.
const CHANGE_FACTOR_MIN: f64 = 1.5;

/// By how much a latency must change to be printed: smaller changes are due to the machine.
const LATENCY_CHANGE_MIN_MS: f64 = 1.0;

impl Report {
    /// The verdict in one line: what was found, and what has changed since the run `before`, if there was one.
    pub fn line(&self, before: Option<&Report>) -> String {
        let mut parts = Vec::new();
        let verdict = verdict(self);
        match before {
            None => {
                parts.push(String::from(verdict));
                parts.extend(self.kinds_of_findings().into_iter().map(|(_, line)| line));
                let figures = self.figures().into_iter();
                parts.extend(figures.map(|(name, value, unit)| figure(name, value, unit)));
            }
            Some(before) => {
                parts.push(match self.valid == before.valid {
                    true => format!("{verdict} as before"),
                    false => format!("{verdict}, was {}", self::verdict(before)),
                });
                parts.extend(self.finding_changes(before));
                parts.extend(self.figure_changes(before));
            }
        }
        parts.join("; ")
    }

    fn finding_changes(&self, before: &Report) -> Vec<String> {
        let [were, are] = [before, self].map(Report::kinds_of_findings);
        let is_among =
            |kinds: &[(String, String)], shape| kinds.iter().any(|(other, _)| other == shape);
        let now = are
            .iter()
            .map(|(shape, line)| match is_among(&were, shape) {
                true => format!("still: {line}"),
                false => format!("new: {line}"),
            });
        let gone = were.iter().filter(|(shape, _)| !is_among(&are, shape));
        now.chain(gone.map(|(_, line)| format!("gone: {line}")))
            .collect()
    }

    /// The findings by their [shape]: the first of each, and how many more there are.
    fn kinds_of_findings(&self) -> Vec<(String, String)> {
        let mut kinds: Vec<(String, &str, usize)> = Vec::new();
        // The kind of the finding before.
        let mut last = 0;
        for finding in self.all_findings() {
            if let (hidden_count @ 1.., Some((.., more))) =
                (finding.hidden_count, kinds.get_mut(last))
            {
                *more += hidden_count;
                continue;
            }
            let line = finding.what.lines().next().unwrap_or_default();
            let shape = shape(line);
            let found = kinds.iter().position(|(other, ..)| *other == shape);
            last = found.unwrap_or(kinds.len());
            match found {
                Some(kind) => kinds[kind].2 += 1,
                None => kinds.push((shape, line.trim_end_matches('.'), 0)),
            }
        }
        let kinds = kinds.into_iter().map(|(shape, line, more)| match more {
            0 => (shape, String::from(line)),
            _ => (shape, format!("{line} (and {more} more)")),
        });
        kinds.collect()
    }

    /// The figures to compare: name, value and unit.
    fn figures(&self) -> Vec<(&'static str, f64, &'static str)> {
        let mut figures = vec![("ok", self.operations.ok as f64, "")];
        if let Some(quantiles) = self.latency_ms {
            figures.push(("p50", quantiles.p50, " ms"));
            figures.push(("p99", quantiles.p99, " ms"));
        }
        let messages = self.messages.as_ref();
        if let Some(per_operation) = messages.and_then(|messages| messages.servers_per_operation) {
            figures.push(("messages between servers", per_operation, " an operation"));
        }
        figures
    }

    fn figure_changes(&self, before: &Report) -> Vec<String> {
        let mut changes = Vec::new();
        for (name, value, unit) in self.figures() {
            let figures = before.figures().into_iter();
            let mut same = figures.filter(|(other, ..)| *other == name);
            let Some((_, was, _)) = same.next() else {
                continue;
            };
            let is_far = value > was * CHANGE_FACTOR_MIN || was > value * CHANGE_FACTOR_MIN;
            let is_small = unit == " ms" && (value - was).abs() < LATENCY_CHANGE_MIN_MS;
            if is_far && !is_small {
                let was = rounded(was);
                changes.push(format!("{}, was {was}{unit}", figure(name, value, unit)));
            }
        }
        changes
    }
}

fn verdict(report: &Report) -> &'static str {
    match report.valid {
        Validity::Valid if report.warnings.is_empty() => "valid",
        Validity::Valid => "valid with warnings",
        Validity::Invalid => "INVALID",
        Validity::Unknown => "unknown",
    }
}

fn figure(name: &str, value: f64, unit: &str) -> String {
    format!("{name} {}{unit}", rounded(value))
}

/// A figure with as many digits as matter.
fn rounded(value: f64) -> String {
    let digits = if value < 10.0 && value.fract() != 0.0 {
        2
    } else {
        0
    };
    format!("{value:.digits$}")
}

/// The part that findings of one kind have in common: the first line without numbers and repeated words, so that lists of
/// different length are equal.
fn shape(finding: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in finding.lines().next().unwrap_or_default().split(' ') {
        let word = word.replace(|char: char| char.is_ascii_digit(), "");
        if words.last() != Some(&word) {
            words.push(word);
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::workbench::report::testing::report;

    #[test]
    fn messages_between_servers_are_given_per_operation() {
        let report = |per_operation| {
            let mut report = report(&[], 1, 1.0);
            let messages = json!({
                "all": 2, "all_received": 2, "all_per_operation": 2.0, "clients": 2, "clients_received": 2,
                "servers": 0, "servers_received": 0, "servers_per_operation": per_operation
            });
            report.messages = serde_json::from_value(messages).expect("figures");
            report
        };
        let printed = "valid; ok 1; p50 1 ms; p99 9 ms; messages between servers 0 an operation";
        assert_eq!(report(0.0).line(None), printed);
        assert_eq!(
            report(2.5).line(Some(&report(0.0))),
            "valid as before; messages between servers 2.50 an operation, was 0 an operation"
        );
    }

    #[test]
    fn a_line_says_what_changed_since_the_run_before() {
        let lost = "The final read of client c7 says 5: 2 is missing.\nMore.";
        for (before, now, expected) in [
            (
                None,
                report(&[], 385, 44.0),
                "valid; ok 385; p50 44 ms; p99 9 ms",
            ),
            (
                Some(report(&[lost], 385, 44.0)),
                report(&[], 400, 50.0),
                "valid, was INVALID; gone: The final read of client c7 says 5: 2 is missing",
            ),
            (
                Some(report(&[], 385, 44.0)),
                report(&[lost], 100, 12.0),
                "INVALID, was valid; new: The final read of client c7 says 5: 2 is missing; ok 100, was 385; p50 12 ms, \
                 was 44 ms",
            ),
            (
                Some(report(&[lost], 385, 0.1)),
                report(
                    &["The final read of client c12 says 15: 3 is missing.", lost],
                    385,
                    0.9,
                ),
                "INVALID as before; still: The final read of client c12 says 15: 3 is missing (and 1 more)",
            ),
            (
                None,
                {
                    let findings = [lost, "Node n0 died.", lost, "... and 4 more like that."];
                    let mut report = report(&findings, 385, 44.0);
                    report.findings[3].hidden_count = 4;
                    report
                },
                "INVALID; The final read of client c7 says 5: 2 is missing (and 5 more); Node n0 died; \
                 ok 385; p50 44 ms; p99 9 ms",
            ),
            (
                Some(report(&[], 1, 1.0)),
                report(&[], 1, 1.0),
                "valid as before",
            ),
        ] {
            assert_eq!(now.line(before.as_ref()), expected);
        }
    }
}
