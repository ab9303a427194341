use alloc::{collections::VecDeque, string::String};
use core::time::Duration;

use serde_json::value::RawValue;
use slab::Slab;

use super::{Answer, Patience, Proof, Seen, Service};
use crate::node::{Outbox, Pending, Random};
use crate::protocol::Message;

/// Copies of registers in a store, and changes of them that happen once or not at all.
///
/// Each register has at most one read and one change under way. A change is a compare-and-swap of the whole value. One
/// of unknown outcome is settled by reading ([`Seen`]) and repeated only unchanged, until it is applied or certain
/// never to be; see [`Register`](super::Register) for why that is enough. What has become known is told by [`event`](Self::event).
///
/// `T` is what a register is called in events.
pub struct Registers<R, T> {
    service: Service,
    patience: Patience,
    copies: Slab<Copy<R, T>>,
    requests: Pending<Request>,
    events: VecDeque<Event<T>>,
}

/// What has become known of a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<T> {
    /// It has been read.
    Known(T),
    /// Its change was made.
    Applied(T),
    /// Its change was not made and never will be: the register has moved on.
    Lost(T),
    /// It holds something that is no such register. Its change, if there was one, may have been made.
    Foreign(T),
}

struct Copy<R, T> {
    key: String,
    tag: T,
    known: Option<R>,
    /// The known state is not older than this.
    known_at: Duration,
    read: Option<usize>,
    change: Option<Change<R>>,
}

struct Change<R> {
    request: usize,
    from: R,
    to: R,
    sent_at: Duration,
    /// A state read is waited for to say what became of it.
    is_unsettled: bool,
}

struct Request {
    copy: usize,
    message_id: i64,
    is_read: bool,
    sent_at: Duration,
    attempts: u32,
}

impl<R: Proof, T: Clone> Registers<R, T> {
    /// No copies yet.
    pub fn new(service: Service, rpc_timeout: Duration, random: &mut Random) -> Self {
        Registers {
            service,
            requests: Pending::new(random),
            patience: Patience::new(rpc_timeout, Random::new(random.next_u64())),
            copies: Slab::new(),
            events: VecDeque::new(),
        }
    }

    /// Starts to keep a copy of the register under `key`. The answer is what the other calls know it by.
    pub fn open(&mut self, key: String, tag: T) -> usize {
        self.copies.insert(Copy {
            key,
            tag,
            known: None,
            known_at: Duration::ZERO,
            read: None,
            change: None,
        })
    }

    /// Forgets a copy, which must be idle.
    pub fn close(&mut self, copy: usize) {
        assert!(self.is_idle(copy), "nothing is forgotten that is under way");
        self.copies.remove(copy);
    }

    /// Whether nothing is under way for a register.
    pub fn is_idle(&self, copy: usize) -> bool {
        let copy = &self.copies[copy];
        copy.read.is_none() && copy.change.is_none()
    }

    /// How many more requests can be under way.
    pub fn room(&self) -> usize {
        self.requests.room()
    }

    /// The newest state that is known, and since when at least it stood.
    pub fn known(&self, copy: usize) -> Option<(&R, Duration)> {
        let copy = &self.copies[copy];
        copy.known.as_ref().map(|known| (known, copy.known_at))
    }

    /// Takes it for granted that the register isn't there, until something else is known.
    pub fn assume_missing(&mut self, copy: usize) {
        self.copies[copy].known.get_or_insert_default();
    }

    /// Reads the register, unless that is under way. There must be room.
    pub fn read(&mut self, copy: usize, now: Duration, outbox: &mut Outbox) {
        if self.copies[copy].read.is_none() {
            let request = self.start(copy, true, now);
            self.copies[copy].read = Some(request);
            self.send(request, now, outbox);
        }
    }

    /// Changes the register from the state that is known to `to`. One must be known, none may be under way, and there
    /// must be room for two requests: a change may have to be settled by a read.
    pub fn change(&mut self, copy: usize, to: R, now: Duration, outbox: &mut Outbox) {
        let request = self.start(copy, false, now);
        let copy = &mut self.copies[copy];
        assert!(copy.change.is_none(), "one change at a time");
        let from = copy
            .known
            .clone()
            .expect("a change starts from what is known");
        copy.change = Some(Change {
            request,
            from,
            to,
            sent_at: now,
            is_unsettled: false,
        });
        self.send(request, now, outbox);
    }

    /// What has become known, oldest first. Until a change's [`Applied`](Event::Applied) or [`Lost`](Event::Lost) has
    /// been taken, start no other of the same register.
    pub fn event(&mut self) -> Option<Event<T>> {
        self.events.pop_front()
    }

    fn start(&mut self, copy: usize, is_read: bool, now: Duration) -> usize {
        let request = self.requests.insert(Request {
            copy,
            message_id: 0,
            is_read,
            sent_at: now,
            attempts: 0,
        });
        let message_id = self.requests.message_id(request);
        self.requests.get(request).message_id = message_id;
        request
    }

