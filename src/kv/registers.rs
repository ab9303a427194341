use alloc::string::String;
use core::{mem, time::Duration};

use serde_json::value::RawValue;
use slab::Slab;

use super::Register;
use super::retry::RetryPolicy;
use crate::node::{Context, Limits, Outbox, Pending, Random};
use crate::protocol::{Encode, ErrorCode, Message, MessageWriter, Name, Raw, to_json};

/// Where an operation stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The register is being read: to know its value, or to learn what became of a change.
    Reading,
    /// A compare-and-swap is on its way, or a write.
    Casing,
    /// The operation has ended; it leaves the slab.
    Done(Outcome),
}

/// How an operation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The register was read.
    Read,
    /// The change was applied. What is [known](Registers::known) may be a later value by now, if others change the register,
    /// too: an answer that depends on the change keeps what it needs when the change is made.
    Applied,
    /// The change was not applied and never will be: the register has moved on without it.
    Lost,
    /// The register holds a value that no workload of this kind wrote. A change of it may have been applied.
    Unexpected,
    /// A request that is sent once was refused with this code.
    Refused(ErrorCode),
}

/// An operation that has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Done<T> {
    /// Its register.
    pub register: RegisterId,
    /// What the register is called.
    pub name: T,
    /// How it ended.
    pub outcome: Outcome,
}

/// One of the registers that a node keeps a copy of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RegisterId(usize);

/// This node's copies of registers in a store, and the operations on them that are pending.
///
/// `T` is what the workload calls a register. Each register has at most one read and one change under way; a request
/// that is sent once counts as a change.
#[derive(Debug)]
pub struct Registers<R, T> {
    /// `seq-kv`, `lin-kv` or another service that speaks the same messages.
    service: Name,
    retry_policy: RetryPolicy,
    /// What is known of each register that is open.
    copies: Slab<Copied<R, T>>,
    /// The slab of pending operations.
    operations: Pending<Operation>,
    /// Where a value that was read is decoded, kept for its memory.
    decoded: R,
}

/// What a node knows of a register.
#[derive(Debug)]
struct Copied<R, T> {
    /// As JSON.
    key: String,
    name: T,
    /// The newest value that this node knows, if it knows one.
    known: Option<R>,
    /// The known value is not older than this.
    known_at: Duration,
    /// The operation that reads it.
    read: Option<i64>,
    /// The operation that changes it: it replaces `from` with `wanted`, unless it is sent once.
    change: Option<i64>,
    from: R,
    wanted: R,
}

/// A pending operation.
#[derive(Debug)]
struct Operation {
    register: RegisterId,
    kind: Kind,
    state: State,
    /// The last id that it had in the state before this one, if there was one. Later ones are of copies sent in this state.
    previous_id: Option<i64>,
    /// When the first of those was sent, and the last, whose id it has now.
    first_sent_at: Duration,
    last_sent_at: Duration,
    /// How often it has been sent in this state without a reply in time.
    attempts: u32,
    /// How often the store could not serve it, or told a value too old to be of use.
    pauses: u32,
    /// The last request had such a reply, and the next one waits.
    is_paused: bool,
    /// The last compare-and-swap was refused, and no value has been read since.
    is_refused: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Read,
    Change,
    /// What is never sent again, because nothing in the store would show whether it was applied.
    Once,
}

impl<R: Register, T: Clone> Registers<R, T> {
    /// No copies yet. `service` is the node id of the service that holds the registers.
    pub fn new(service: &str, limits: &Limits, random: &mut Random) -> Self {
        Registers {
            service: service.into(),
            copies: Slab::new(),
            operations: Pending::new(random),
            retry_policy: RetryPolicy::new(limits, Random::new(random.next_u64())),
            decoded: R::default(),
        }
    }

    /// Starts to keep a copy of the register under `key`, which the workload calls `name`: what is [`Done`] names its
    /// register so, by which a workload with many finds its own entry again.
    ///
    /// There is no limit. A workload that opens registers for its clients limits them, and [closes](Self::close) those
    /// that nobody needs.
    pub fn open(&mut self, key: &dyn Encode, name: T) -> RegisterId {
        RegisterId(self.copies.insert(Copied {
            key: to_json(key),
            name,
            known: None,
            known_at: Duration::ZERO,
            read: None,
            change: None,
            from: R::default(),
            wanted: R::default(),
        }))
    }

