//! The driver for real processes: one loop over the pipes of all nodes.
//!
//! Time is real. Pipes are nonblocking: input that a node does not read is kept in memory, so one slow node never stops
//! the loop from reading the output of the others.

mod executable;
mod guard;
mod members;
mod node;
mod program;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};
use thiserror::Error;

use super::clock::Clock;
use super::events::wait_for_events;
use super::service::LateAnswer;
use super::service::etcd::{Deliver, Etcd, EtcdOptions, GatewayError};
use super::signals::{Received, Signals};
use super::stdout;
use super::system::{
    DESCRIPTORS_RESERVED, FewDescriptors, SystemError, descriptors_beyond, refused,
};
use super::workload::Workload;
use super::world::{NodeCommand, Observer, Record, StartError, World};
use members::Members;
use node::last_words;

pub(super) use guard::Guard;
pub use members::{LocalCluster, LocalError};
pub(super) use node::{Ended, NodeProcess, Printed};
pub use program::{Program, ProgramError};

/// How long a node may take to exit after its stdin or its stdout has been closed.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// The interval at which progress is shown and stdout is checked.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// The action that a [`SystemError`] names when the pipes of a node can't be registered.
const WATCH_PIPES: &str = "watch the pipes of a node";

const SIGNALS: Token = Token(usize::MAX);

/// Wakes the loop when a cluster has answered.
const LATE_ANSWERS: Token = Token(usize::MAX - 1);

