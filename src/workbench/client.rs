//! The clients: who is free, who waits for which answer, and until when.
//!
//! So many clients work side by side as the run's concurrency says, each bound to a node, in turn. A client asks one
//! thing at a time. One that does not learn what became of its request is replaced by a new one, as in Jepsen: the old
//! request may still take effect, and a client that went on would seem to do two things at once.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use rand::Rng;

use super::random::Random;

/// How long a client waits for an answer.
pub const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

/// The clients of a run, numbered in the order in which they joined.
pub struct Clients {
    members: Vec<Client>,
    /// Who works and has nothing to do.
    free: Vec<usize>,
    /// When requests time out, soonest first: all clients wait equally long. Answered ones are dropped late.
    timeouts: VecDeque<(Duration, Request)>,
    waiting_count: usize,
}

/// A request: who asked, and its message id.
type Request = (usize, i64);

struct Client {
    node: usize,
    /// Its place among those that work side by side.
    place: usize,
    last_msg_id: i64,
    answered_msg_id: i64,
    state: State,
}

enum State {
    Free,
    /// Will ask again soon, and nothing else before.
    Kept,
    /// Waits for the answer to the operation with that index in the history.
    Waiting(usize),
    /// Has been replaced. Its last request may still be answered, once.
    Gone,
}

/// What a reply is to the client that gets it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// The answer to that operation.
    Answer(usize),
    /// An answer to the request of that number among the client's own, which it has given up.
    Late(usize),
    /// A second answer to the request of that number among the client's own.
    Again(usize),
    /// The answer to nothing that it ever asked.
    Unasked,
}

impl Clients {
    /// `count` clients of `node_count` nodes.
    pub fn new(count: usize, node_count: usize) -> Self {
        let members = (0..count).map(|place| Client::new(place % node_count, place));
        Clients {
            members: members.collect(),
            free: (0..count).collect(),
            timeouts: VecDeque::new(),
            waiting_count: 0,
        }
    }

    /// The node that a client asks.
    pub fn node(&self, client: usize) -> usize {
        self.members[client].node
    }

    /// A client's place among those that work side by side; that of the one that it replaced.
    pub fn place(&self, client: usize) -> usize {
        self.members[client].place
    }

    /// Some client that is free, to [`ask`](Self::ask) at once.
    pub fn take_free(&mut self, random: &mut Random) -> Option<usize> {
        match self.free.len() {
            0 => None,
            count => Some(self.free.swap_remove(random.random_range(0..count))),
        }
    }

    /// All clients that are free, to [`ask`](Self::ask) at once.
    pub fn take_all_free(&mut self) -> Vec<usize> {
        self.free.sort_unstable();
        mem::take(&mut self.free)
    }

    /// Whether some client is free.
    pub fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// Whether nobody waits.
    pub fn are_idle(&self) -> bool {
        self.waiting_count == 0
    }

    /// A client that does not wait asks. Gives the message id of its request.
    pub fn ask(&mut self, client: usize, operation: usize, now: Duration) -> i64 {
        self.waiting_count += 1;
        let member = &mut self.members[client];
        member.last_msg_id += 1;
        member.state = State::Waiting(operation);
        let request = (client, member.last_msg_id);
        self.timeouts.push_back((now + CLIENT_TIMEOUT, request));
        member.last_msg_id
    }

    /// What a reply to `msg_id` is to `client`. It waits on until it is told to [`settle`](Self::settle) or
    /// [`replaced`](Self::replace).
    pub fn hear(&mut self, client: usize, msg_id: i64) -> Heard {
        let member = &mut self.members[client];
        if !(1..=member.last_msg_id).contains(&msg_id) {
            return Heard::Unasked;
        }
        let nth = msg_id as usize - 1;
        // Only the last request can be without an answer.
        if msg_id <= member.answered_msg_id {
            return Heard::Again(nth);
        }
        member.answered_msg_id = msg_id;
        match member.state {
            State::Waiting(operation) => Heard::Answer(operation),
            State::Free | State::Kept | State::Gone => Heard::Late(nth),
        }
    }