    /// Forgets a register. Its id must not be used any more, as the next register that is opened may get it. What is under way
    /// may still be applied, and nobody is told.
    pub fn close(&mut self, register: RegisterId) {
        let copy = self.copies.remove(register.0);
        for operation in [copy.read, copy.change].into_iter().flatten() {
            self.operations.remove(operation);
        }
    }

    /// What to say of a register that holds an [unexpected value](Outcome::Unexpected).
    pub fn unexpected_value(&self, register: RegisterId) -> String {
        alloc::format!(
            "{} holds an unexpected value under key {}; what else writes there?",
            self.service.as_str(),
            self.copies[register.0].key
        )
    }

    /// Whether no operation on a register is under way.
    pub fn is_idle(&self, register: RegisterId) -> bool {
        let copy = &self.copies[register.0];
        copy.read.is_none() && copy.change.is_none()
    }

    /// Whether the register is being changed.
    pub fn is_changing(&self, register: RegisterId) -> bool {
        self.copies[register.0].change.is_some()
    }

    /// Whether the change of a register was refused, and the register is being read to learn what became of it.
    pub fn is_refused(&self, register: RegisterId) -> bool {
        let change = self.copies[register.0].change;
        change.is_some_and(|id| self.operations.get(id).is_some_and(|it| it.is_refused))
    }

    /// How many more operations can be under way, of 4096 in all. It is a bug of the caller to begin one more, and panics.
    pub fn capacity_left(&self) -> usize {
        self.operations.capacity_left()
    }

    /// How long the store takes to reply, smoothed; before it has replied, the RPC timeout.
    pub fn round_trip(&self) -> Duration {
        Duration::from_nanos(self.retry_policy.round_trip)
    }

    /// By how much round trips vary, smoothed; before the store has replied, 0.
    pub fn variation(&self) -> Duration {
        Duration::from_nanos(self.retry_policy.variation)
    }

    /// The newest value that is known.
    pub fn known(&self, register: RegisterId) -> Option<&R> {
        self.copies[register.0].known.as_ref()
    }

    /// On a linearizable store, the known value is not older than this.
    pub fn known_at(&self, register: RegisterId) -> Duration {
        self.copies[register.0].known_at
    }

    /// Takes the register for missing as long as nothing else is known of it. If it is there, the first change is refused. Only
    /// for values that show whose change they are: of others, an earlier incarnation may have made the same first change.
    pub fn assume_missing(&mut self, register: RegisterId) {
        self.copies[register.0].known.get_or_insert_default();
    }

    /// Reads a register, unless that is under way. There must be capacity.
    pub fn read(&mut self, register: RegisterId, context: &mut Context<'_>) {
        if self.copies[register.0].read.is_none() {
            let operation = self.insert(register, Kind::Read, context.now);
            self.send(operation, context);
        }
    }

    /// Ends the read of a register that is under way, if one is, without an outcome: nobody waits for it any more.
    pub fn stop_reading(&mut self, register: RegisterId) {
        if let Some(operation) = self.copies[register.0].read.take() {
            self.operations.remove(operation);
        }
    }

    /// Changes a register by `edit`, which gets the value that is known and must make its version higher.
    ///
    /// A value must be known, no change of the register may be under way, and there must be capacity.
    pub fn change(
        &mut self,
        register: RegisterId,
        edit: impl FnOnce(&mut R),
        context: &mut Context<'_>,
    ) {
        let operation = self.insert(register, Kind::Change, context.now);
        let copy = &mut self.copies[register.0];
        let known = copy.known.as_ref();
        let known = known.expect("a change starts from a value that is known");
        copy.from.clone_from(known);
        copy.wanted.clone_from(known);
        edit(&mut copy.wanted);
        assert!(
            copy.wanted.version() > copy.from.version(),
            "every change makes the version higher"
        );
        self.send(operation, context);
    }

