//! A program under test, its pipes, and its output.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

pub const G_COUNTER: &str = env!("CARGO_BIN_EXE_g-counter");
pub const ECHO: &str = env!("CARGO_BIN_EXE_echo");
pub const G_SET: &str = env!("CARGO_BIN_EXE_g-set");
pub const UNIQUE_IDS: &str = env!("CARGO_BIN_EXE_unique-ids");
pub const PN_COUNTER: &str = env!("CARGO_BIN_EXE_pn-counter");
pub const BROADCAST: &str = env!("CARGO_BIN_EXE_broadcast");
pub const KAFKA: &str = env!("CARGO_BIN_EXE_kafka");
pub const LIN_KV: &str = env!("CARGO_BIN_EXE_lin-kv");
pub const TXN_RW_REGISTER: &str = env!("CARGO_BIN_EXE_txn-rw-register");
pub const TXN_LIST_APPEND: &str = env!("CARGO_BIN_EXE_txn-list-append");

/// Every program, the counter at every level.
pub const NODES: &[(&str, &[&str])] = &[
    (ECHO, &[]),
    (UNIQUE_IDS, &[]),
    (BROADCAST, &[]),
    (G_SET, &[]),
    (G_COUNTER, &["--consistency", "regular"]),
    (G_COUNTER, &["--consistency", "linearizable"]),
    (G_COUNTER, &["--consistency", "sequential"]),
    (G_COUNTER, &["--consistency", "eventual"]),
    (PN_COUNTER, &[]),
    (KAFKA, &[]),
    (LIN_KV, &[]),
    (TXN_RW_REGISTER, &[]),
    (TXN_LIST_APPEND, &[]),
];

/// The levels that keep the counter in a store.
pub const LEVELS: [&str; 3] = ["regular", "linearizable", "sequential"];
pub const ALL_LEVELS: [&str; 4] = ["regular", "linearizable", "sequential", "eventual"];

/// Longer than anything here takes on a busy machine. Only a test that fails waits so long.
const TEST_TIMEOUT: Duration = Duration::from_secs(60);

pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: Option<ChildStdout>,
    /// Standard output, line by line, if it is read.
    lines: Option<Receiver<String>>,
    /// The thread that reads standard error, if it is a pipe.
    errors: Option<JoinHandle<String>>,
}

/// The end of a program.
pub struct Ended {
    /// `None` if a signal ended it.
    pub exit_code: Option<i32>,
    /// The rest of standard output that was not read.
    pub lines: Vec<String>,
    /// Standard error.
    pub errors: String,
}

impl Process {
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        Self::spawn(Command::new(program).args(arguments))
    }

    /// A program that has answered its `init` as `n0` of `n0`, `n1`.
    pub fn initialised(program: &str, arguments: &[&str]) -> Self {
        let mut process = Self::initialised_unread(program, arguments);
        assert_eq!(process.message()["body"]["type"], "init_ok");
        process
    }

    /// The same, with the reply still to be read.
    pub fn initialised_unread(program: &str, arguments: &[&str]) -> Self {
        let mut process = Self::start(program, arguments);
        let init = json!({"type": "init", "node_id": "n0", "node_ids": ["n0", "n1"], "msg_id": 1});
        process.send(&request("c0", init));
        process
    }

    /// Starts a command. Its streams are pipes unless they are set already.
    pub fn spawn(command: &mut Command) -> Self {
        command.stderr(Stdio::piped());
        Self::adopt(command.stdin(Stdio::piped()).stdout(Stdio::piped()))
    }

    /// Starts a command with the streams that are set.
    pub fn adopt(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the program has been built");
        let errors = child.stderr.take().map(|mut errors| {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                errors.read_to_end(&mut bytes).expect("pipes can be read");
                String::from_utf8(bytes).expect("complaints are UTF-8")
            })
        });
        Process {
            input: child.stdin.take(),
            output: child.stdout.take(),
            child,
            lines: None,
            errors,
        }
    }

    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_child(&self.child);
        kill_process(id, signal).expect("it is our child");
    }

    /// Stops the program, and waits until it has stopped.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        while self.state() != 'T' {
            thread::yield_now();
        }
    }

    /// The maximum resident memory of the program so far, in KiB.
    pub fn peak_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("Linux tells of every process");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.expect("it is shown for every process").trim();
        let (peak_kib, _) = peak.split_once(" kB").expect("it is shown in kB");
        peak_kib.parse().expect("it is a number")
    }

    /// The number of its read and write system calls so far, and of similar ones.
    pub fn reads_and_writes(&self) -> u64 {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.child.id()));
        let io = io.expect("Linux tells of every child");
        let counts = io.lines().filter_map(|line| {
            let count = line
                .strip_prefix("syscr: ")
                .or(line.strip_prefix("syscw: "))?;
            Some(count.parse::<u64>().expect("it is a number"))
        });
        counts.sum()
    }

    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// The state of the process as in /proc: `R` runs, `S` sleeps, `T` is stopped.
    pub fn state(&self) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("Linux tells of every process");
        let (_, after_name) = stat.rsplit_once(") ").expect("the name is in brackets");
        after_name
            .chars()
            .next()
            .expect("the state follows the name")
    }

    /// Sends one line.
    pub fn send(&mut self, line: &str) {
        self.send_bytes(format!("{line}\n").as_bytes());
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("the input is open");
        input.write_all(bytes).expect("the program reads its input");
    }

    pub fn take_input(&mut self) -> ChildStdin {
        self.input.take().expect("the input is open")
    }

    pub fn take_output(&mut self) -> ChildStdout {
        self.output.take().expect("nobody reads the output yet")
    }

    fn lines(&mut self) -> &Receiver<String> {
        let output = &mut self.output;
        self.lines.get_or_insert_with(|| {
            let output = BufReader::new(output.take().expect("the output is a pipe"));
            let (sender, lines) = channel();
            thread::spawn(move || {
                for line in output.lines() {
                    // The test no longer reads.
                    let _ = sender.send(line.expect("the output is UTF-8"));
                }
            });
            lines
        })
    }

    /// The next line of output.
    pub fn line(&mut self) -> String {
        let line = self.lines().recv_timeout(TEST_TIMEOUT);
        line.expect("the program goes on writing")
    }

    /// The next line of output, which must be a message.
    pub fn message(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Ends the input and waits for the program.
    pub fn end(mut self) -> Ended {
        self.input = None;
        self.wait()
    }

    /// Waits for a program that ends by itself.
    pub fn wait(mut self) -> Ended {
        let mut lines = Vec::new();
        if self.output.is_some() || self.lines.is_some() {
            let received = self.lines();
            while let Some(line) = match received.recv_timeout(TEST_TIMEOUT) {
                Ok(line) => Some(line),
                Err(RecvTimeoutError::Disconnected) => None,
                Err(RecvTimeoutError::Timeout) => panic!("the program does not end"),
            } {
                lines.push(line);
            }
        }
        // Its pipes are closed, so it ends.
        let status = self.child.wait().expect("it is our child");
        let errors = self.errors.take().map(JoinHandle::join);
        Ended {
            exit_code: status.code(),
            lines,
            errors: errors.map_or(String::new(), |errors| {
                errors.expect("the reader of errors doesn't panic")
            }),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, unless a test has failed or ignores how it ends.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line with a message from `client` to `n0`.
pub fn request(client: &str, body: Value) -> String {
    json!({"id": 7, "src": client, "dest": "n0", "body": body}).to_string()
}
