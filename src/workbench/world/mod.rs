//! The world of a run: its network, services, clients, faults and phases.
//!
//! It has no clock, no threads and no files. A driver calls it with the time ([`World::advance`]), the lines that nodes
//! print ([`World::on_line`]) and the end of a node ([`World::on_exit`]); it carries out the
//! [commands](World::next_command), gives each node the lines of its [inbox](World::inbox), and calls again at
//! [`World::next_deadline`]. The same code therefore tests real processes in real time and this crate's own nodes in
//! virtual time.
//!
//! The phases are Maelstrom's: nodes join the network one after the other, and each answers its `init`; clients send
//! requests while faults come and go; when all requests have ended, the faults end; after a time of recovery every client
//! sends its final requests.

mod answer;
mod ask;
mod elsewhere;
mod lenient;
mod malformed;
mod node_states;
mod observer;
mod phase;
mod route;
mod start_error;
#[cfg(test)]
mod tests;
mod violations;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::check::Finding;
use super::client::Clients;
use super::directory::Directory;
use super::history::{Node, Operation};
use super::latency::Latency;
use super::nemesis::{Fault, FaultWindow, Nemesis, STANDSTILL, Targets};
use super::network::{Endpoint, Network, Traffic};
use super::pace::Pace;
use super::random::{Random, Stream};
use super::service::{SequentialStore, Services};
use super::workload::Workload;
use node_states::NodeStates;
use phase::Phase;
use violations::{ProtocolViolation, ProtocolViolations};

pub use node_states::NodeCommand;
pub use observer::{Event, Loss, MessageEvent, Observer};
pub use start_error::StartError;
pub(super) use violations::shown;

/// The maximum length of a line from a node. It is high because the reply to a read of a large set is one line.
pub(super) const LINE_BYTES_MAX: usize = 16 << 20;

/// The maximum size of the input that is kept for a node that does not read, in bytes.
pub const UNREAD_BYTES_MAX: usize = 256 << 20;

/// How long a node may take to answer `init` by default. It is Maelstrom's limit.
pub const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The names of the nodes; at least one.
    pub nodes: Vec<String>,
    /// How long a node may take to answer `init`, and then the workload's introduction, such as `topology`.
    pub init_timeout: Duration,
    /// The number of clients at any time; at least one.
    pub client_count: usize,
    /// How many operations all clients together begin in a second.
    pub rate_per_s: f64,
    /// How long they do so.
    pub time_limit: Duration,
    /// How long after the end of the faults the last phase begins.
    pub recovery: Duration,
    /// The latency of messages.
    pub latency: Latency,
    /// Which variant of `seq-kv` there is.
    pub sequential_store: SequentialStore,
    /// The kinds of fault.
    pub faults: Vec<Fault>,
    /// Whether faults affect messages to and from services.
    pub services_suffer: bool,
    /// The mean time between the beginning and the end of a fault.
    pub fault_interval: Duration,
    /// The seed of all random numbers.
    pub seed: u64,
}

impl Settings {
    /// What `eddy test` does with these nodes by default: one client for each, no latency and no faults.
    pub fn new(nodes: Vec<String>) -> Self {
        Settings {
            client_count: nodes.len(),
            nodes,
            init_timeout: INIT_TIMEOUT,
            rate_per_s: 5.0,
            time_limit: Duration::from_secs(60),
            recovery: Duration::from_secs(10),
            latency: Latency::default(),
            sequential_store: SequentialStore::default(),
            faults: Vec::new(),
            services_suffer: false,
            fault_interval: Duration::from_secs(10),
            seed: 1,
        }
    }
}

/// The names of so many nodes: `n0`, `n1`, and so on.
pub fn node_names(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("n{index}")).collect()
}

/// What the driver must do with members of etcd, given by their index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemberCommand {
    /// End the member at once.
    Kill(usize),
    /// Start all members that were killed.
    StartAll,
    /// Stop the member until it is continued.
    Pause(usize),
    /// Continue all members that are paused.
    ContinueAll,
}

