//! A cluster of etcd that is started for a run: its processes, and the faults of its members.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use thiserror::Error;

use super::GatewayError;
use crate::workbench::service::etcd::{Deliver, Etcd, EtcdOptions, MemberUrl};
use crate::workbench::signals::{Received, Signals};
use crate::workbench::world::MemberCommand;

/// The maximum time from the start of the members until the cluster serves.
const START_MAX: Duration = Duration::from_secs(20);

/// The time between two attempts to connect to a cluster that starts.
const START_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The ports that members may use. They are below those that Linux gives to outgoing connections, which could otherwise
/// take the port of a member that is down: even an attempt to connect to that port could.
const PORTS: Range<u16> = 20_000..32_000;

/// A cluster that will be started for a run.
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

/// The reason why a cluster can't be started.
#[derive(Debug, Error)]
pub enum LocalError {
    /// The program is not installed.
    #[error(
        "there is no program etcd on the PATH. Debian has it in etcd-server: apt-get install etcd-server"
    )]
    NotInstalled,
    /// The operating system could not start it.
    #[error("etcd can't be started: {0}")]
    NotStarted(io::Error),
    /// Too few ports are free.
    #[error("there are not enough free ports on 127.0.0.1 for etcd between {} and {}", PORTS.start, PORTS.end)]
    NoPorts,
    /// Its files can't be written.
    #[error("{} can't be written: {error}", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The members run but did not serve within 20 s.
    #[error("{error}. The logs of the members are in {}", folder.display())]
    NotServing {
        /// The error of the last attempt.
        error: GatewayError,
        /// The folder with the logs of the members.
        folder: PathBuf,
    },
    /// A signal came before the cluster served.
    #[error("interrupted before the run began")]
    Interrupted,
}

impl LocalCluster {
    /// A cluster of `count` members on ports that are free now. The search for ports begins at one that `seed` selects.
    /// Logs and data are written to `folder`. The data is removed after the run, and without `is_kept` the folder is.
    ///
    /// # Errors
    ///
    /// [`LocalError::NoPorts`] when there are not enough free ports.
    pub fn new(
        count: usize,
        folder: PathBuf,
        is_kept: bool,
        seed: u64,
    ) -> Result<Self, LocalError> {
        let first = PORTS.start + (seed % PORTS.len() as u64) as u16;
        let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
        let mut free = (first..PORTS.end).chain(PORTS.start..first).filter(is_free);
        let mut next = || free.next().ok_or(LocalError::NoPorts);
        let mut ports = || {
            Ok(Ports {
                client: next()?,
                peer: next()?,
            })
        };
        Ok(LocalCluster {
            folder,
            is_kept,
            members: (0..count).map(|_| ports()).collect::<Result<_, _>>()?,
        })
    }

    /// The addresses of the members for clients.
    pub fn urls(&self) -> impl Iterator<Item = MemberUrl> {
        let urls = self.members.iter().map(|ports| url(ports.client));
        urls.map(|url| url.parse().expect("it is the address of a member"))
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// The processes of a cluster. Dropping it kills them and removes their data.
pub(super) struct Members {
    folder: PathBuf,
    is_kept: bool,
    members: Vec<Member>,
}

struct Member {
    command: Command,
    /// The process; `None` while the member is down.
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

    /// Connects to the cluster as soon as it serves, unless one of `signals` comes before that.
    pub(super) fn connect(
        &self,
        options: &EtcdOptions,
        deliver: &Deliver,
        signals: &mut Signals,
    ) -> Result<Etcd, LocalError> {
        let until = Instant::now() + START_MAX;
        loop {
            if signals.take().any(|signal| signal == Received::End) {
                return Err(LocalError::Interrupted);
            }
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

    /// Carries out a command of the world.
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

    /// The number of members, including those that are down.
    pub(super) fn count(&self) -> usize {
        self.members.len()
    }

    /// Kills all members.
    pub(super) fn kill(&mut self) {
        self.members.iter_mut().for_each(Member::kill);
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.kill();
        // An error is ignored: the run is over, and what remains are files in its folder or a temporary one.
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
    /// Starts the member unless it runs. It continues with its data on disk.
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
            // This fails only if the process has already been waited for.
            let _ = child.wait();
        }
    }

    /// Sends a signal to the process group. No other group can have its number before the process has been waited for.
    fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            // This fails only if the process has ended.
            let _ = kill_process_group(Pid::from_child(child), signal);
        }
    }
}

/// The folder with the data of a member.
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
