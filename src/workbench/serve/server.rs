//! The loop of a service: events, the node's process, and listening sockets.

use std::io::ErrorKind;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

use super::backoff::Backoff;
use super::connections::Connections;
use super::limits::{END_GRACE, REFUSALS_MAX, RESTART_BACKOFF_MAX, SCRAPES_MAX};
use super::router::{NodeState, Router};
use super::{ServeError, Settings};
use crate::workbench::events::wait_for_events;
use crate::workbench::process::{Ended, Guard, NodeProcess, Printed};
use crate::workbench::service::etcd::{Deliver, Etcd, IN_FLIGHT_MAX};
use crate::workbench::service::{LateAnswer, Service, Services};
use crate::workbench::signals::{Received, Signals};
use crate::workbench::system::{DESCRIPTORS_RESERVED, FewDescriptors, descriptors_beyond, refused};
use crate::workbench::words::counted;
use crate::workbench::world::INIT_TIMEOUT;

/// The exit code of a program that does not know its flags.
const WRONG_FLAGS: i32 = 2;

/// How often it is checked what is due.
const TICK: Duration = Duration::from_millis(100);

/// The maximum number of connections that are accepted before other events are handled.
const ACCEPTED_A_TURN_MAX: usize = 64;

/// The only node of the service: its pipes have the tokens below 3.
const NODE: usize = 0;

const CLIENTS: Token = Token(3);
const SCRAPES: Token = Token(4);
const SIGNALS: Token = Token(5);
/// Wakes the loop when a store has answered.
const LATE_ANSWERS: Token = Token(6);

/// Serves until a signal ends it. The log on stderr says which address it listens on.
///
/// # Errors
///
/// When it can't serve.
pub fn serve(settings: Settings) -> Result<(), ServeError> {
    Server::start(settings)?.run()
}

struct Server {
    router: Router,
    listener: Option<Listener>,
    scrapes: Option<Listener>,
    process: NodeProcess,
    /// Kills the node if this process is killed. It is dropped after the node.
    guard: Guard,
    restart_backoff: Backoff,
    /// When the node is started again, if it is down.
    restart_at: Duration,
    poll: Poll,
    signals: Signals,
    late_answers: Receiver<LateAnswer>,
    began: Instant,
    tick_at: Duration,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Open requests are being answered.
    Answering,
    /// The node's stdin is closed. At this time the service ends whatever is still to be done.
    Closing {
        until: Duration,
    },
}

/// A listening socket.
struct Listener {
    socket: TcpListener,
    /// Whether connections may wait.
    has_more: bool,
    /// Whether the last connection could not be accepted, which is in the log then.
    is_failing: bool,
}

impl Server {
    fn start(mut settings: Settings) -> Result<Self, ServeError> {
        let asked = settings.limits.connections_max;
        settings.limits.connections_max = connections_max(&settings)?;
        for address in [Some(settings.listen), settings.metrics]
            .into_iter()
            .flatten()
        {
            if settings.token.is_none() && !address.ip().is_loopback() {
                return Err(ServeError::NeedsToken(address));
            }
        }
        let poll = Poll::new().map_err(refused("watch sockets"))?;
        let registry = poll.registry();
        // Before the node starts, so that no SIGCHLD is missed.
        let signals = Signals::listen(registry, SIGNALS)?;
        let (sender, late_answers) = mpsc::channel();
        let waker = Waker::new(registry, LATE_ANSWERS).map_err(refused("make a waker"))?;
        let deliver: Deliver = Arc::new(move |answer| {
            // Sending fails after the end of the service, because the receiver has been dropped.
            if sender.send(answer).is_ok() {
                waker.wake().expect("a waker can be written to");
            }
        });
        let mut services: Vec<(_, Box<dyn Service>)> = Vec::new();
        for store in &settings.stores {
            let etcd = Etcd::connect(store, Arc::clone(&deliver))?;
            // If nobody answers, that is in the log before the first client comes. The store may be started later.
            etcd.probe(settings.own_index());
            services.push((store.service, Box::new(etcd)));
        }
        let listener = Listener::bind(settings.listen, CLIENTS, &poll)?;
        let scrapes = settings
            .metrics
            .map(|address| Listener::bind(address, SCRAPES, &poll))
            .transpose()?;
        let guard = Guard::start().map_err(refused(
            "start the shell that kills the node if eddy is killed",
        ))?;
        let child = settings.program.spawn()?;
        let process = NodeProcess::new(&settings.id, NODE, child, registry)
            .map_err(refused("watch pipes"))?;
        let registry = registry.try_clone().map_err(refused("watch sockets"))?;
        let connections = Connections::new(registry);
        let mut server = Server {
            router: Router::new(settings, connections, Services::only(services)),
            listener: Some(listener),
            scrapes,
            process,
            guard,
            restart_backoff: Backoff::new(RESTART_BACKOFF_MAX),
            restart_at: Duration::ZERO,
            poll,
            signals,
            late_answers,
            began: Instant::now(),
            tick_at: Duration::ZERO,
            phase: Phase::Serving,
        };
        server.guard.watch(server.process.group().into_iter());
        server.router.on_node_started();
        server.announce(asked)?;
        Ok(server)
    }

