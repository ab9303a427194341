//! The clients: which are free, and which wait for what answer until when.
//!
//! The run's concurrency is the number of clients at any time. Each sends its requests to one node, one at a time. A
//! client that does not learn the outcome of its request is replaced by a new one, as in Jepsen: the request may still
//! take effect, so a client that continued would have two operations at once.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use rand::Rng;

use super::random::Random;

/// How long a client waits for an answer, unless its workload says otherwise.
pub const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

/// The clients of a run, numbered in the order in which they joined.
pub struct Clients {
    members: Vec<Client>,
    /// The client that has each place now.
    at_places: Vec<usize>,
    /// The clients that are free.
    free: Vec<usize>,
    timeout: Duration,
    /// When requests time out, soonest first, as all clients wait equally long. Requests that have been answered are
    /// removed when they come first.
    timeouts: VecDeque<(Duration, Request)>,
    waiting_count: usize,
}

/// A request: the client, and the message id.
type Request = (usize, i64);

struct Client {
    node: usize,
    /// Its place, from zero to the concurrency.
    place: usize,
    last_msg_id: i64,
    answered_msg_id: i64,
    state: State,
}

enum State {
    Free,
    /// Reserved for a request that follows from the last.
    Kept,
    /// Waits for the answer to the operation with this index in the history.
    Waiting(usize),
    /// Replaced. Its last request may still be answered, once.
    Gone,
}

/// What a reply is to the client that receives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplyKind {
    /// The answer to the operation with this index in the history.
    Answer(usize),
    /// The first answer to the request with this number among the client's, which has timed out.
    Late(usize),
    /// A second answer to the request with this number among the client's.
    Again(usize),
    /// A reply to a request that the client did not send.
    Unasked,
}

impl Clients {
    /// `count` clients of `node_count` nodes, which wait for an answer for this time.
    pub fn new(count: usize, node_count: usize, timeout: Duration) -> Self {
        let members = (0..count).map(|place| Client::new(place % node_count, place));
        Clients {
            members: members.collect(),
            at_places: (0..count).collect(),
            free: (0..count).collect(),
            timeout,
            timeouts: VecDeque::new(),
            waiting_count: 0,
        }
    }

    /// How long a client waits for an answer.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The node to which a client sends its requests.
    pub fn node(&self, client: usize) -> usize {
        self.members[client].node
    }

    /// A client's place, from zero to the concurrency. It is that of the client that it replaced.
    pub fn place(&self, client: usize) -> usize {
        self.members[client].place
    }

    /// The client that has a place now.
    pub fn at(&self, place: usize) -> usize {
        self.at_places[place]
    }

    /// The operation for whose answer a client waits, by its index in the history.
    pub fn waits_for(&self, client: usize) -> Option<usize> {
        match self.members[client].state {
            State::Waiting(operation) => Some(operation),
            State::Free | State::Kept | State::Gone => None,
        }
    }

    /// The first client of a node that waits for the answer to its request with this message id, and its operation.
    pub fn waiting(&self, node: usize, msg_id: i64) -> Option<(usize, usize)> {
        self.at_places.iter().find_map(|&client| {
            let member = &self.members[client];
            let is_it = member.node == node && member.last_msg_id == msg_id;
            is_it.then_some((client, self.waits_for(client)?))
        })
    }

    /// Takes a free client, drawn at random. [`ask`](Self::ask) must follow.
    pub fn take_free(&mut self, random: &mut Random) -> Option<usize> {
        match self.free.len() {
            0 => None,
            count => Some(self.free.swap_remove(random.random_range(0..count))),
        }
    }

    /// Takes all free clients. [`ask`](Self::ask) must follow for each.
    pub fn take_all_free(&mut self) -> Vec<usize> {
        self.free.sort_unstable();
        mem::take(&mut self.free)
    }

    /// Whether any client is free.
    pub fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// Whether no client waits for an answer.
    pub fn are_idle(&self) -> bool {
        self.waiting_count == 0
    }

