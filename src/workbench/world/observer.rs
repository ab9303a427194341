use std::time::Duration;

/// Someone who sees every message, to log it or to draw it later.
pub trait Observer {
    /// All nodes are ready. The history counts its time from here.
    fn began(&mut self, _: Duration) {}

    /// A message was sent.
    fn sent(&mut self, _: &Sighting<'_>) {}

    /// A message has arrived.
    fn received(&mut self, _: &Sighting<'_>) {}

    /// A message will not arrive.
    fn lost(&mut self, _: &Sighting<'_>, _: Loss) {}
}

/// Nobody watches.
impl Observer for () {}

/// A message that was seen.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// When, by the driver's time.
    pub at: Duration,
    /// The message's number.
    pub id: u64,
    /// When it was sent, by the driver's time.
    pub sent_at: Duration,
    /// Who sent it.
    pub src: &'a str,
    /// To whom it goes.
    pub dest: &'a str,
    /// The JSON of its body.
    pub body: &'a str,
}

/// Why a message will not arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// A partition stood between sender and receiver when it was due.
    Partition,
    /// Messages were being lost, and it was one of them.
    Chance,
    /// The node that it was for had been killed and not been started again.
    NodeDown,
    /// The run was over before it was due.
    RunOver,
}

impl<O: Observer> Observer for &mut O {
    fn began(&mut self, at: Duration) {
        (**self).began(at);
    }

    fn sent(&mut self, message: &Sighting<'_>) {
        (**self).sent(message);
    }

    fn received(&mut self, message: &Sighting<'_>) {
        (**self).received(message);
    }

    fn lost(&mut self, message: &Sighting<'_>, why: Loss) {
        (**self).lost(message, why);
    }
}

/// Someone may watch.
impl<O: Observer> Observer for Option<O> {
    fn began(&mut self, at: Duration) {
        if let Some(observer) = self {
            observer.began(at);
        }
    }

    fn sent(&mut self, message: &Sighting<'_>) {
        if let Some(observer) = self {
            observer.sent(message);
        }
    }

    fn received(&mut self, message: &Sighting<'_>) {
        if let Some(observer) = self {
            observer.received(message);
        }
    }

    fn lost(&mut self, message: &Sighting<'_>, why: Loss) {
        if let Some(observer) = self {
            observer.lost(message, why);
        }
    }
}

/// Both watch.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn began(&mut self, at: Duration) {
        self.0.began(at);
        self.1.began(at);
    }

    fn sent(&mut self, message: &Sighting<'_>) {
        self.0.sent(message);
        self.1.sent(message);
    }

    fn received(&mut self, message: &Sighting<'_>) {
        self.0.received(message);
        self.1.received(message);
    }

    fn lost(&mut self, message: &Sighting<'_>, why: Loss) {
        self.0.lost(message, why);
        self.1.lost(message, why);
    }
}