    /// Writes to the log where the service listens, and what its user should know.
    fn announce(&mut self, asked: usize) -> Result<(), ServeError> {
        let address = |listener: &Listener| {
            listener
                .socket
                .local_addr()
                .map_err(refused("name an address"))
        };
        let clients = self.listener.as_ref().map(address).transpose()?;
        let scrapes = self.scrapes.as_ref().map(address).transpose()?;
        let Router { log, settings, .. } = &mut self.router;
        let most = settings.limits.connections_max;
        if most < asked {
            log.say(format_args!(
                "warning: at most {} at a time instead of {asked}, as this process may open few files (ulimit -n)",
                counted(most, "client")
            ));
        }
        let addresses = [clients, scrapes].into_iter().flatten();
        if addresses
            .into_iter()
            .any(|address| !address.ip().is_loopback())
        {
            log.say(format_args!(
                "warning: the traffic is not encrypted, and neither is the token. Put WireGuard or stunnel in front"
            ));
        }
        if let Some(address) = scrapes {
            log.say(format_args!("metrics are at http://{address}/metrics"));
        }
        if let Some(address) = clients {
            log.say(format_args!("{} listens on {address}", settings.id));
        }
        Ok(())
    }

    fn run(&mut self) -> Result<(), ServeError> {
        let mut events = Events::with_capacity(1_024);
        loop {
            self.wait(&mut events)?;
            self.router.now = self.began.elapsed();
            self.take_events(&events);
            for answer in self.late_answers.try_iter() {
                self.router.on_late_answer(&answer);
            }
            if let Some(listener) = &mut self.listener {
                listener.accept(&mut self.router, Router::on_accepted);
            }
            if let Some(listener) = &mut self.scrapes {
                listener.accept(&mut self.router, Router::on_scrape_accepted);
            }
            self.router.read_connections();
            self.read_node()?;
            if self.router.now >= self.tick_at {
                self.tick_at = self.router.now + TICK;
                self.tick()?;
            }
            self.process
                .write(&mut self.router.inbox, self.poll.registry())
                .map_err(refused("write to the node"))?;
            for (key, error) in self.router.connections.write() {
                let why = error.map_or(String::from("it was closed"), |error| error.to_string());
                self.router.remove(key, &why);
            }
            if self.is_over() {
                return Ok(());
            }
        }
    }

    /// Sleeps until an event arrives or something may be due. It does not sleep while input is left.
    fn wait(&mut self, events: &mut Events) -> Result<(), ServeError> {
        let listeners = [&self.listener, &self.scrapes];
        let mut listeners = listeners.into_iter().flatten();
        let has_more = self.process.has_more()
            || self.router.connections.has_more()
            || listeners.any(|listener| listener.has_more);
        let timeout = match has_more {
            true => Duration::ZERO,
            false => self.tick_at.saturating_sub(self.began.elapsed()),
        };
        Ok(wait_for_events(&mut self.poll, events, timeout)?)
    }

    fn take_events(&mut self, events: &Events) {
        for event in events {
            match event.token() {
                CLIENTS => self
                    .listener
                    .iter_mut()
                    .for_each(|listener| listener.has_more = true),
                SCRAPES => self
                    .scrapes
                    .iter_mut()
                    .for_each(|listener| listener.has_more = true),
                SIGNALS => self.take_signals(),
                LATE_ANSWERS => {}
                token if token < CLIENTS => self.process.note_event(token),
                _ => self.router.connections.note_event(event),
            }
        }
    }

    fn take_signals(&mut self) {
        for signal in self.signals.take() {
            match (signal, self.phase) {
                (Received::Child, _) => self.process.note_child_event(),
                (Received::End, Phase::Serving) => {
                    self.phase = Phase::Answering;
                    self.router.is_ending = true;
                    (self.listener, self.scrapes) = (None, None);
                    let what = match self.router.open_count {
                        0 => String::from("ends"),
                        1 => String::from("ends after 1 request is answered"),
                        count => format!("ends after {count} requests are answered"),
                    };
                    self.router
                        .log
                        .say(format_args!("{what}; a second signal ends it at once"));
                }
                (Received::End, _) => {
                    self.phase = Phase::Closing {
                        until: self.router.now,
                    }
                }
            }
        }
    }