/// A run. `O` observes it.
pub struct World<W: Workload, O = ()> {
    workload: W,
    settings: Settings,
    observer: O,
    directory: Directory,
    nodes: Vec<Node>,
    network: Network,
    received: Traffic,
    /// The replies of services about a value that had been replaced, as far as they arrived.
    stale_received: u64,
    services: Services,
    nemesis: Nemesis,
    pace: Pace,
    random: Random,
    clients: Clients,
    /// Requests that follow from an answer, by the time at which they begin and the client that sends them.
    follow_ups: BTreeMap<(Duration, usize), W::Call>,
    phase: Phase,
    /// When the last node had answered `init`: zero in the history.
    started_at: Duration,
    history: Vec<Operation<W::Call, W::Answer>>,
    violations: ProtocolViolations,
    /// The operations that timed out and were not answered late either, by their clients. A client that has timed out sends
    /// nothing more. Those of nodes that are mute are left out.
    unanswered: BTreeMap<usize, usize>,
    /// The operations whose clients received a message that answers nothing while they waited.
    answered_nothing: BTreeSet<usize>,
    /// For each node when it last sent a message, by the driver's time, and to whom. `None` if it has sent nothing, at least
    /// since it was mute.
    last_sent: Vec<Option<(Duration, Endpoint)>>,
    /// When the service or node to which that went last replied to this node since.
    heard_back_at: Vec<Option<Duration>>,
    /// For each node when a stale reply of a service last arrived there, by the driver's time.
    last_stale_at: Vec<Option<Duration>>,
    /// For each node, while the run has not begun, the first message that it has sent since `init` or the introduction
    /// was sent, and its destination.
    first_sent: Vec<Option<(Endpoint, String)>>,
    /// When the first messages between nodes arrive that were sent while nodes started; zero if there was none.
    first_pass_at: Duration,
    /// When the clients that send `init` and the introduction, by their numbers, last had their answer.
    last_answered_at: BTreeMap<usize, Duration>,
    /// For each node when an incarnation of it last closed its stdout but went on, by the driver's time.
    stdout_closed_at: Vec<Option<Duration>>,
    /// For each node the last line on stderr during the run that is not indented; may be empty. In the text of an exception
    /// that is the line which names it, while the lines about its origin are indented.
    last_logged: Vec<String>,
    /// When the run was interrupted, since its start.
    interrupted_at: Option<Duration>,
    node_states: NodeStates,
    member_commands: VecDeque<MemberCommand>,
    /// Whether the nodes run elsewhere. Then each client has a connection of its own to its node.
    is_elsewhere: bool,
    /// The lines for each node or, if the nodes run elsewhere, from each client, that the driver has not taken yet.
    inboxes: Vec<Vec<u8>>,
    /// A buffer for the body that is being written; kept to save an allocation per message.
    scratch: Vec<u8>,
}

/// A run that has ended.
pub struct Record<W: Workload> {
    /// The workload, with the state that it has gathered in the run.
    pub workload: W,
    /// The operations of clients.
    pub history: Vec<Operation<W::Call, W::Answer>>,
    /// The protocol violations of nodes.
    pub findings: Vec<Finding>,
    /// The operations that were never answered though their clients waited to the end, as indices into the history. Empty for
    /// nodes that ran elsewhere, where faults are not known, and without those of nodes that were mute.
    pub unanswered: Vec<usize>,
    /// The operations whose clients received a message that answers nothing while they waited, as indices into the
    /// history.
    pub answered_nothing: BTreeSet<usize>,
    /// What each node put out last. Empty for an imported history.
    pub last_output: Vec<LastOutput>,
    /// When the run was cut short, since its start, because a node had ended or because it was interrupted.
    pub cut_short_at: Option<Duration>,
    /// When it was cut short by an interruption, since its start.
    pub interrupted_at: Option<Duration>,
    /// Whether it was interrupted, be it while its nodes ended.
    pub is_interrupted: bool,
    /// How many messages were sent.
    pub sent: Traffic,
    /// How many messages arrived; a message that was doubled counts twice.
    pub received: Traffic,
    /// How many of these were replies of services about a value that had been replaced.
    pub stale_received: u64,
    /// For each node when such a reply last arrived there, since the start of the run. Empty for an imported history.
    pub last_stale_at: Vec<Option<Duration>>,
    /// The faults, and when they lasted.
    pub fault_windows: Vec<FaultWindow>,
    /// Whether the nodes ran elsewhere. Then messages between servers were not seen.
    pub is_elsewhere: bool,
}

/// What a node put out last.
#[derive(Default)]
pub struct LastOutput {
    /// When it last sent a message, since the start of the run, and in words to whom, and why it may send no more. `None` if
    /// it has sent nothing, or if it was mute and has sent nothing since: what a node sends while it is mute is not known.
    pub sent: Option<(Duration, String)>,
    /// Whether it had a reply since from whoever that message went to.
    pub was_replied_to: bool,
    /// When it closed its stdout but went on, since the start of the run.
    pub stdout_closed_at: Option<Duration>,
    /// The first message that it sent a client without answering anything, in words. `None` if it has sent none.
    pub answers_nothing: Option<String>,
    /// The last line that it printed on stderr during the run, without indented lines; may be empty.
    pub logged: String,
}

