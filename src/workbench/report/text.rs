//! The report as text.

use std::fmt;

use serde_json::Value;

use super::{Report, ReportedFault, ReportedFinding};
use crate::workbench::check::Validity;
use crate::workbench::nemesis::STANDSTILL;
use crate::workbench::store::{HISTORY, LOG, MESSAGES, PAGE, RESULTS};
use crate::workbench::words;

/// A time in milliseconds, with two significant digits or more.
pub(super) struct Milliseconds(pub(super) f64);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.0 {
            ..0.1 => 3,
            ..10.0 => 2,
            _ => 0,
        };
        write!(f, "{:.digits$} ms", self.0)
    }
}

impl fmt::Display for ReportedFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.what.lines();
        writeln!(f, "\n  - {}", lines.next().unwrap_or_default())?;
        for line in lines {
            writeln!(f, "    {line}")?;
        }
        for operation in &self.operations {
            writeln!(f, "      {operation}")?;
        }
        Ok(())
    }
}

impl Report {
    /// What to say if most operations did not succeed: `only 11 of 35 operations succeeded`.
    pub fn few_succeeded(&self) -> Option<String> {
        let (ok, total) = (self.operations.ok, self.operations.total());
        let total_words = words::counted(total, "operation");
        (2 * ok < total).then(|| format!("only {ok} of {total_words} succeeded"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            workload, clients, ..
        } = self;
        let subject = match self.history {
            None => "run",
            Some(_) => "history",
        };
        let (ok, total) = (self.operations.ok, self.operations.total());
        let few = self.few_succeeded();
        let few = few.map_or_else(String::new, |few| format!(", but {few}"));
        match self.valid {
            Validity::Valid if !self.warnings.is_empty() => {
                writeln!(
                    f,
                    "valid with warnings: Maelstrom lets this {subject} pass{few}"
                )?;
            }
            Validity::Valid if !few.is_empty() => writeln!(f, "valid: no answer is wrong{few}")?,
            Validity::Valid => writeln!(f, "valid: nothing is wrong with this {subject}")?,
            Validity::Invalid => {
                writeln!(f, "INVALID: this {subject} shows what must not happen")?;
            }
            Validity::Unknown => writeln!(f, "unknown: this {subject} could not be decided")?,
        }
        for finding in &self.findings {
            write!(f, "{finding}")?;
        }
        if let Some(warning) = self.warnings.first() {
            let strict = match warning.valid {
                Validity::Valid => "",
                _ => ", but --strict does not",
            };
            writeln!(f, "\nWarnings: Maelstrom lets these pass{strict}")?;
        }
        for warning in &self.warnings {
            write!(f, "{warning}")?;
        }
        write!(f, "\n{workload}")?;
        match (&self.history, self.time_limit_s) {
            (None, Some(time_s)) => write!(f, " for {} s", (time_s * 1e3).round() / 1e3)?,
            (Some(_), Some(time_s)) => write!(f, " for {time_s:.1} s")?,
            (_, None) => {}
        }
        match &self.history {
            None => write!(f, ": nodes {}, ", self.nodes.join(" "))?,
            Some(file) => write!(f, ", from {}: ", file.display())?,
        }
        writeln!(f, "clients {clients}, faults {}", self.faults.len())?;
        let standstills = self.faults.iter();
        for fault in standstills.filter(|fault| fault.what.starts_with(STANDSTILL)) {
            let ReportedFault { what, began_s, .. } = fault;
            writeln!(
                f,
                "standstill  {what} at {began_s:.1} s: it was stopped, its output was not read, or the machine was too busy; \
                 that time does not count"
            )?;
        }
        write!(f, "operations  {}", self.operations)?;
        if let (Some(reached), Some(rate)) = (self.operations_per_s, self.rate_per_s) {
            write!(f, "; {reached:.1} a second of {rate} asked for")?;
        }
        writeln!(f)?;
        if let Some(quantiles) = self.latency_ms {
            let which = if ok < total {
                " (of those that are ok)"
            } else {
                ""
            };
            writeln!(f, "latency     {quantiles}{which}")?;
        }
        if self.latency_ms_by_type.len() > 1 {
            let kinds = self.latency_ms_by_type.keys();
            let width = kinds.map(|kind| kind.len()).fold(9, usize::max);
            for (kind, quantiles) in &self.latency_ms_by_type {
                writeln!(f, "  {kind:<width$} {quantiles}")?;
            }
        }
        if let Some(messages) = &self.messages {
            write!(
                f,
                "messages    {} in all, {:.2} an operation",
                messages.all, messages.all_per_operation
            )?;
            if let Some(per_operation) = messages.servers_per_operation {
                write!(f, "; between servers {per_operation:.2} an operation")?;
            }
            if messages.stale_received > 0 {
                write!(f, "; stale replies of services {}", messages.stale_received)?;
            }
            writeln!(f)?;
        }
        for (name, value) in self.facts.iter().filter(|(_, value)| is_telling(value)) {
            let name = name.replace('_', " ");
            writeln!(f, "{name:<11} {}", words::figure(value))?;
        }
        for measure in &self.limits {
            writeln!(f, "limit       {measure}")?;
        }
        if let Some(folder) = &self.store {
            let folder = folder.display();
            writeln!(f, "stored in   {folder}")?;
            if self.are_whole(&[PAGE]) {
                writeln!(f, "page        {folder}/{PAGE}")?;
            }
            let folder = words::for_shell(&folder.to_string());
            let needed = [RESULTS, HISTORY, LOG, MESSAGES];
            if total > 0 && self.has_messages() && self.are_whole(&needed) {
                let cited = self.evidence().next();
                let operation = cited.map_or("N".into(), |index| index.to_string());
                writeln!(
                    f,
                    "            eddy show {folder} --operation {operation} prints operation {operation} and its messages"
                )?;
            }
            if self.has_messages() && self.are_whole(&[MESSAGES]) {
                writeln!(
                    f,
                    "            eddy show {folder} --messages prints all messages"
                )?;
            }
        }
        match &*self.repeat {
            "" => Ok(()),
            command => write!(f, "\nagain       {command}"),
        }
    }
}

/// Whether a figure gets a line: it is not a long list, and not empty.
fn is_telling(value: &Value) -> bool {
    match value {
        Value::Array(_) | Value::Null => false,
        Value::Object(figures) => !figures.is_empty(),
        value => *value != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::report;

    #[test]
    fn the_rate_that_was_reached_stands_beside_the_rate_that_was_asked_for() {
        let mut report = report(&[], 4, 0.0421);
        assert!(!report.to_string().contains(" asked for"), "{report}");
        report.operations_per_s = Some(3.96);
        report.rate_per_s = Some(100.0);
        let printed = report.to_string();
        let expected =
            "operations  4: ok 4, failed 0, indeterminate 0; 4.0 a second of 100 asked for\n";
        assert!(printed.contains(expected), "{printed}");
    }

    #[test]
    fn latencies_say_whose_they_are_where_not_every_operation_succeeded() {
        let mut report = report(&[], 4, 0.0421);
        let latency = "latency     p50 0.042 ms, p95 9.00 ms, p99 9.00 ms, max 9.00 ms";
        assert!(
            report.to_string().contains(&format!("{latency}\n")),
            "{report}"
        );
        report.operations.failed = 1;
        let expected = format!("{latency} (of those that are ok)\n");
        assert!(report.to_string().contains(&expected), "{report}");
    }
}
