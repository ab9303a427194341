//! One run: nodes get ready, clients ask, faults come and go, everyone asks once more.
//!
//! The engine of the workbench. It has no clock, no threads and no files: a driver tells it what time it is
//! ([`World::advance`]), what a node printed ([`World::heard`]) and that a node is gone ([`World::exited`]), does what it
//! is [ordered](World::next_order), passes on what is in each node's [inbox](World::inbox), and comes back at [`World::next_deadline`]. So the same code tests
//! real processes in real time and this crate's own nodes in virtual time, where a seed gives the same run to the
//! byte.
//!
//! The phases are upstream's: nodes join the network one after the other, and each answers its `init`; clients ask while
//! the nemesis does its work; when all have their answers, the faults end, the network rests, and every client asks a last
//! time.

mod answer;
mod ask;
mod lives;
mod malformed;
mod observer;
mod phase;
mod route;
mod start_error;
#[cfg(test)]
mod tests;
mod violations;

use std::collections::BTreeMap;
use std::time::Duration;

use super::check::Finding;
use super::client::Clients;
use super::directory::Directory;
use super::history::{Node, Operation};
use super::latency::Latency;
use super::nemesis::{Fault, FaultWindow, Nemesis, Targets};
use super::network::{Network, Traffic};
use super::pace::Pace;
use super::random::{Random, Stream};
use super::service::{SequentialStore, Services};
use super::workload::Workload;
use lives::Lives;
use phase::Phase;
use violations::ProtocolViolations;

pub use lives::Order;
pub use observer::{Loss, Observer, Sighting};
pub use start_error::StartError;
pub(super) use violations::shown;

/// So many bytes are kept for a node that doesn't read them.
pub const UNREAD_BYTES_MAX: usize = 256 << 20;

/// How long a node may take to answer `init` if nothing else is said: upstream's limit.
pub const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a run is like.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The names of the nodes; at least one.
    pub nodes: Vec<String>,
    /// How long a node may take to answer `init`, and what it is told once before clients begin.
    pub init_timeout: Duration,
    /// How many clients work side by side; at least one.
    pub client_count: usize,
    /// How many operations a second all of them begin together.
    pub rate_per_s: f64,
    /// For how long, before the last phase.
    pub time_limit: Duration,
    /// How long the network rests before the last phase.
    pub recovery: Duration,
    /// How long messages take.
    pub latency: Latency,
    /// Which store answers as `seq-kv`.
    pub sequential_store: SequentialStore,
    /// Which faults there are.
    pub faults: Vec<Fault>,
    /// Whether messages to and from services suffer from them too.
    pub services_suffer: bool,
    /// How long it is between the steps of the nemesis on average.
    pub fault_interval: Duration,
    /// What all that is random comes from.
    pub seed: u64,
}

/// A run under way. `O` watches every message.
pub struct World<W: Workload, O = ()> {
    workload: W,
    settings: Settings,
    observer: O,
    directory: Directory,
    nodes: Vec<Node>,
    network: Network,
    received: Traffic,
    services: Services,
    nemesis: Nemesis,
    pace: Pace,
    random: Random,
    clients: Clients,
    /// What clients ask next because of an answer, by when they do and who does.
    follow_ups: BTreeMap<(Duration, usize), W::Call>,
    phase: Phase,
    /// When the last node had answered `init`: zero in the history.
    started_at: Duration,
    history: Vec<Operation<W::Call, W::Answer>>,
    violations: ProtocolViolations,
    /// When someone ended it, since the start of the run.
    interrupted_at: Option<Duration>,
    lives: Lives,
    /// What each node is yet to be given.
    inboxes: Vec<Vec<u8>>,
    /// A body being written, kept to spare an allocation a message.
    scratch: Vec<u8>,
}

/// A run that has ended.
pub struct Record<W: Workload> {
    /// What was tested.
    pub workload: W,
    /// What clients asked and were told.
    pub history: Vec<Operation<W::Call, W::Answer>>,
    /// What nodes did that no node may do.
    pub findings: Vec<Finding>,
    /// Whether it ended before its time, because a node was gone or because it was interrupted. There were no last
    /// operations then.
    pub is_cut_short: bool,
    /// Whether someone ended it.
    pub is_interrupted: bool,
    /// How many messages were sent.
    pub sent: Traffic,
    /// How many messages arrived; one that was doubled counts twice.
    pub received: Traffic,
    /// What was broken, and when.
    pub fault_windows: Vec<FaultWindow>,
}