    /// The client knows what became of its request and is free for the next.
    pub fn settle(&mut self, client: usize) {
        self.waiting_count -= 1;
        self.members[client].state = State::Free;
        self.free.push(client);
    }

    /// The client knows what became of its request, and will [`ask`](Self::ask) again because of it.
    pub fn keep(&mut self, client: usize) {
        self.waiting_count -= 1;
        self.members[client].state = State::Kept;
    }

    /// The client can't know what became of its request. A new client takes its place.
    pub fn replace(&mut self, client: usize) -> usize {
        self.waiting_count -= 1;
        self.members[client].state = State::Gone;
        let successor = self.members.len();
        let Client { node, place, .. } = self.members[client];
        self.members.push(Client::new(node, place));
        self.free.push(successor);
        successor
    }

    /// Takes out a client whose time is up, with its operation.
    pub fn time_out(&mut self, now: Duration) -> Option<(usize, usize)> {
        while self.next_timeout_at()? <= now {
            let (_, (client, _)) = self.timeouts.pop_front()?;
            if let State::Waiting(operation) = self.members[client].state {
                return Some((client, operation));
            }
        }
        None
    }

    /// When the next request times out.
    pub fn next_timeout_at(&mut self) -> Option<Duration> {
        while let Some(&(at, (client, msg_id))) = self.timeouts.front() {
            let member = &self.members[client];
            if member.last_msg_id == msg_id && matches!(member.state, State::Waiting(_)) {
                return Some(at);
            }
            self.timeouts.pop_front();
        }
        None
    }
}

impl Client {
    fn new(node: usize, place: usize) -> Self {
        Client {
            node,
            place,
            last_msg_id: 0,
            answered_msg_id: 0,
            state: State::Free,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::random::Stream;

    const NOW: Duration = Duration::from_secs(1);

    #[test]
    fn clients_are_bound_to_nodes_in_turn() {
        let clients = Clients::new(5, 3);
        let nodes: Vec<_> = (0..5).map(|client| clients.node(client)).collect();
        assert_eq!(nodes, [0, 1, 2, 0, 1]);
    }

    #[test]
    fn a_client_that_waits_is_not_free() {
        let mut clients = Clients::new(2, 1);
        let mut random = Stream::Generator.seeded(1);
        for operation in 0..2 {
            let client = clients.take_free(&mut random).expect("a free client");
            clients.ask(client, operation, NOW);
        }
        assert_eq!(clients.take_free(&mut random), None);
        clients.settle(1);
        assert_eq!(clients.take_free(&mut random), Some(1));
    }

    #[test]
    fn a_client_that_times_out_is_replaced_by_one_at_the_same_node() {
        let mut clients = Clients::new(2, 2);
        clients.take_all_free();
        clients.ask(1, 0, NOW);
        assert_eq!(
            clients.time_out(NOW + CLIENT_TIMEOUT - Duration::from_nanos(1)),
            None
        );
        assert_eq!(clients.time_out(NOW + CLIENT_TIMEOUT), Some((1, 0)));
        let successor = clients.replace(1);
        assert_eq!((successor, clients.node(successor)), (2, 1));
        assert_eq!(clients.place(successor), 1);
        assert_eq!(clients.time_out(NOW + 2 * CLIENT_TIMEOUT), None);
        assert_eq!(clients.next_timeout_at(), None);
    }

    #[test]
    fn a_second_answer_is_told_from_a_late_one_and_from_one_to_nothing() {
        let mut clients = Clients::new(1, 1);
        clients.take_all_free();
        let first = clients.ask(0, 0, NOW);
        assert_eq!(clients.hear(0, first + 1), Heard::Unasked);
        assert_eq!(clients.hear(0, first), Heard::Answer(0));
        clients.settle(0);
        assert_eq!(clients.hear(0, first), Heard::Again(0));
        let second = clients.ask(0, 1, NOW);
        assert_eq!(clients.hear(0, first), Heard::Again(0));
        clients.replace(0);
        assert_eq!(clients.hear(0, second), Heard::Late(1));
        assert_eq!(clients.hear(0, second), Heard::Again(1));
    }
}
