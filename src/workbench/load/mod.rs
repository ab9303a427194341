//! The driver for nodes that run elsewhere, such as behind `eddy serve`: one loop over the connections of all clients.
//!
//! Each client has a connection of its own to its node, made when the run begins. When a connection ends, the request that
//! waits for an answer on it has an unknown outcome. A client that has something to send and no connection makes one; if
//! that fails, its request has failed, as nothing of it was sent.

mod authentication;
mod connection;
mod target;

use std::time::Duration;

use mio::{Events, Poll, Token};
use thiserror::Error;

use super::check::Finding;
use super::clock::Clock;
use super::events::wait_for_events;
use super::signals::{Received, Signals};
use super::stdout;
use super::system::{
    DESCRIPTORS_RESERVED, FewDescriptors, SystemError, descriptors_beyond, refused,
};
use super::token::TokenError;
use super::words::counted;
use super::workload::Workload;
use super::world::{Observer, Record, StartError, World};
use connection::{Connection, Lost};

pub use authentication::Authentication;
pub use target::{Target, TargetError, find};

/// How long it may take to connect, and to get the answer to `authenticate`. It is less than a client waits, so that a request
/// has failed for certain if it could not be sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Clients that could not connect are worth a warning if that lasted for this time and this part of the run. A service that
/// is started again is there sooner.
const OUTAGE_MIN: Duration = Duration::from_secs(1);
const OUTAGE_PART_MIN: f64 = 0.1;

/// How often progress is shown, and stdout is checked.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

const SIGNALS: Token = Token(usize::MAX);

