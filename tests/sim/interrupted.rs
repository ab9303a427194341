//! Ctrl-C while many seeds are simulated.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

#[test]
fn an_interrupt_ends_many_runs_and_says_how_many_there_were() {
    for (command, of) in [
        (
            "sim -w echo --node-count 1 --seeds 1000000 --no-store",
            " of 1000000 runs\n",
        ),
        ("matrix --seeds 1000000", " of 12000000 runs\n"),
    ] {
        let mut eddy = Command::new(env!("CARGO_BIN_EXE_eddy"))
            .args(command.split(' '))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("eddy is built");
        // Signals are watched before any thread simulates. One thread waits for signals.
        let threads = format!("/proc/{}/task", eddy.id());
        while fs::read_dir(&threads).expect("it runs").count() < 3 {
            // A process that has ended keeps one thread until it is waited for.
            let ended = eddy.try_wait().expect("it is our child");
            assert_eq!(ended, None, "it has ended before any thread simulates");
            thread::sleep(Duration::from_millis(10));
        }
        kill_process(Pid::from_child(&eddy), Signal::INT).expect("it is our child");
        let output = eddy.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        let begins = said.starts_with("eddy: interrupted after ");
        assert!(begins && said.ends_with(of), "{said}");
        let signal = output.status.signal();
        assert_eq!(signal, Some(Signal::INT.as_raw()), "{}", output.status);
    }
}