    /// Begins a request of type `kind` about a register, a write or a compare-and-swap that is sent once, whatever becomes of
    /// it. The caller adds its fields. It ends as [`Outcome::Applied`] or [`Outcome::Refused`], or not at all: whoever no
    /// longer waits for it [closes](Self::close) the register.
    ///
    /// No change of the register may be under way, and there must be capacity.
    pub fn ask_once<'o>(
        &mut self,
        register: RegisterId,
        kind: &'static str,
        context: &'o mut Context<'_>,
    ) -> MessageWriter<'o> {
        let id = self.insert(register, Kind::Once, context.now);
        self.ask(kind, register, id, context.outbox)
    }

    /// Begins a request about a register.
    fn ask<'o>(
        &self,
        kind: &'static str,
        register: RegisterId,
        id: i64,
        outbox: &'o mut Outbox,
    ) -> MessageWriter<'o> {
        let request = outbox.send(&self.service, kind);
        let request = request.field("key", Raw(self.copies[register.0].key.as_str()));
        request.field("msg_id", id)
    }

    fn insert(&mut self, register: RegisterId, kind: Kind, now: Duration) -> i64 {
        let under_way = self.copies[register.0].under_way(kind);
        assert!(under_way.is_none(), "a register has one change at a time");
        let state = match kind {
            Kind::Read => State::Reading,
            Kind::Change | Kind::Once => State::Casing,
        };
        *under_way.insert(self.operations.insert(Operation {
            register,
            kind,
            state,
            previous_id: None,
            first_sent_at: now,
            last_sent_at: now,
            attempts: 0,
            pauses: 0,
            is_paused: false,
            is_refused: false,
        }))
    }

    /// Sends what an operation's state asks for, for the first time or again.
    fn send(&mut self, id: i64, context: &mut Context<'_>) {
        let operation = self.operations.get(id).expect("what is sent is pending");
        let (register, outbox) = (operation.register, &mut *context.outbox);
        match operation.state {
            State::Reading => drop(self.ask("read", register, id, outbox)),
            State::Casing => {
                let Copied { from, wanted, .. } = &self.copies[register.0];
                let request = self.ask("cas", register, id, outbox);
                let request = request.field("from", from).field("to", wanted);
                if from.version() == 0 {
                    request.field("create_if_not_exists", true);
                }
            }
            State::Done(_) => unreachable!("what is done has left the slab"),
        }
        let wait = self.retry_policy.wait(operation.attempts);
        self.operations
            .set_deadline(id, context.now.saturating_add(wait));
    }

    /// Sends what a state asks for, the next one of an operation or once more the one that it is in, under a new id. So a
    /// reply shows to which request it is: whether it is to one that was sent in another state, and how long it took.
    fn enter(&mut self, old_id: i64, state: State, context: &mut Context<'_>) {
        let (id, operation) = self.operations.renew(old_id);
        if mem::replace(&mut operation.state, state) != state {
            operation.previous_id = Some(old_id);
            operation.first_sent_at = context.now;
            operation.attempts = 0;
        }
        operation.last_sent_at = context.now;
        operation.is_paused = false;
        *self.copies[operation.register.0].under_way(operation.kind) = Some(id);
        self.send(id, context);
    }

    /// Takes a reply in, if it is one of the store's to a pending operation; `value` is its field of that name. An
    /// operation that has ended with it is given back.
    pub fn on_reply<F>(
        &mut self,
        reply: &Message<'_, F>,
        value: Option<&RawValue>,
        context: &mut Context<'_>,
    ) -> Option<Done<T>> {
        if self.service != *reply.src {
            return None;
        }
        let replied_id = reply.body.in_reply_to?.number()?;
        let (id, operation) = self.operations.find_mut(replied_id)?;
        let copy = &mut self.copies[operation.register.0];
        let is_late = operation.previous_id.is_some_and(|last| replied_id <= last);
        let sent_at = match replied_id == id {
            true => operation.last_sent_at,
            // It is to what was sent in an earlier state, and when that was is no longer known.
            false if is_late => Duration::ZERO,
            // It was sent again meanwhile. The first copy is replied to first; if it was lost, this is too long ago.
            false => operation.first_sent_at,
        };
        if !is_late {
            self.retry_policy
                .on_round_trip(context.now.saturating_sub(sent_at));
        }
        let error = match &*reply.body.kind {
            "error" => Some(ErrorCode(reply.body.code?)),
            _ => None,
        };
        const MISSING: ErrorCode = ErrorCode::KEY_DOES_NOT_EXIST;
        const OTHER: ErrorCode = ErrorCode::PRECONDITION_FAILED;
        let read = &mut self.decoded;
        let next = match (operation.kind, operation.state, &*reply.body.kind, error) {
            // A change that is being resolved by reading was applied.
            (_, State::Reading, "cas_ok", _) if is_late => Some(copy.on_cas_ok(sent_at)),
            _ if is_late => return None,
            (Kind::Once, _, "cas_ok" | "write_ok", _) => Some(State::Done(Outcome::Applied)),
            (Kind::Once, _, _, Some(code)) => Some(State::Done(Outcome::Refused(code))),
            (_, State::Reading, "read_ok", _) => {
                copy.on_read(operation, Some(value?), read, sent_at)
            }
            (_, State::Reading, _, Some(MISSING)) => copy.on_read(operation, None, read, sent_at),
            (_, State::Casing, "cas_ok", _) => Some(copy.on_cas_ok(sent_at)),
            (_, State::Casing, _, Some(MISSING | OTHER)) => {
                operation.is_refused = true;
                Some(State::Reading)
            }
            // The store is there and can't serve this now: it is asked again, but not at once.
            (_, _, _, Some(_)) => None,
            _ => return None,
        };
        match next {
            Some(State::Done(outcome)) => {
                let register = operation.register;
                *copy.under_way(operation.kind) = None;
                self.operations.remove(id);
                return Some(Done {
                    register,
                    name: copy.name.clone(),
                    outcome,
                });
            }
            Some(state) => self.enter(id, state, context),
            None if mem::replace(&mut operation.is_paused, true) => {}
            None => {
                let pause = self.retry_policy.pause(operation.pauses);
                operation.pauses += 1;
                operation.attempts = 0;
                let resumes_at = context.now.saturating_add(pause);
                self.operations.set_deadline(id, resumes_at);
            }
        }
        None
    }

    /// When [`wake`](Self::wake) is wanted.
    pub fn deadline(&self) -> Option<Duration> {
        self.operations.deadline()
    }

    /// Asks again where the store has not replied in time.
    pub fn wake(&mut self, context: &mut Context<'_>) {
        for id in self.operations.expired(context.now) {
            let operation = self.operations.get_mut(id);
            let operation = operation.expect("what expires is pending");
            operation.attempts += u32::from(!operation.is_paused);
            self.enter(id, State::Reading, context);
        }
    }
}

