//! A cluster of etcd that is started for a run: its processes, and the faults that they suffer.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use thiserror::Error;

use super::GatewayError;
use crate::workbench::service::etcd::{Deliver, Etcd, EtcdOptions, MemberUrl};
use crate::workbench::world::MemberCommand;

/// How long a cluster may take to serve after its members were started.
const START_MAX: Duration = Duration::from_secs(20);

/// How often it is tried whether they serve.
const START_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Where ports are looked for: below those from which Linux takes ports for connections. While a member is down, nothing
/// else may take its port, not even a connection that is tried to that port.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A cluster that a run is to have.
#[derive(Debug)]
pub struct LocalCluster {
    folder: PathBuf,
    is_kept: bool,
    members: Vec<Ports>,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    client: u16,
    peer: u16,
}

/// Why a cluster can't be started.
#[derive(Debug, Error)]
pub enum LocalError {
    /// The program is not there.
    #[error(
        "there is no program etcd on the PATH. Debian has it in etcd-server: apt-get install etcd-server"
    )]
    NotInstalled,
    /// The operating system could not start it.
    #[error("etcd can't be started: {0}")]
    NotStarted(io::Error),
    /// There are no ports for it.
    #[error("there are not enough free ports on 127.0.0.1 for etcd between {} and {}", PORTS.start, PORTS.end)]
    NoPorts,
    /// Its files can't be written.
    #[error("{} can't be written: {error}", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// The members run and do not serve.
    #[error("{error}. The logs of the members are in {}", folder.display())]
    NotServing {
        /// What one of them said.
        error: GatewayError,
        /// Where the logs are.
        folder: PathBuf,
    },
}

impl LocalCluster {
    /// A cluster with `count` members on ports that are free now. Its logs are written to `folder`, and removed with the
    /// data if they are not to be kept.
    ///
    /// # Errors
    ///
    /// When there are not enough free ports.
    pub fn new(
        count: usize,
        folder: PathBuf,
        is_kept: bool,
        seed: u64,
    ) -> Result<Self, LocalError> {
        let first = PORTS.start + (seed % PORTS.len() as u64) as u16;
        let mut listeners = (first..PORTS.end)
            .chain(PORTS.start..first)
            .filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
        // All are held until the last is found, so that none is found twice.
        let listeners: Vec<_> = listeners.by_ref().take(2 * count).collect();
        let ports = listeners.iter().map(TcpListener::local_addr);
        let ports: Vec<u16> = ports.flatten().map(|address| address.port()).collect();
        let pairs = ports.chunks_exact(2);
        let members: Vec<_> = pairs
            .map(|pair| Ports {
                client: pair[0],
                peer: pair[1],
            })
            .collect();
        if members.len() < count {
            return Err(LocalError::NoPorts);
        }
        Ok(LocalCluster {
            folder,
            is_kept,
            members,
        })
    }

