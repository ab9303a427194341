//! Ctrl-C while many seeds are simulated.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The output of `eddy` with these words, interrupted as soon as runs are simulated.
fn interrupted(words: &str) -> Output {
    let mut eddy = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(words.split(' '))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("eddy is built");
    // Signals are watched before any thread simulates.
    let threads = format!("/proc/{}/task", eddy.id());
    while fs::read_dir(&threads).expect("it runs").count() < 2 {
        // A process that has ended keeps one thread until it is waited for.
        let ended = eddy.try_wait().expect("it is our child");
        assert_eq!(ended, None, "it has ended before any thread simulates");
        thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&eddy), Signal::INT).expect("it is our child");
    eddy.wait_with_output().expect("it ends")
}

/// The number of runs in `interrupted after N of M runs`, with which `text` begins.
#[track_caller]
fn done(text: &str, of: usize) -> usize {
    let words = text.strip_prefix("interrupted after ");
    let words = words.and_then(|rest| rest.split_once(&format!(" of {of} runs")));
    let (count, _) = words.unwrap_or_else(|| panic!("{text}"));
    count.parse().expect("a number")
}

#[test]
fn an_interrupt_ends_many_runs_and_what_they_have_shown_is_printed() {
    for (limit, invalid, status) in [
        ("", "invalid 0, unknown 0", 2),
        // The store needs messages, so every run is invalid.
        (" --max-messages-per-op 0", "unknown 0", 1),
    ] {
        let words = format!("sim -w g-counter --node-count 1 --seeds 1000000 --no-store{limit}");
        let output = interrupted(&words);
        let [printed, said] = [&output.stdout, &output.stderr].map(|text| str::from_utf8(text));
        let [printed, said] = [printed, said].map(|text| text.expect("text"));
        let count = done(printed, 1_000_000);
        assert!(printed.contains(invalid), "{printed}");
        assert!((1..1_000_000).contains(&count), "{printed}");
        assert_eq!(
            said.strip_prefix("eddy: ")
                .map(|said| done(said, 1_000_000)),
            Some(count)
        );
        assert_eq!(output.status.code(), Some(status), "{printed}");
    }
}

#[test]
fn the_json_of_runs_that_were_interrupted_says_how_many_there_were() {
    let output = interrupted("sim -w echo --node-count 1 --seeds 1000000 --no-store --json");
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let done = &printed["interruption"]["done"];
    assert!(done.as_u64() > Some(0), "{printed}");
    assert_eq!(printed["runs"], *done);
    assert_eq!(printed["interruption"]["of"], 1_000_000);
    assert_eq!(printed["valid"], "unknown");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn an_interrupt_ends_a_matrix_and_its_last_row_says_how_many_runs_it_has() {
    let output = interrupted("matrix --seeds 1000000");
    let printed = String::from_utf8_lossy(&output.stdout);
    let lines = Vec::from_iter(printed.lines());
    let [_, row, end] = *lines else {
        panic!("{printed}")
    };
    let runs = match done(end, 12_000_000) {
        1 => String::from("1 run"),
        count => format!("{count} runs"),
    };
    assert!(row.contains(&format!(" maelstrom, {runs} ")), "{printed}");
    assert_eq!(output.status.code(), Some(2), "{printed}");
}