impl<W: Workload> Record<W> {
    /// The record of which nothing but the operations is known.
    pub fn of_history(workload: W, history: Vec<Operation<W::Call, W::Answer>>) -> Self {
        Record {
            workload,
            history,
            findings: Vec::new(),
            unanswered: Vec::new(),
            answered_nothing: BTreeSet::new(),
            last_output: Vec::new(),
            cut_short_at: None,
            interrupted_at: None,
            is_interrupted: false,
            sent: Traffic::default(),
            received: Traffic::default(),
            stale_received: 0,
            last_stale_at: Vec::new(),
            fault_windows: Vec::new(),
            is_elsewhere: false,
        }
    }

    /// How long clients sent requests in a run with this time limit; if it was cut short, in whole milliseconds.
    pub fn asked_for(&self, time_limit: Duration) -> Duration {
        let cut_short_at = self.cut_short_at.filter(|at| *at < time_limit);
        cut_short_at.map_or(
            time_limit,
            |at| Duration::from_millis(at.as_millis() as u64),
        )
    }
}

/// The progress of a run.
#[derive(Clone, Debug)]
pub struct Progress<'a> {
    /// The phase in words.
    pub phase: &'static str,
    /// Time since the nodes were ready.
    pub elapsed: Duration,
    /// How many operations have begun.
    pub operation_count: usize,
    /// The present faults, in words.
    pub faults: Vec<&'a str>,
}

impl<'a> Progress<'a> {
    fn new(phase: &Phase, elapsed: Duration, operation_count: usize, nemesis: &'a Nemesis) -> Self {
        Progress {
            phase: phase.name(),
            elapsed,
            operation_count,
            faults: nemesis.under_way().map(|window| &*window.what).collect(),
        }
    }
}

impl<W: Workload, O: Observer> World<W, O> {
    /// A run at time zero. The first node is sent its `init`.
    pub fn new(workload: W, settings: Settings, observer: O) -> Self {
        let nodes = NodeStates::new(
            settings.nodes.len(),
            settings.init_timeout,
            &mut Stream::Joins.seeded(settings.seed),
        );
        let inboxes = vec![Vec::new(); settings.nodes.len()];
        let mut world = World::with(workload, settings, observer, nodes, inboxes);
        world.begin();
        world
    }

    /// A run at time zero that has no clients yet.
    fn with(
        workload: W,
        settings: Settings,
        observer: O,
        node_states: NodeStates,
        inboxes: Vec<Vec<u8>>,
    ) -> Self {
        let seed = settings.seed;
        let node_count = settings.nodes.len();
        let services = Services::new(settings.sequential_store, Stream::Services.seeded(seed));
        World {
            workload,
            observer,
            directory: Directory::new(&settings.nodes, services.addresses()),
            nodes: Node::all(&settings.nodes),
            network: Network::new(settings.latency, node_count, settings.services_suffer, seed),
            received: Traffic::default(),
            stale_received: 0,
            services,
            nemesis: Nemesis::new(
                &settings.faults,
                settings.fault_interval,
                Targets {
                    nodes: settings.nodes.clone(),
                    includes_services: settings.services_suffer,
                    etcd_members: 0,
                },
                &Stream::Nemesis.seeded(seed),
            ),
            pace: Pace::new(settings.rate_per_s),
            random: Stream::Generator.seeded(seed),
            clients: Clients::new(
                settings.client_count,
                node_count,
                W::client_timeout(settings.latency.mean),
            ),
            follow_ups: BTreeMap::new(),
            phase: Phase::Starting,
            started_at: Duration::ZERO,
            history: Vec::new(),
            violations: ProtocolViolations::default(),
            unanswered: BTreeMap::new(),
            answered_nothing: BTreeSet::new(),
            last_sent: vec![None; node_count],
            heard_back_at: vec![None; node_count],
            last_stale_at: vec![None; node_count],
            first_sent: vec![None; node_count],
            first_pass_at: Duration::ZERO,
            last_answered_at: BTreeMap::new(),
            stdout_closed_at: vec![None; node_count],
            last_logged: vec![String::new(); node_count],
            interrupted_at: None,
            node_states,
            member_commands: VecDeque::new(),
            is_elsewhere: false,
            inboxes,
            scratch: Vec::new(),
            settings,
        }
    }

    /// The next command for the driver, which carries out all of them before it looks at the inboxes.
    pub fn next_command(&mut self) -> Option<NodeCommand> {
        self.node_states.next_command()
    }

    /// Sets the number of members of etcd that faults can hit.
    pub fn set_etcd_members(&mut self, count: usize) {
        self.nemesis.set_etcd_members(count);
    }

    /// The next command for the driver about members of etcd.
    pub fn next_member_command(&mut self) -> Option<MemberCommand> {
        self.member_commands.pop_front()
    }

