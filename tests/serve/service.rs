//! A running service.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::client::Client;

/// How long a test waits for what has to happen.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// `eddy serve`. Dropping it kills the process, and the node with it.
pub struct Service {
    pub child: Child,
    pub address: SocketAddr,
    lines: Receiver<String>,
    /// What was printed on stderr up to now.
    pub log: Vec<String>,
}

/// The command that serves a node, with flags that are separated by spaces.
pub fn command(node: impl AsRef<Path>, flags: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eddy"));
    command
        .args(["serve", "--bin"])
        .arg(node.as_ref())
        .args(flags.split_whitespace())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Runs a command that should end by itself, and ends it if it does not. Returns its exit code and what it printed.
pub fn output(mut command: Command) -> (Option<i32>, String) {
    let mut child = command.spawn().expect("it can be run");
    let until = Instant::now() + WAIT_MAX;
    while child.try_wait().expect("it was started here").is_none() {
        if Instant::now() > until {
            child.kill().expect("it runs");
        }
        thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().expect("it has ended");
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), printed)
}

impl Service {
    /// Serves a node at a free port, and waits until the node is ready.
    pub fn start(node: impl AsRef<Path>, flags: &str) -> Self {
        Self::run(command(node, &format!("--listen 127.0.0.1:0 {flags}")))
    }

    /// Runs a command that serves, and waits until the node is ready.
    pub fn run(command: Command) -> Self {
        let mut service = Self::run_unready(command);
        service.wait_for(" is ready");
        service
    }

    /// Runs a command that serves, and waits until it listens.
    pub fn run_unready(mut command: Command) -> Self {
        let mut child = command.spawn().expect("eddy is built");
        let stderr = child.stderr.take().expect("it is piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut service = Service {
            child,
            address: ([127, 0, 0, 1], 0).into(),
            lines,
            log: Vec::new(),
        };
        let line = service.wait_for(" listens on ");
        let address = line.rsplit(' ').next().expect("a word");
        service.address = address.parse().expect("an address");
        service
    }

    /// Waits for a line on stderr with this text, and returns it.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(WAIT_MAX) {
                Ok(line) => {
                    self.log.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(error) => panic!("no line with {text:?} ({error}): {:#?}", self.log),
            }
        }
    }

    /// The address in the line that names that of the metrics.
    pub fn metrics_address(&self) -> SocketAddr {
        let line = self
            .log
            .iter()
            .find(|line| line.contains("metrics are at "));
        let (_, url) = line
            .expect("the line is printed first")
            .split_once("http://")
            .expect("a URL");
        url.trim_end_matches("/metrics")
            .parse()
            .expect("an address")
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it was started here")
    }

    /// The largest part of the memory that was ever in use, in bytes.
    pub fn peak_memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .expect("a size");
        kib.trim().parse::<u64>().expect("a number") << 10
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Addresses that are free now.
pub fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("it is bound"))
}

/// The flags of the node with this index in a cluster at these addresses.
pub fn peers_flags(index: usize, addresses: &[SocketAddr]) -> String {
    let peers = addresses
        .iter()
        .enumerate()
        .map(|(index, address)| format!("n{index}={address}"));
    format!(
        "--id n{index} --peers {}",
        peers.collect::<Vec<_>>().join(",")
    )
}