    /// The addresses of the members.
    pub fn urls(&self) -> impl Iterator<Item = MemberUrl> {
        let url = |ports: &Ports| url(ports.client).parse();
        self.members
            .iter()
            .map(move |ports| url(ports).expect("a URL"))
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// The processes of a cluster. All have ended when this is dropped, and their data is removed.
pub(super) struct Members {
    folder: PathBuf,
    is_kept: bool,
    members: Vec<Member>,
}

struct Member {
    command: Command,
    /// None while it is killed.
    child: Option<Child>,
}

impl Members {
    /// Starts all members.
    pub(super) fn start(cluster: &LocalCluster) -> Result<Self, LocalError> {
        let LocalCluster {
            folder,
            is_kept,
            members,
        } = cluster;
        fs::create_dir_all(folder).map_err(not_written(folder))?;
        let peers = members.iter().enumerate();
        let peers = peers.map(|(index, ports)| format!("m{index}={}", url(ports.peer)));
        let peers = peers.collect::<Vec<_>>().join(",");
        let mut started = Members {
            folder: folder.clone(),
            is_kept: *is_kept,
            members: Vec::new(),
        };
        for (index, ports) in members.iter().enumerate() {
            let command = command(folder, index, *ports, &peers)?;
            let mut member = Member {
                command,
                child: None,
            };
            member.start()?;
            started.members.push(member);
        }
        Ok(started)
    }

    /// Begins a session as soon as the cluster serves.
    pub(super) fn connect(
        &self,
        options: &EtcdOptions,
        deliver: &Deliver,
    ) -> Result<Etcd, LocalError> {
        let until = Instant::now() + START_MAX;
        loop {
            match Etcd::connect(options, Deliver::clone(deliver)) {
                Ok(etcd) => return Ok(etcd),
                Err(_) if Instant::now() < until => thread::sleep(START_POLL_INTERVAL),
                Err(error) => {
                    let folder = self.folder.clone();
                    return Err(LocalError::NotServing { error, folder });
                }
            }
        }
    }

    /// Does what the nemesis commands.
    pub(super) fn carry_out(&mut self, command: MemberCommand) -> Result<(), LocalError> {
        match command {
            MemberCommand::Kill(index) => self.members[index].kill(),
            MemberCommand::StartAll => {
                for member in &mut self.members {
                    member.start()?;
                }
            }
            MemberCommand::Pause(index) => self.members[index].signal(Signal::STOP),
            MemberCommand::ContinueAll => {
                for member in &self.members {
                    member.signal(Signal::CONT);
                }
            }
        }
        Ok(())
    }

    /// The process groups of the members that run.
    pub(super) fn groups(&self) -> impl Iterator<Item = u32> {
        let children = self
            .members
            .iter()
            .filter_map(|member| member.child.as_ref());
        children.map(Child::id)
    }

    /// How many there are, those included that are killed.
    pub(super) fn count(&self) -> usize {
        self.members.len()
    }

    /// Ends all members.
    pub(super) fn kill(&mut self) {
        self.members.iter_mut().for_each(Member::kill);
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.kill();
        // What can't be removed stays.
        if !self.is_kept {
            let _ = fs::remove_dir_all(&self.folder);
            return;
        }
        for index in 0..self.members.len() {
            let _ = fs::remove_dir_all(data(&self.folder, index));
        }
    }
}

impl Member {
    /// Starts the member, unless it runs. It goes on from what it has on disk.
    fn start(&mut self) -> Result<(), LocalError> {
        if self.child.is_none() {
            let child = self.command.spawn().map_err(|error| match error.kind() {
                ErrorKind::NotFound => LocalError::NotInstalled,
                _ => LocalError::NotStarted(error),
            })?;
            self.child = Some(child);
        }
        Ok(())
    }

    fn kill(&mut self) {
        self.signal(Signal::KILL);
        if let Some(mut child) = self.child.take() {
            // It fails only if the process has been waited for already.
            let _ = child.wait();
        }
    }

    /// Sends a signal to the process group. Its number is the member's own until it has been waited for.
    fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            // It fails only if the process has ended.
            let _ = kill_process_group(Pid::from_child(child), signal);
        }
    }
}

/// Where a member keeps its data.
fn data(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("m{index}.data"))
}

/// The command that starts a member.
fn command(folder: &Path, index: usize, ports: Ports, peers: &str) -> Result<Command, LocalError> {
    let path = folder.join(format!("m{index}.log"));
    let log = File::create(&path).map_err(not_written(&path))?;
    let log_again = log.try_clone().map_err(not_written(&path))?;
    let (client, peer) = (url(ports.client), url(ports.peer));
    let mut command = Command::new("etcd");
    command
        .args(["--name", &format!("m{index}"), "--data-dir"])
        .arg(data(folder, index))
        .args([
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            &client,
        ])
        .args([
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
        ])
        .args(["--initial-cluster", peers])
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log_again);
    Ok(command)
}

fn not_written(path: &Path) -> impl FnOnce(io::Error) -> LocalError {
    let path = path.to_path_buf();
    move |error| LocalError::Folder { path, error }
}
