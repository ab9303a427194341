//! The driver for real processes: one loop over the pipes of all nodes.
//!
//! Time is real, and pipes are nonblocking: input that a node does not read yet waits here, and never keeps the loop from
//! reading the output of another.

mod executable;
mod guard;
mod members;
mod node;
mod program;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use thiserror::Error;

use super::service::LateAnswer;
use super::service::etcd::{Deliver, Etcd, EtcdOptions, GatewayError};
use super::stdout;
use super::workload::Workload;
use super::world::{NodeCommand, Observer, Record, StartError, World};
use guard::Guard;
use members::Members;
use node::NodeProcess;

pub use members::{LocalCluster, LocalError};
pub use program::{Program, ProgramError};

/// How long nodes may take to end by themselves when their input has ended, or when they have closed their output.
const GRACE: Duration = Duration::from_millis(500);

/// How often progress is shown, and stdout is checked.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// What a [`RunError::System`] says where the pipes of a node can't be watched.
const WATCH_PIPES: &str = "watch the pipes of a node";

const SIGNALS: Token = Token(usize::MAX);

/// Wakes the loop when a cluster has answered.
const LATE_ANSWERS: Token = Token(usize::MAX - 1);

/// Why there is nothing to check.
#[derive(Debug, Error)]
pub enum RunError {
    /// The program can't be run.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A cluster that is to answer for a service does not serve.
    #[error("{0}. All members have to serve when a run begins")]
    Etcd(#[from] GatewayError),
    /// The cluster of the run can't be started.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The nodes did not get ready.
    #[error("{error}{last_words}")]
    Start {
        /// What was wrong.
        error: StartError,
        /// The last output of the nodes, in words, where the error does not hold it.
        last_words: String,
    },
    /// The operating system refused something.
    #[error("the operating system refused to {what}: {error}")]
    System {
        /// What was asked of it, such as "watch pipes".
        what: &'static str,
        /// Its answer.
        error: io::Error,
    },
}

/// Makes an error of the operating system one that says what was asked of it.
fn refused(what: &'static str) -> impl FnOnce(io::Error) -> RunError {
    move |error| RunError::System { what, error }
}

/// The clusters that answer for services in a run.
#[derive(Debug, Default)]
pub struct Clusters {
    /// Which service each answers for.
    pub services: Vec<EtcdOptions>,
    /// The cluster that is started for the run, if one is. All services are its.
    pub local: Option<LocalCluster>,
}

/// Runs a world with real processes, one for each name in `names`, and with these clusters for services. All processes
/// have ended when it returns. A signal ends the run early, and so does a stdout that can't be written to any longer.
///
/// # Errors
///
/// When there is nothing to check.
pub fn run<W: Workload, O: Observer>(
    world: World<W, O>,
    names: &[String],
    program: &Program,
    clusters: &Clusters,
) -> Result<Record<W>, RunError> {
    let mut driver = Driver::start(world, names, program.clone(), clusters)?;
    driver.run()?;
    let unfinished = driver.unfinished_lines();
    driver.end_nodes()?;
    let last_words = unfinished + &driver.last_words();
    driver.world.finish().map_err(|error| RunError::Start {
        last_words: match error {
            StartError::Exited { .. } | StartError::Interrupted => String::new(),
            StartError::NoAnswer { .. }
            | StartError::Refused { .. }
            | StartError::ClosedStdout { .. } => last_words,
        },
        error,
    })
}

struct Driver<W: Workload, O> {
    world: World<W, O>,
    program: Program,
    nodes: Vec<NodeProcess>,
    members: Option<Members>,
    /// Dropped after the nodes and members, which it guards.
    guard: Guard,
    poll: Poll,
    signals: Signals,
    late_answers: Receiver<LateAnswer>,
    began: Instant,
    is_interrupted: bool,
}

impl<W: Workload, O: Observer> Driver<W, O> {
    fn start(
        mut world: World<W, O>,
        names: &[String],
        program: Program,
        clusters: &Clusters,
    ) -> Result<Self, RunError> {
        let poll = Poll::new().map_err(refused("watch pipes"))?;
        // Before the first node starts, so that no SIGCHLD is missed.
        let mut signals =
            Signals::new([SIGCHLD, SIGINT, SIGTERM, SIGHUP]).map_err(refused("watch signals"))?;
        poll.registry()
            .register(&mut signals, SIGNALS, mio::Interest::READABLE)
            .map_err(refused("watch signals"))?;
        let (sender, late_answers) = mpsc::channel();
        let waker = Waker::new(poll.registry(), LATE_ANSWERS).map_err(refused("make a waker"))?;
        let deliver: Deliver = Arc::new(move |answer| {
            // After the run, nobody listens any longer.
            if sender.send(answer).is_ok() {
                waker.wake().expect("a waker can be written to");
            }
        });
        let mut guard = Guard::start().map_err(refused("start a shell that ends nodes in need"))?;
        let members = clusters.local.as_ref().map(Members::start).transpose()?;
        guard.watch(members.iter().flat_map(Members::groups));
        for options in &clusters.services {
            let service = match &members {
                Some(members) => members.connect(options, &deliver)?,
                None => Etcd::connect(options, Arc::clone(&deliver))?,
            };
            world.replace_service(options.service, Box::new(service));
        }
        if let Some(members) = &members {
            world.set_etcd_members(members.count());
        }
        let mut nodes = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let child = program.spawn()?;
            let node = NodeProcess::new(name, index, child, poll.registry());
            nodes.push(node.map_err(refused(WATCH_PIPES))?);
        }
        let mut driver = Driver {
            world,
            program,
            nodes,
            members,
            guard,
            poll,
            signals,
            late_answers,
            began: Instant::now(),
            is_interrupted: false,
        };
        driver.watch_groups();
        Ok(driver)
    }

