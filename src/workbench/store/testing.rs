//! Folders for tests.

use std::path::PathBuf;
use std::{env, fs};

/// An empty folder with this name, which no other test uses. It is beside the program of the tests, so that the next run
/// of the tests empties it.
pub fn folder(name: &str) -> PathBuf {
    let program = env::current_exe().expect("the program of the tests has a path");
    let path = program.with_extension("tmp").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("the folder of the program can be written to");
    path
}
