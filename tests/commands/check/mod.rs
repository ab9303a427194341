//! `eddy check` on small imported histories.

mod again;
mod errors;
mod formats;
mod workloads;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Writes a file for `eddy check`.
fn file(name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("check");
    fs::create_dir_all(&folder).expect("the test's folder can be written to");
    let path = folder.join(name);
    fs::write(&path, content).expect("the test's folder can be written to");
    path
}

/// `eddy check` of a file, without storing anything.
fn check(workload: &str, path: &Path, more: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(["check", "--no-store", "-w", workload])
        .args(more.split_whitespace())
        .arg(path)
        .output()
        .expect("eddy is built")
}

/// The exit code and the output.
fn code_and_words(output: &Output) -> (Option<i32>, String) {
    let printed = [&output.stdout, &output.stderr];
    let printed = printed.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    (output.status.code(), printed.concat())
}
