//! Observers of the messages of a run.

use std::time::Duration;

/// Sees every message, to log or draw it.
pub trait Observer {
    /// Called when all nodes are ready, with the driver's time, from which the history counts.
    fn began(&mut self, _: Duration) {}

    /// Called when a message is sent.
    fn sent(&mut self, _: &MessageEvent<'_>) {}

    /// Called when a message arrives.
    fn received(&mut self, _: &MessageEvent<'_>) {}

    /// Called when it is known that a message will not arrive.
    fn lost(&mut self, _: &MessageEvent<'_>, _: Loss) {}
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
}