    /// Begins a request for an operation, given by its index in the history. Returns the request's message id.
    pub fn ask(&mut self, client: usize, operation: usize, now: Duration) -> i64 {
        self.waiting_count += 1;
        let member = &mut self.members[client];
        member.last_msg_id += 1;
        member.state = State::Waiting(operation);
        let request = (client, member.last_msg_id);
        self.timeouts.push_back((now + self.timeout, request));
        member.last_msg_id
    }

    /// What a reply to `msg_id` is to `client`. The client waits until one of [`release`](Self::release),
    /// [`keep`](Self::keep) and [`replace`](Self::replace) is called.
    pub fn on_reply(&mut self, client: usize, msg_id: i64) -> ReplyKind {
        let member = &mut self.members[client];
        if !(1..=member.last_msg_id).contains(&msg_id) {
            return ReplyKind::Unasked;
        }
        let nth = msg_id as usize - 1;
        // Only the last request can be without an answer.
        if msg_id <= member.answered_msg_id {
            return ReplyKind::Again(nth);
        }
        member.answered_msg_id = msg_id;
        match member.state {
            State::Waiting(operation) => ReplyKind::Answer(operation),
            State::Free | State::Kept | State::Gone => ReplyKind::Late(nth),
        }
    }

    /// Makes a client free that has learnt the outcome of its request.
    pub fn release(&mut self, client: usize) {
        self.waiting_count -= 1;
        self.members[client].state = State::Free;
        self.free.push(client);
    }

    /// Reserves a client that has learnt the outcome of its request for another that follows from it.
    pub fn keep(&mut self, client: usize) {
        self.waiting_count -= 1;
        self.members[client].state = State::Kept;
    }

    /// Replaces a client that did not learn the outcome of its request. Returns the new client.
    pub fn replace(&mut self, client: usize) -> usize {
        self.waiting_count -= 1;
        self.members[client].state = State::Gone;
        let successor = self.members.len();
        let Client { node, place, .. } = self.members[client];
        self.members.push(Client::new(node, place));
        self.at_places[place] = successor;
        self.free.push(successor);
        successor
    }

    /// Takes a request that has timed out: the client and its operation.
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
        let clients = Clients::new(5, 3, CLIENT_TIMEOUT);
        let nodes: Vec<_> = (0..5).map(|client| clients.node(client)).collect();
        assert_eq!(nodes, [0, 1, 2, 0, 1]);
    }

    #[test]
    fn a_client_that_waits_is_not_free() {
        let mut clients = Clients::new(2, 1, CLIENT_TIMEOUT);
        let mut random = Stream::Generator.seeded(1);
        for operation in 0..2 {
            let client = clients.take_free(&mut random).expect("a free client");
            clients.ask(client, operation, NOW);
        }
        assert_eq!(clients.take_free(&mut random), None);
        clients.release(1);
        assert_eq!(clients.take_free(&mut random), Some(1));
    }

    #[test]
    fn a_client_that_times_out_is_replaced_by_one_at_the_same_node() {
        let mut clients = Clients::new(2, 2, CLIENT_TIMEOUT);
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
        assert_eq!((clients.at(0), clients.at(1)), (0, successor));
        assert_eq!(clients.time_out(NOW + 2 * CLIENT_TIMEOUT), None);
        assert_eq!(clients.next_timeout_at(), None);
    }

    #[test]
    fn second_late_and_unasked_answers_are_distinguished() {
        let mut clients = Clients::new(1, 1, CLIENT_TIMEOUT);
        clients.take_all_free();
        let first = clients.ask(0, 0, NOW);
        assert_eq!(clients.on_reply(0, first + 1), ReplyKind::Unasked);
        assert_eq!(clients.on_reply(0, first), ReplyKind::Answer(0));
        clients.release(0);
        assert_eq!(clients.on_reply(0, first), ReplyKind::Again(0));
        let second = clients.ask(0, 1, NOW);
        assert_eq!(clients.on_reply(0, first), ReplyKind::Again(0));
        clients.replace(0);
        assert_eq!(clients.on_reply(0, second), ReplyKind::Late(1));
        assert_eq!(clients.on_reply(0, second), ReplyKind::Again(1));
    }
}