impl<R: Register, T> Copied<R, T> {
    /// The id of the operation of that kind.
    fn under_way(&mut self, kind: Kind) -> &mut Option<i64> {
        match kind {
            Kind::Read => &mut self.read,
            Kind::Change | Kind::Once => &mut self.change,
        }
    }

    /// The register was read by a request sent at `sent_at`, for its value or to resolve a change in doubt; there is no value
    /// if it is missing. The answer is the next state, or none if the store is to be asked again after a pause.
    fn on_read(
        &mut self,
        operation: &mut Operation,
        value: Option<&RawValue>,
        read: &mut R,
        sent_at: Duration,
    ) -> Option<State> {
        let was_refused = mem::take(&mut operation.is_refused);
        match value.map(|value| read.decode(value.get())) {
            None => *read = R::default(),
            Some(Ok(())) if (1..=R::VERSION_MAX).contains(&read.version()) => {}
            Some(_) => return Some(State::Done(Outcome::Unexpected)),
        }
        let next = match operation.kind {
            Kind::Read => Some(State::Done(Outcome::Read)),
            Kind::Once => unreachable!("what is sent once reads nothing"),
            Kind::Change if read.shows(&self.wanted) => Some(State::Done(Outcome::Applied)),
            Kind::Change if read.version() > self.from.version() => {
                Some(State::Done(Outcome::Lost))
            }
            // Refused, though nothing stands in its way: the store has gone back in time, or forgotten what it held.
            Kind::Change if was_refused => None,
            Kind::Change => Some(State::Casing),
        };
        // A store may answer from the past.
        let known = self.known.get_or_insert_default();
        if known.version() <= read.version() {
            mem::swap(known, read);
            self.known_at = self.known_at.max(sent_at);
        }
        next
    }

    /// A change was applied, so the value that it left is known, unless a newer one is. `sent_at` is when the request was
    /// sent: on a linearizable store the value is not older.
    fn on_cas_ok(&mut self, sent_at: Duration) -> State {
        let known = self.known.get_or_insert_default();
        if known.version() < self.wanted.version() {
            known.clone_from(&self.wanted);
            self.known_at = self.known_at.max(sent_at);
        }
        State::Done(Outcome::Applied)
    }
}

#[cfg(test)]
mod tests;
