//! A stdout that takes nothing more.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::Duration;
use std::{fs, mem};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Starts a command that stores a run in `store` and can't print its result, as its stdout is a full pipe. Sends SIGINT when
/// the results are stored, and then empties the pipe.
pub fn interrupted_while_it_prints(mut command: Command, store: &Path) -> ExitStatus {
    let (mut output, mut full) = io::pipe().expect("a pipe");
    fcntl_setfl(&full, OFlags::NONBLOCK).expect("it is ours");
    while full.write(b" ").is_ok() {}
    fcntl_setfl(&full, OFlags::empty()).expect("it is ours");
    let mut eddy = command.stdout(full).spawn().expect("eddy is built");
    // It holds an end of the pipe.
    mem::drop(command);
    let results = || {
        let results = fs::read(store.join("latest/results.json")).ok()?;
        serde_json::from_slice::<Value>(&results).ok()
    };
    while results().is_none() {
        assert_eq!(eddy.try_wait().expect("it is our child"), None);
        thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&eddy), Signal::INT).expect("it can't end yet");
    io::copy(&mut output, &mut io::sink()).expect("a pipe can be read");
    eddy.wait().expect("it ends")
}