    /// Passes the output of the node to the router, and takes note of its end.
    fn read_node(&mut self) -> Result<(), ServeError> {
        let router = &mut self.router;
        let id = router.settings.id.clone();
        self.process
            .read(|printed| match printed {
                Printed::Log(line) => router.log.write(&id, line),
                Printed::Line(line) => router.on_node_line(line),
            })
            .map_err(refused("read the output of the node"))?;
        let ended = self.process.how_it_ended(&self.router.settings.program);
        if let Some(Ended { status, how }) = ended.map_err(refused("wait for the node"))? {
            if status.code() == Some(WRONG_FLAGS) && !self.router.has_been_ready {
                return Err(ServeError::NodeFlags { id, how });
            }
            // The log has the rest already: the last lines on stderr.
            let how = how.lines().next().unwrap_or_default();
            self.on_node_ended(&format!("has ended: {how}"));
        } else if self.phase == Phase::Serving
            && self.process.closed_stdout_at(self.router.now).is_some()
        {
            self.kill_node("has closed its stdout, and is killed");
        }
        match self.router.node {
            NodeState::Ending if self.phase == Phase::Serving => self.kill_node("is killed"),
            _ => {}
        }
        Ok(())
    }

    fn kill_node(&mut self, what: &str) {
        self.process.kill();
        self.on_node_ended(what);
    }

    fn on_node_ended(&mut self, what: &str) {
        self.guard.watch(std::iter::empty());
        if self.router.on_node_ended() {
            self.restart_backoff.reset();
        }
        if self.phase != Phase::Serving {
            return;
        }
        let delay = self.restart_backoff.next();
        self.restart_at = self.router.now + delay;
        let id = &self.router.settings.id;
        self.router.log.say(format_args!(
            "{id} {what}. It is started again in {delay:?}"
        ));
    }

    fn tick(&mut self) -> Result<(), ServeError> {
        let now = self.router.now;
        for listener in [&mut self.listener, &mut self.scrapes]
            .into_iter()
            .flatten()
        {
            listener.has_more = true;
        }
        self.router.tick();
        match (self.phase, self.router.node) {
            (Phase::Serving, NodeState::Down) if now >= self.restart_at => self.restart_node()?,
            (Phase::Serving, NodeState::Starting { since }) if now >= since + INIT_TIMEOUT => {
                self.kill_node("has not answered init, and is killed");
            }
            (Phase::Answering, _) if self.router.open_count == 0 => {
                self.phase = Phase::Closing {
                    until: now + END_GRACE,
                };
                self.process.close_stdin();
                self.router.close_all();
            }
            _ => {}
        }
        Ok(())
    }

    fn restart_node(&mut self) -> Result<(), ServeError> {
        let child = match self.router.settings.program.spawn() {
            Ok(child) => child,
            Err(error) => {
                self.on_node_ended(&error.to_string());
                return Ok(());
            }
        };
        self.process
            .restart(NODE, child, self.poll.registry())
            .map_err(refused("watch pipes"))?;
        self.guard.watch(self.process.group().into_iter());
        self.router.metrics.restarts.inc();
        self.router.on_node_started();
        Ok(())
    }

    fn is_over(&self) -> bool {
        let Phase::Closing { until } = self.phase else {
            return false;
        };
        self.router.now >= until || (self.process.is_gone() && self.router.connections.len() == 0)
    }
}

impl Listener {
    fn bind(address: SocketAddr, token: Token, poll: &Poll) -> Result<Self, ServeError> {
        let failed = |error| ServeError::Listen { address, error };
        let mut socket = TcpListener::bind(address).map_err(failed)?;
        poll.registry()
            .register(&mut socket, token, Interest::READABLE)
            .map_err(failed)?;
        Ok(Listener {
            socket,
            has_more: true,
            is_failing: false,
        })
    }

    /// Accepts some of the connections that wait, and passes each to `take`.
    fn accept(&mut self, router: &mut Router, take: fn(&mut Router, TcpStream)) {
        for _ in 0..ACCEPTED_A_TURN_MAX {
            if !self.has_more {
                return;
            }
            match self.socket.accept() {
                Ok((stream, _)) => {
                    self.is_failing = false;
                    take(router, stream);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => self.has_more = false,
                    // The connection was closed before it could be accepted.
                    ErrorKind::ConnectionAborted | ErrorKind::Interrupted => {}
                    // No file descriptor or no memory is free. The connection waits, and the next tick tries again.
                    _ => {
                        self.has_more = false;
                        if !mem::replace(&mut self.is_failing, true) {
                            router
                                .log
                                .say(format_args!("connections have to wait: {error}"));
                        }
                    }
                },
            }
        }
    }
}

/// The maximum number of clients: what was asked for, or fewer if this process may open few files.
fn connections_max(settings: &Settings) -> Result<usize, FewDescriptors> {
    let others = 3 * settings.peers.len() + SCRAPES_MAX + REFUSALS_MAX;
    let reserved = DESCRIPTORS_RESERVED + IN_FLIGHT_MAX * settings.stores.len() + others;
    let more = descriptors_beyond(reserved + 1)?;
    Ok((more + 1).min(settings.limits.connections_max))
}