    fn run(&mut self) -> Result<(), RunError> {
        let mut events = Events::with_capacity(256);
        let mut progress_at = Duration::ZERO;
        loop {
            let now = self.began.elapsed();
            self.world.advance(now);
            self.run_commands()?;
            for (index, node) in self.nodes.iter_mut().enumerate() {
                node.write(self.world.inbox(index), self.poll.registry())
                    .map_err(refused("write to a node"))?;
            }
            if self.world.is_over() {
                return Ok(());
            }
            if now >= progress_at {
                self.world.show_progress(now);
                self.is_interrupted |= stdout::check().is_err();
                progress_at = now + PROGRESS_INTERVAL;
            }
            let deadline = self.world.next_deadline();
            let until = deadline.map_or(progress_at, |deadline| deadline.min(progress_at));
            self.wait(&mut events, until)?;
            self.read()?;
            if self.is_interrupted {
                self.world.interrupt(self.began.elapsed());
            }
        }
    }

    /// Carries out the commands of the nemesis.
    fn run_commands(&mut self) -> Result<(), RunError> {
        let mut has_run = false;
        while let Some(command) = self.world.next_command() {
            has_run = true;
            match command {
                NodeCommand::Kill(index) => self.nodes[index].kill(),
                NodeCommand::Start(index) => {
                    let child = self.program.spawn()?;
                    let node = &mut self.nodes[index];
                    node.restart(index, child, self.poll.registry())
                        .map_err(refused(WATCH_PIPES))?;
                }
                NodeCommand::Pause(index) => self.nodes[index].pause(),
                NodeCommand::Continue(index) => self.nodes[index].resume(),
            }
        }
        while let Some(command) = self.world.next_member_command() {
            has_run = true;
            let members = self.members.as_mut();
            let members = members.expect("the nemesis knows of no members unless there are some");
            members.carry_out(command)?;
        }
        if has_run {
            self.watch_groups();
        }
        Ok(())
    }

    /// Has the guard end all processes that run now, and no others.
    fn watch_groups(&mut self) {
        let nodes = self.nodes.iter().filter_map(NodeProcess::group);
        let members = self.members.iter().flat_map(Members::groups);
        self.guard.watch(nodes.chain(members));
    }

    /// Sleeps until an event or until this time. Does not sleep while there is more to read from a node.
    fn wait(&mut self, events: &mut Events, until: Duration) -> Result<(), RunError> {
        let has_more = self.nodes.iter().any(NodeProcess::has_more);
        let timeout = if has_more {
            Duration::ZERO
        } else {
            until.saturating_sub(self.began.elapsed())
        };
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(refused("wait for events")(error));
            }
            _ => {}
        }
        for event in events.iter() {
            match event.token() {
                SIGNALS => self.take_signals(),
                LATE_ANSWERS => {}
                token => self.nodes[node::index(token)].note_event(token),
            }
        }
        Ok(())
    }

    fn take_signals(&mut self) {
        for signal in self.signals.pending() {
            if signal == SIGCHLD {
                for node in &mut self.nodes {
                    node.note_child_event();
                }
            } else {
                self.is_interrupted = true;
            }
        }
    }

    /// Takes in what clusters have answered, reads once from each node that has output, and takes note of nodes that have
    /// ended.
    fn read(&mut self) -> Result<(), RunError> {
        let now = self.began.elapsed();
        for answer in self.late_answers.try_iter() {
            self.world.on_late_answer(&answer, now);
        }
        for (index, node) in self.nodes.iter_mut().enumerate() {
            node.read_stderr(|line| self.world.on_log_line(index, line, now))
                .map_err(refused("read a node's stderr"))?;
            node.read_stdout(|line| match line {
                Ok(line) => self.world.on_line(index, line, now),
                Err(error) => self.world.on_unreadable_line(index, &error),
            })
            .map_err(refused("read a node's stdout"))?;
            let how = node.how_it_ended(&self.program);
            if let Some(how) = how.map_err(refused("ask after a node"))? {
                self.world.on_exit(index, &how, now);
            }
            if node.has_closed_stdout(now) {
                self.world.on_stdout_closed(index);
            }
        }
        Ok(())
    }

    /// Ends the input of all nodes, gives them [`GRACE`] to exit, and kills those that don't. Ends the members.
    fn end_nodes(&mut self) -> Result<(), RunError> {
        for node in &mut self.nodes {
            node.close_stdin();
        }
        let mut events = Events::with_capacity(256);
        let until = self.began.elapsed() + GRACE;
        while self.began.elapsed() < until && self.nodes.iter().any(|node| !node.is_gone()) {
            self.wait(&mut events, until)?;
            self.read()?;
        }
        for node in &mut self.nodes {
            node.kill();
        }
        // None may be paused when the session with them ends.
        if let Some(members) = &mut self.members {
            members.kill();
        }
        Ok(())
    }

    /// The lines that nodes have begun and not ended, in words.
    fn unfinished_lines(&mut self) -> String {
        let nodes = self.nodes.iter_mut();
        nodes.filter_map(NodeProcess::unfinished_line).collect()
    }

    fn last_words(&self) -> String {
        let words = self.nodes.iter().filter_map(NodeProcess::last_words);
        words.map(|words| format!("\n{words}")).collect()
    }
}
