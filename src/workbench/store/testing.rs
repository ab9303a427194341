//! Folders for tests.

use std::fs;
use std::path::PathBuf;
use std::process;

/// An empty folder with this name, which no other test uses.
pub fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("eddy-{name}-{}", process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("the folder for temporary files can be written to");
    path
}