/// How far a run is.
#[derive(Clone, Debug)]
pub struct Progress<'a> {
    /// What goes on, for a person.
    pub phase: &'static str,
    /// Time since the nodes were ready.
    pub elapsed: Duration,
    /// How many operations have begun.
    pub operation_count: usize,
    /// What is broken, for a person.
    pub faults: Vec<&'a str>,
}

impl<W: Workload, O: Observer> World<W, O> {
    /// A run at time zero. The first node has joined the network and is sent its `init`.
    pub fn new(workload: W, settings: Settings, observer: O) -> Self {
        let seed = settings.seed;
        let node_count = settings.nodes.len();
        let services = Services::new(settings.sequential_store, Stream::Services.seeded(seed));
        let mut world = World {
            workload,
            observer,
            directory: Directory::new(&settings.nodes, services.addresses()),
            nodes: Node::all(&settings.nodes),
            network: Network::new(settings.latency, node_count, settings.services_suffer, seed),
            received: Traffic::default(),
            services,
            nemesis: Nemesis::new(
                &settings.faults,
                settings.fault_interval,
                Targets {
                    nodes: settings.nodes.clone(),
                    includes_services: settings.services_suffer,
                },
                &Stream::Nemesis.seeded(seed),
            ),
            pace: Pace::new(settings.rate_per_s),
            random: Stream::Generator.seeded(seed),
            clients: Clients::new(settings.client_count, node_count),
            follow_ups: BTreeMap::new(),
            phase: Phase::Starting,
            started_at: Duration::ZERO,
            history: Vec::new(),
            violations: ProtocolViolations::default(),
            interrupted_at: None,
            lives: Lives::new(
                node_count,
                settings.init_timeout,
                &mut Stream::Joins.seeded(seed),
            ),
            inboxes: vec![Vec::new(); node_count],
            scratch: Vec::new(),
            settings,
        };
        world.begin();
        world
    }

    /// What the driver is to do with nodes, one after the other, before it looks at their inboxes.
    pub fn next_order(&mut self) -> Option<Order> {
        self.lives.next_order()
    }

    /// What a node is yet to be given: whole lines. The driver takes bytes from its front.
    pub fn inbox(&mut self, node: usize) -> &mut Vec<u8> {
        &mut self.inboxes[node]
    }

    /// Whether there is nothing left to do.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over { .. } | Phase::Failed(_))
    }

    /// How far the run is.
    pub fn progress(&self, now: Duration) -> Progress<'_> {
        Progress {
            phase: self.phase.name(),
            elapsed: now.saturating_sub(self.started_at),
            operation_count: self.history.len(),
            faults: self
                .nemesis
                .under_way()
                .map(|window| &*window.what)
                .collect(),
        }
    }

    /// Ends the run and gives out what is known of it.
    ///
    /// # Errors
    ///
    /// Why it never began, when not all nodes got ready.
    pub fn finish(self) -> Result<Record<W>, StartError> {
        self.finish_observed().map(|(record, _)| record)
    }

    /// Like [`finish`](Self::finish), and gives back who watched.
    ///
    /// # Errors
    ///
    /// Why it never began, when not all nodes got ready.
    pub fn finish_observed(mut self) -> Result<(Record<W>, O), StartError> {
        while let Some(envelope) = self.network.take_next() {
            self.lose(&envelope, Loss::RunOver, envelope.due_at);
        }
        let is_cut_short = match self.phase {
            Phase::Failed(error) => return Err(error),
            Phase::Over { is_cut_short } => is_cut_short,
            _ => true,
        };
        let mut findings = self.violations.into_findings(self.directory.nodes());
        findings.extend(self.interrupted_at.map(|at| {
            let after_s = at.as_secs_f64();
            Finding::undecided(format!("The run was interrupted after {after_s:.1} s."), [])
        }));
        let record = Record {
            workload: self.workload,
            history: self.history,
            findings,
            is_cut_short,
            is_interrupted: self.interrupted_at.is_some(),
            sent: self.network.traffic(),
            received: self.received,
            fault_windows: self.nemesis.windows().to_vec(),
        };
        Ok((record, self.observer))
    }
}