/// The reason why a run has no result.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The token can't be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A node does not serve as it should.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The process may open too few files.
    #[error(transparent)]
    FewDescriptors(#[from] FewDescriptors),
    /// Not all clients could connect.
    #[error("{} needed, and one to {node} could not be made: {why}", counted(*wanted, "connection"))]
    Connect {
        /// How many connections a run needs.
        wanted: usize,
        /// The name of the node to which one could not be made.
        node: String,
        /// What happened, in words.
        why: String,
    },
    /// The nodes did not get ready.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The operating system refused something.
    #[error(transparent)]
    System(#[from] SystemError),
}

/// Checks that this process may open as many files as a run with so many clients and nodes needs.
///
/// # Errors
///
/// When it may not.
pub fn check_descriptors(client_count: usize, node_count: usize) -> Result<(), LoadError> {
    // Each node has a log, and before clients begin it may have a connection of its own.
    let needed = client_count + 2 * node_count + DESCRIPTORS_RESERVED;
    descriptors_beyond(needed)?;
    Ok(())
}

/// Runs a world of [nodes that run elsewhere](World::elsewhere), with `client_count` clients. The nodes are `targets`, in
/// this order. A signal ends the run early, and so does a stdout that can't be written to any longer.
///
/// # Errors
///
/// When the run has no result.
pub fn run<W: Workload, O: Observer>(
    world: World<W, O>,
    client_count: usize,
    targets: &[Target],
    authentication: &Authentication,
) -> Result<Record<W>, LoadError> {
    let mut driver = Driver::new(world, client_count, targets, authentication)?;
    driver.connect(targets)?;
    driver.run()?;
    let now = driver.clock.now();
    let outage = driver.outage(now);
    let mut record = driver.world.finish()?;
    record.findings.extend(outage);
    // Even if that was just when the run was over.
    record.is_interrupted = driver.is_interrupted;
    Ok(record)
}

struct Driver<W: Workload, O> {
    world: World<W, O>,
    workers: Vec<Worker>,
    poll: Poll,
    signals: Signals,
    clock: Clock,
    is_interrupted: bool,
}

/// A sender of requests: a client or, when that is replaced, its successor.
struct Worker {
    /// The client, by the number in its name.
    client: usize,
    /// Its place among the clients; none if it sends the workload's introduction.
    place: Option<usize>,
    connection: Connection,
}

impl<W: Workload, O: Observer> Driver<W, O> {
    fn new(
        world: World<W, O>,
        client_count: usize,
        targets: &[Target],
        authentication: &Authentication,
    ) -> Result<Self, LoadError> {
        let poll = Poll::new().map_err(refused("watch connections"))?;
        let signals = Signals::listen(poll.registry(), SIGNALS)?;
        let introducers = world.introducers().map(|client| (client, None));
        let clients = (0..client_count).map(|place| (world.client_at(place), Some(place)));
        let workers = introducers.chain(clients).enumerate();
        let workers = workers.map(|(index, (client, place))| {
            let target = &targets[world.node_of(client)];
            Worker {
                client,
                place,
                connection: Connection::new(target.address, Token(index), authentication.clone()),
            }
        });
        Ok(Driver {
            workers: workers.collect(),
            world,
            poll,
            signals,
            clock: Clock::start(),
            is_interrupted: false,
        })
    }

    /// Connects all clients.
    fn connect(&mut self, targets: &[Target]) -> Result<(), LoadError> {
        let mut events = Events::with_capacity(1024);
        let wanted = self.workers.len();
        let registry = self.poll.registry();
        let mut lost = None;
        for (index, worker) in self.workers.iter_mut().enumerate() {
            if let Err(error) = worker.connection.open(self.clock.now(), registry) {
                lost = Some((index, error));
                break;
            }
        }
        while lost.is_none()
            && !self
                .workers
                .iter()
                .all(|worker| worker.connection.is_ready())
        {
            let until = self.clock.now() + PROGRESS_INTERVAL;
            self.wait(&mut events, until)?;
            if self.is_interrupted {
                return Err(StartError::Interrupted.into());
            }
            let (now, registry) = (self.clock.now(), self.poll.registry());
            let mut nothing = Vec::new();
            for (index, Worker { connection, .. }) in self.workers.iter_mut().enumerate() {
                let step = connection.write(&mut nothing, now, registry);
                if let Err(error) = step.and_then(|()| connection.read(now, |_| ())) {
                    lost = Some((index, error));
                    break;
                }
            }
        }
        let Some((index, Lost { why, .. })) = lost else {
            return Ok(());
        };
        let node = self.world.node_of(self.workers[index].client);
        Err(LoadError::Connect {
            wanted,
            node: targets[node].name.clone(),
            why,
        })
    }

    fn run(&mut self) -> Result<(), LoadError> {
        let mut events = Events::with_capacity(1024);
        let mut progress_at = Duration::ZERO;
        loop {
            let now = self.clock.now();
            if let Some(standstill) = self.clock.take_standstill() {
                self.world.note_standstill(standstill, now);
            }
            self.world.advance(now);
            self.write(now);
            if self.world.is_over() {
                return Ok(());
            }
            if now >= progress_at {
                self.world.show_progress(now);
                self.is_interrupted |= stdout::check().is_err();
                progress_at = now + PROGRESS_INTERVAL;
            }
            let deadline = self.next_deadline();
            let until = deadline.map_or(progress_at, |deadline| deadline.min(progress_at));
            self.wait(&mut events, until)?;
            self.read();
            if self.is_interrupted {
                self.world.interrupt(self.clock.now());
            }
        }
    }

    /// Sends what clients have to send.
    fn write(&mut self, now: Duration) {
        let registry = self.poll.registry();
        for worker in &mut self.workers {
            worker.follow(&self.world);
            let outbox = self.world.outbox(worker.client);
            if let Err(Lost { was_sent, why }) = worker.connection.write(outbox, now, registry) {
                self.world
                    .on_disconnected(worker.client, was_sent, &why, now);
            }
        }
    }

    /// Reads once from each connection that has something to read.
    fn read(&mut self) {
        let now = self.clock.now();
        let world = &mut self.world;
        for Worker {
            client, connection, ..
        } in &mut self.workers
        {
            let read = connection.read(now, |line| match line {
                Ok(line) => world.on_answer(*client, line, now),
                Err(error) => world.on_unreadable_answer(*client, &error),
            });
            if let Err(Lost { was_sent, why }) = read {
                world.on_disconnected(*client, was_sent, &why, now);
            }
        }
    }

    /// A warning if clients could not connect for long. Such a run may have no other: requests that are not sent have failed,
    /// which is permitted, and are few, as each waits for an attempt to connect.
    fn outage(&self, run: Duration) -> Option<Finding> {
        let clients = self.workers.iter().filter(|worker| worker.place.is_some());
        let outages = clients
            .clone()
            .map(|worker| worker.connection.longest_outage());
        let is_long =
            |outage: &Duration| *outage >= OUTAGE_MIN && *outage >= run.mul_f64(OUTAGE_PART_MIN);
        let outages = outages.filter(is_long);
        let longest = outages.clone().max()?;
        let what = format!(
            "{} of {} could not connect, for up to {:.1} s of {:.1} s. Meanwhile they asked little: each request waited for \
             an attempt to connect, and failed with it.",
            outages.count(),
            counted(clients.count(), "client"),
            longest.as_secs_f64(),
            run.as_secs_f64(),
        );
        Some(Finding::warning(what, []))
    }

    fn next_deadline(&mut self) -> Option<Duration> {
        let world = &mut self.world;
        let of_connections = self.workers.iter().filter_map(|worker| {
            let has_output = !world.outbox(worker.client).is_empty();
            worker.connection.deadline(has_output)
        });
        let of_connections = of_connections.min();
        [of_connections, self.world.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Sleeps until an event or until this time. Does not sleep while there is more to read from a connection.
    fn wait(&mut self, events: &mut Events, until: Duration) -> Result<(), LoadError> {
        let mut connections = self.workers.iter().map(|worker| &worker.connection);
        let timeout = match connections.any(Connection::has_more) {
            true => Duration::ZERO,
            false => until.saturating_sub(self.clock.now()),
        };
        wait_for_events(&mut self.poll, events, timeout)?;
        for event in events.iter() {
            match event.token() {
                SIGNALS => {
                    for signal in self.signals.take() {
                        self.is_interrupted |= signal == Received::End;
                    }
                }
                Token(index) => self.workers[index].connection.note_event(),
            }
        }
        Ok(())
    }
}

impl Worker {
    /// Takes the place of a client that has been replaced.
    fn follow<W: Workload, O: Observer>(&mut self, world: &World<W, O>) {
        let Some(client) = self.place.map(|place| world.client_at(place)) else {
            return;
        };
        if client != self.client {
            self.client = client;
            self.connection.pass_on();
        }
    }
}