    /// The lines for a node that the driver has not taken yet. The driver takes bytes from the front.
    pub fn inbox(&mut self, node: usize) -> &mut Vec<u8> {
        &mut self.inboxes[node]
    }

    /// Whether the run has ended.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over { .. } | Phase::Failed(_))
    }

    /// The progress of the run.
    pub fn progress(&self, now: Duration) -> Progress<'_> {
        let elapsed = now.saturating_sub(self.started_at);
        Progress::new(&self.phase, elapsed, self.history.len(), &self.nemesis)
    }

    /// Shows the observer the progress of the run.
    pub fn show_progress(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.started_at);
        let progress = Progress::new(&self.phase, elapsed, self.history.len(), &self.nemesis);
        self.observer.progress(&progress);
    }

    /// Takes note that the driver stood still for that time, which its clock leaves out. It is told as a fault: nodes went
    /// on, and may have waited in vain.
    pub fn note_standstill(&mut self, lasted: Duration, now: Duration) {
        let since_start = now.saturating_sub(self.started_at);
        let fault = FaultWindow {
            what: format!("{STANDSTILL} for {:.1} s", lasted.as_secs_f64()),
            began_at: since_start,
            ended_at: Some(since_start),
        };
        self.observer.happened(now, &Event::FaultBegan(&fault.what));
        self.observer.happened(now, &Event::FaultEnded(&fault.what));
        self.nemesis.note(fault);
    }

    /// Records a line that a node has printed on stderr.
    pub fn on_log_line(&mut self, node: usize, line: &str, now: Duration) {
        let is_of_run = !self.is_over() && !matches!(self.phase, Phase::Starting);
        if is_of_run && line.starts_with(|char: char| !char.is_whitespace()) {
            line.clone_into(&mut self.last_logged[node]);
        }
        let node = &*self.directory.nodes()[node];
        self.observer.happened(now, &Event::Logged { node, line });
    }

    /// Ends the run and returns its record.
    ///
    /// # Errors
    ///
    /// When the run did not begin because not all nodes got ready.
    pub fn finish(self) -> Result<Record<W>, StartError> {
        self.finish_observed().map(|(record, _)| record)
    }

    /// Like [`finish`](Self::finish); returns the observer as well.
    ///
    /// # Errors
    ///
    /// When the run did not begin because not all nodes got ready.
    pub fn finish_observed(mut self) -> Result<(Record<W>, O), StartError> {
        while let Some(envelope) = self.network.take_next() {
            self.lose(&envelope, Loss::RunOver, envelope.due_at);
        }
        let cut_short_at = match self.phase {
            Phase::Failed(error) => return Err(error),
            Phase::Over { cut_short_at } => cut_short_at,
            _ => Some(
                self.history
                    .last()
                    .map_or(Duration::ZERO, |last| last.invoked_at),
            ),
        };
        let since_start = |at: Duration| at.saturating_sub(self.started_at);
        let last_output = self
            .last_sent
            .iter()
            .zip(self.stdout_closed_at)
            .zip(self.last_logged);
        let last_output = last_output.enumerate();
        let last_output = last_output.map(|(node, ((sent, closed_at), logged))| LastOutput {
            sent: sent.map(|(at, dest)| {
                let name = self.directory.name(dest);
                // The first clients are those that send `init`, one for each node.
                let words = match (dest, self.heard_back_at[node]) {
                    (Endpoint::Client(client), _) if client == node => {
                        format!("{name}, as the answer to its init. Is stdout flushed after each message?")
                    }
                    (_, Some(at)) => format!(
                        "{name}, from which a reply came at {:.1} s. Does it wait for replies where it does not read stdin?",
                        since_start(at).as_secs_f64()
                    ),
                    _ => format!("{name}."),
                };
                (since_start(at), words)
            }),
            was_replied_to: self.heard_back_at[node].is_some(),
            stdout_closed_at: closed_at.map(since_start),
            answers_nothing: self
                .violations
                .first(node, ProtocolViolation::AnsweredNothing),
            logged,
        });
        let last_output = last_output.collect();
        let last_stale_at = self.last_stale_at.iter().map(|at| at.map(since_start));
        let record = Record {
            workload: self.workload,
            history: self.history,
            findings: self.violations.into_findings(self.directory.nodes()),
            unanswered: self.unanswered.into_values().collect(),
            answered_nothing: self.answered_nothing,
            last_output,
            cut_short_at,
            interrupted_at: self.interrupted_at,
            is_interrupted: self.interrupted_at.is_some(),
            sent: self.network.traffic(),
            received: self.received,
            stale_received: self.stale_received,
            last_stale_at: last_stale_at.collect(),
            fault_windows: self.nemesis.windows().to_vec(),
            is_elsewhere: self.is_elsewhere,
        };
        Ok((record, self.observer))
    }
}
