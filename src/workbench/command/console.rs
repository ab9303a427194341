//! The terminal: the progress of a run, and how the output of nodes is made safe to print.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::error::CommandError;
use crate::workbench::check::Validity;
use crate::workbench::log::Sink;
use crate::workbench::words::counted;
use crate::workbench::world::Progress;

/// A progress line on the terminal, if stderr is one, and the log on stderr.
pub(super) struct Console {
    line: ProgressBar,
    time_limit: Duration,
}

impl Console {
    pub(super) fn new(time_limit: Duration) -> Self {
        // The bar hides itself if stderr is not a terminal.
        let line = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{spinner} {wide_msg}");
        line.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Console { line, time_limit }
    }

    /// Removes the progress line.
    pub(super) fn clear(&self) {
        self.line.finish_and_clear();
    }
}

impl Sink for Console {
    fn progress(&mut self, progress: &Progress<'_>) {
        if self.line.is_hidden() {
            return;
        }
        let elapsed_s = progress.elapsed.as_secs_f64();
        let operations = counted(progress.operation_count, "operation");
        let rate_per_s = progress.operation_count as f64 / elapsed_s.max(0.1);
        let faults: String = progress
            .faults
            .iter()
            .map(|fault| format!(" · {fault}"))
            .collect();
        self.line.set_message(format!(
            "{} · {elapsed_s:.0} of {} s · {operations}, {rate_per_s:.0} a second{faults}",
            progress.phase,
            self.time_limit.as_secs_f64(),
        ));
        self.line.tick();
    }

    fn line(&mut self, line: &str, _: Option<&str>) {
        self.line.suspend(|| say(format_args!("{line}")));
    }
}

/// What a command returns that prints what is stored. If the reader goes before the end, such as `head`, it has seen enough.
pub(super) fn as_far_as_read(printed: Result<(), CommandError>) -> Result<Validity, CommandError> {
    match printed {
        Err(CommandError::Print(error)) if error.kind() == ErrorKind::BrokenPipe => {
            Ok(Validity::Valid)
        }
        printed => printed.map(|()| Validity::Valid),
    }
}

/// Prints a line on stderr. If nobody reads stderr any longer, as after `| head`, the run continues.
pub(super) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{}", harmless(&line.to_string()));
}

/// A text of any origin, made safe to print on a terminal: control characters are escaped, except for ends of lines and
/// tabs.
pub(super) fn harmless(text: &str) -> Cow<'_, str> {
    let is_harmful = |char: char| char.is_control() && char != '\n' && char != '\t';
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::new();
    for char in text.chars() {
        match is_harmful(char) {
            true => escaped.extend(char.escape_default()),
            false => escaped.push(char),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_lines_and_tabs_and_no_other_control_characters() {
        assert_eq!(harmless("één\t\"a\"\n"), "één\t\"a\"\n");
        assert_eq!(
            harmless("\u{1b}[31m\u{9b}\u{7f}\r\0\n"),
            "\\u{1b}[31m\\u{9b}\\u{7f}\\r\\u{0}\n"
        );
    }
}
