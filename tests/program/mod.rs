//! Writes executable programs for tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Writes a program where a test can run it.
pub fn program(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("the test's folder can be written to");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    path
}