    /// Sends a request, for the first time or again: every copy of it is the same.
    fn send(&mut self, slot: usize, now: Duration, outbox: &mut Outbox) {
        let request = self.requests.get(slot);
        let (message_id, is_read) = (request.message_id, request.is_read);
        let wait = self.patience.wait(request.attempts);
        let copy = &self.copies[request.copy];
        self.requests.set_deadline(slot, now + wait);
        match &copy.change {
            Some(change) if !is_read => {
                let create = change.from.version() == 0;
                let swap = (&change.from, &change.to);
                self.service
                    .cas(&copy.key, swap, create, message_id, outbox);
            }
            _ => self.service.read(&copy.key, message_id, outbox),
        }
    }

    /// A reply has come, perhaps to a request of these registers; `value` is its field of that name.
    pub fn reply<F>(
        &mut self,
        reply: &Message<'_, F>,
        value: Option<&RawValue>,
        now: Duration,
        outbox: &mut Outbox,
    ) {
        let (Some(message_id), Some(answer)) =
            (reply.body.in_reply_to, self.service.answer(reply, value))
        else {
            return;
        };
        let Some((slot, request)) = self.requests.find(message_id) else {
            return;
        };
        if request.message_id != message_id {
            return;
        }
        let (copy, is_read) = (request.copy, request.is_read);
        match answer {
            Answer::Value(value) if is_read => self.seen(copy, Some(value), now, outbox),
            Answer::Missing if is_read => self.seen(copy, None, now, outbox),
            Answer::Swapped if !is_read => self.settle(copy, Seen::Applied),
            Answer::Mismatch | Answer::Missing if !is_read => self.unsettle(copy, now, outbox),
            Answer::Unclear(_) => {
                let attempts = self.requests.get(slot).attempts;
                let pause = self.patience.pause(attempts);
                self.requests.set_deadline(slot, now + pause);
            }
            _ => {}
        }
    }

    /// The register has been read; no value if it isn't there.
    fn seen(&mut self, index: usize, value: Option<&RawValue>, now: Duration, outbox: &mut Outbox) {
        let copy = &mut self.copies[index];
        let read = copy.read.take().expect("the read that has been answered");
        let sent_at = self.requests.remove(read).sent_at;
        let mut state = R::default();
        if value.is_some_and(|value| state.decode(value.get()).is_err()) {
            if let Some(change) = copy.change.take() {
                self.requests.remove(change.request);
            }
            self.events.push_back(Event::Foreign(copy.tag.clone()));
            return;
        }
        let change = copy.change.as_ref();
        let seen = change.map(|change| Seen::judge(&state, &change.from, &change.to));
        if copy
            .known
            .as_ref()
            .is_none_or(|known| known.version() <= state.version())
        {
            copy.known = Some(state);
            copy.known_at = copy.known_at.max(sent_at);
        }
        self.events.push_back(Event::Known(copy.tag.clone()));
        match seen {
            None => {}
            Some(Seen::Open) => self.repeat(index, now, outbox),
            Some(seen) => self.settle(index, seen),
        }
    }

    /// The change is still open: it is sent again, if it is not on its way.
    fn repeat(&mut self, copy: usize, now: Duration, outbox: &mut Outbox) {
        if let Some(change) = &mut self.copies[copy].change
            && change.is_unsettled
        {
            change.is_unsettled = false;
            let request = change.request;
            self.send(request, now, outbox);
        }
    }

    /// It is not known whether the change was made.
    fn unsettle(&mut self, copy: usize, now: Duration, outbox: &mut Outbox) {
        if let Some(change) = &mut self.copies[copy].change {
            change.is_unsettled = true;
            let deadline = now + self.patience.wait(0);
            self.requests.set_deadline(change.request, deadline);
            self.read(copy, now, outbox);
        }
    }

    fn settle(&mut self, copy: usize, seen: Seen) {
        let copy = &mut self.copies[copy];
        let change = copy.change.take().expect("the change that is settled");
        self.requests.remove(change.request);
        if seen != Seen::Applied {
            return self.events.push_back(Event::Lost(copy.tag.clone()));
        }
        if copy
            .known
            .as_ref()
            .is_none_or(|known| known.version() < change.to.version())
        {
            copy.known = Some(change.to);
            copy.known_at = copy.known_at.max(change.sent_at);
        }
        self.events.push_back(Event::Applied(copy.tag.clone()));
    }

    /// When [`wake`](Self::wake) is wanted.
    pub fn deadline(&self) -> Option<Duration> {
        self.requests.deadline()
    }

    /// Asks again for what has not been answered in time.
    pub fn wake(&mut self, now: Duration, outbox: &mut Outbox) {
        while let Some(slot) = self.requests.expired(now) {
            let request = self.requests.get(slot);
            request.attempts += 1;
            let copy = request.copy;
            match request.is_read {
                true => self.send(slot, now, outbox),
                false => self.unsettle(copy, now, outbox),
            }
        }
    }
}
