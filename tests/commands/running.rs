//! Starts `eddy` beside a test.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStderr, Command, Stdio};

/// Starts a command with a pipe for its stdout, and waits for the first line that it prints on stderr. Returns the
/// process, that line, and the lines that follow.
pub fn started(command: &mut Command) -> (Child, String, Lines<BufReader<ChildStderr>>) {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("eddy is built");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let first = lines.next().expect("a line").expect("UTF-8");
    (child, first, lines)
}