/// The reason why a run has no result.
#[derive(Debug, Error)]
pub enum RunError {
    /// The program can't be run.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The process may open too few files.
    #[error(transparent)]
    FewDescriptors(#[from] FewDescriptors),
    /// A cluster that should answer for a service does not serve.
    #[error("{0}. All members have to serve when a run begins")]
    Etcd(#[from] GatewayError),
    /// The cluster of the run can't be started.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The nodes did not get ready.
    #[error("{error}{last_words}")]
    Start {
        /// The reason.
        error: StartError,
        /// The last output of the nodes in words, unless `error` contains it.
        last_words: String,
    },
    /// The operating system refused something.
    #[error(transparent)]
    System(#[from] SystemError),
}

impl RunError {
    /// Whether the run was interrupted before it began.
    pub fn is_interruption(&self) -> bool {
        matches!(
            self,
            RunError::Local(LocalError::Interrupted)
                | RunError::Start {
                    error: StartError::Interrupted,
                    ..
                }
        )
    }
}

/// The clusters that answer for services in a run.
#[derive(Debug, Default)]
pub struct Clusters {
    /// One entry for each service that a cluster answers for.
    pub services: Vec<EtcdOptions>,
    /// The cluster to start for the run, if any. It then answers for all of `services`.
    pub local: Option<LocalCluster>,
}

/// Checks that this process may open as many files as a run with so many nodes needs.
///
/// # Errors
///
/// When it may not.
pub fn check_descriptors(node_count: usize) -> Result<(), RunError> {
    // The pipes of each node, and its log.
    descriptors_beyond(4 * node_count + DESCRIPTORS_RESERVED)?;
    Ok(())
}

/// Runs a world with a real process for each name in `names`, and with `clusters` for services. When it returns, all
/// processes have ended. The run ends early on SIGINT, SIGTERM or SIGHUP, and when stdout can no longer be written to.
///
/// # Errors
///
/// When the run has no result.
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
    let record = driver.world.finish().map_err(|error| RunError::Start {
        last_words: match error {
            StartError::Exited { .. }
            | StartError::Interrupted
            | StartError::Disconnected { .. } => String::new(),
            StartError::NoAnswer { .. }
            | StartError::Refused { .. }
            | StartError::ClosedStdout { .. } => last_words,
        },
        error,
    })?;
    Ok(Record {
        // Even if that was while the nodes ended.
        is_interrupted: driver.is_interrupted,
        ..record
    })
}

struct Driver<W: Workload, O> {
    world: World<W, O>,
    program: Program,
    nodes: Vec<NodeProcess>,
    members: Option<Members>,
    /// Kills the nodes and members if this process is killed. It is dropped after them.
    guard: Guard,
    poll: Poll,
    signals: Signals,
    late_answers: Receiver<LateAnswer>,
    clock: Clock,
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
        let mut signals = Signals::listen(poll.registry(), SIGNALS)?;
        let (sender, late_answers) = mpsc::channel();
        let waker = Waker::new(poll.registry(), LATE_ANSWERS).map_err(refused("make a waker"))?;
        let deliver: Deliver = Arc::new(move |answer| {
            // Sending fails after the run, because the receiver has been dropped.
            if sender.send(answer).is_ok() {
                waker.wake().expect("a waker can be written to");
            }
        });
        let mut guard = Guard::start().map_err(refused(
            "start the shell that kills the nodes if eddy is killed",
        ))?;
        let members = clusters.local.as_ref().map(Members::start).transpose()?;
        guard.watch(members.iter().flat_map(Members::groups));
        for options in &clusters.services {
            let service = match &members {
                Some(members) => members.connect(options, &deliver, &mut signals)?,
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
            clock: Clock::start(),
            is_interrupted: false,
        };
        driver.watch_groups();
        Ok(driver)
    }

    fn run(&mut self) -> Result<(), RunError> {
        let mut events = Events::with_capacity(256);
        let mut progress_at = Duration::ZERO;
        loop {
            let now = self.clock.now();
            if let Some(standstill) = self.clock.take_standstill() {
                self.world.note_standstill(standstill, now);
            }
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
                self.world.interrupt(self.clock.now());
            }
        }
    }

    /// Carries out the world's commands to nodes and members.
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
            let members = members.expect("the nemesis has no members to hit unless there are some");
            members.carry_out(command)?;
        }
        if has_run {
            self.watch_groups();
        }
        Ok(())
    }

    /// Passes the process groups that run now to the guard.
    fn watch_groups(&mut self) {
        let nodes = self.nodes.iter().filter_map(NodeProcess::group);
        let members = self.members.iter().flat_map(Members::groups);
        self.guard.watch(nodes.chain(members));
    }

    /// Sleeps until an event arrives, or until this time. It does not sleep while a pipe may hold more output.
    fn wait(&mut self, events: &mut Events, until: Duration) -> Result<(), RunError> {
        let has_more = self.nodes.iter().any(NodeProcess::has_more);
        let timeout = if has_more {
            Duration::ZERO
        } else {
            until.saturating_sub(self.clock.now())
        };
        wait_for_events(&mut self.poll, events, timeout)?;
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
        for signal in self.signals.take() {
            match signal {
                Received::Child => self
                    .nodes
                    .iter_mut()
                    .for_each(NodeProcess::note_child_event),
                Received::End => self.is_interrupted = true,
            }
        }
    }

    /// Passes the late answers of clusters and the output of nodes to the world, and reports nodes that have exited or
    /// have closed their stdout. It reads once from each pipe.
    fn read(&mut self) -> Result<(), RunError> {
        let now = self.clock.now();
        for answer in self.late_answers.try_iter() {
            self.world.on_late_answer(&answer, now);
        }
        for (index, node) in self.nodes.iter_mut().enumerate() {
            node.read(|printed| match printed {
                Printed::Log(line) => self.world.on_log_line(index, line, now),
                Printed::Line(Ok(line)) => self.world.on_line(index, line, now),
                Printed::Line(Err(error)) => self.world.on_unreadable_line(index, &error, now),
            })
            .map_err(refused("read the output of a node"))?;
            let ended = node.how_it_ended(&self.program);
            if let Some(Ended { how, .. }) = ended.map_err(refused("wait for a node"))? {
                self.world.on_exit(index, &how, now);
            }
            if let Some(at) = node.closed_stdout_at(now) {
                self.world.on_stdout_closed(index, at);
            }
        }
        Ok(())
    }

    /// Closes the stdin of all nodes, waits up to [`GRACE`] for them to exit, and kills the rest. Kills the members.
    fn end_nodes(&mut self) -> Result<(), RunError> {
        for node in &mut self.nodes {
            node.close_stdin();
        }
        let mut events = Events::with_capacity(256);
        let until = self.clock.now() + GRACE;
        while self.clock.now() < until && self.nodes.iter().any(|node| !node.is_gone()) {
            self.wait(&mut events, until)?;
            self.read()?;
        }
        for node in &mut self.nodes {
            node.kill();
        }
        // A paused member would delay the end of the session with the cluster until a timeout.
        if let Some(members) = &mut self.members {
            members.kill();
        }
        Ok(())
    }

    /// A description of the incomplete lines on the nodes' stdout.
    fn unfinished_lines(&mut self) -> String {
        let nodes = self.nodes.iter_mut();
        nodes.filter_map(NodeProcess::unfinished_line).collect()
    }

    /// The last lines on the stderr of nodes: once of all that said the same, and not of all nodes if they are many.
    fn last_words(&self) -> String {
        const LOGS_SHOWN_MAX: usize = 3;
        let mut said: Vec<(Vec<&str>, &VecDeque<String>)> = Vec::new();
        for node in self.nodes.iter().filter(|node| !node.log().is_empty()) {
            match said.iter_mut().find(|(_, log)| *log == node.log()) {
                Some((nodes, _)) => nodes.push(node.name()),
                None => said.push((vec![node.name()], node.log())),
            }
        }
        said.truncate(LOGS_SHOWN_MAX);
        let words = said.into_iter().map(|(nodes, log)| last_words(nodes, log));
        words.map(|words| format!("\n{words}")).collect()
    }
}
