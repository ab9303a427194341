//! Observers of a run.

use std::time::Duration;

use super::Progress;

/// Sees every message and everything else that happens, to log or draw it. All times are the driver's.
pub trait Observer {
    /// Called when all nodes are ready, with the driver's time, from which the history counts.
    fn began(&mut self, _: Duration) {}

    /// Called when a message is sent.
    fn sent(&mut self, _: &MessageEvent<'_>) {}

    /// Called when a message arrives.
    fn received(&mut self, _: &MessageEvent<'_>) {}

    /// Called when it is known that a message will not arrive.
    fn lost(&mut self, _: &MessageEvent<'_>, _: Loss) {}

    /// Called when anything else happens, with the time.
    fn happened(&mut self, _: Duration, _: &Event<'_>) {}

    /// Called at intervals during a run in real time.
    fn progress(&mut self, _: &Progress<'_>) {}
}

/// No observer.
impl Observer for () {}

/// A message that was sent, has arrived, or is lost.
#[derive(Clone, Copy, Debug)]
pub struct MessageEvent<'a> {
    /// When that happened, by the driver's time.
    pub at: Duration,
    /// The message's number.
    pub id: u64,
    /// When it was sent, by the driver's time.
    pub sent_at: Duration,
    /// Who sent it.
    pub src: &'a str,
    /// Who receives it.
    pub dest: &'a str,
    /// The JSON of its body.
    pub body: &'a str,
    /// Whether it is the reply of a service about a value that had been replaced.
    pub is_stale: bool,
}

/// What happens in a run, other than a message.
#[derive(Clone, Copy)]
pub enum Event<'a> {
    /// This node joins the network, for the first time or after it was killed.
    Joined(&'a str),
    /// An operation begins.
    OperationBegan {
        /// Its index in the history.
        index: usize,
        /// The number in the client's name.
        client: usize,
        /// The name of the node that receives the request.
        node: &'a str,
        /// Writes the request in words.
        request: &'a dyn Fn() -> String,
    },
    /// An operation ends.
    OperationEnded {
        /// Its index in the history.
        index: usize,
        /// The number in the client's name.
        client: usize,
        /// The name of the node that received the request.
        node: &'a str,
        /// Writes the outcome in words.
        outcome: &'a dyn Fn() -> String,
    },
    /// A fault begins, described in words.
    FaultBegan(&'a str),
    /// A fault ends, described in words.
    FaultEnded(&'a str),
    /// A node has printed a line on stderr.
    Logged {
        /// The node's name.
        node: &'a str,
        /// The line.
        line: &'a str,
    },
}

/// Why a message will not arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// There was a partition between sender and receiver when it was due.
    Partition,
    /// The fault that loses messages lost it.
    Chance,
    /// Its receiver had been killed and not yet been started again.
    NodeDown,
    /// The run ended before it was due.
    RunOver,
}

impl Loss {
    /// What became of the message, in words.
    pub fn fate(self) -> &'static str {
        match self {
            Loss::Partition => "lost: partition",
            Loss::Chance => "lost: chance",
            Loss::NodeDown => "lost: node down",
            Loss::RunOver => "lost: the run was over",
        }
    }
}

impl<O: Observer> Observer for &mut O {
    fn began(&mut self, at: Duration) {
        (**self).began(at);
    }

    fn sent(&mut self, message: &MessageEvent<'_>) {
        (**self).sent(message);
    }

    fn received(&mut self, message: &MessageEvent<'_>) {
        (**self).received(message);
    }

    fn lost(&mut self, message: &MessageEvent<'_>, why: Loss) {
        (**self).lost(message, why);
    }

    fn happened(&mut self, at: Duration, event: &Event<'_>) {
        (**self).happened(at, event);
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        (**self).progress(progress);
    }
}

/// An observer that may be missing.
impl<O: Observer> Observer for Option<O> {
    fn began(&mut self, at: Duration) {
        if let Some(observer) = self {
            observer.began(at);
        }
    }

    fn sent(&mut self, message: &MessageEvent<'_>) {
        if let Some(observer) = self {
            observer.sent(message);
        }
    }

    fn received(&mut self, message: &MessageEvent<'_>) {
        if let Some(observer) = self {
            observer.received(message);
        }
    }

    fn lost(&mut self, message: &MessageEvent<'_>, why: Loss) {
        if let Some(observer) = self {
            observer.lost(message, why);
        }
    }

    fn happened(&mut self, at: Duration, event: &Event<'_>) {
        if let Some(observer) = self {
            observer.happened(at, event);
        }
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        if let Some(observer) = self {
            observer.progress(progress);
        }
    }
}

/// Two observers.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn began(&mut self, at: Duration) {
        self.0.began(at);
        self.1.began(at);
    }

    fn sent(&mut self, message: &MessageEvent<'_>) {
        self.0.sent(message);
        self.1.sent(message);
    }

    fn received(&mut self, message: &MessageEvent<'_>) {
        self.0.received(message);
        self.1.received(message);
    }

    fn lost(&mut self, message: &MessageEvent<'_>, why: Loss) {
        self.0.lost(message, why);
        self.1.lost(message, why);
    }

    fn happened(&mut self, at: Duration, event: &Event<'_>) {
        self.0.happened(at, event);
        self.1.happened(at, event);
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        self.0.progress(progress);
        self.1.progress(progress);
    }
}
