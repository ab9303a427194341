//! A sequentially consistent store that may give every reply that such a store may give.
//!
//! A store is sequentially consistent (Lamport 1979) if one sequence of all operations explains all replies and keeps
//! each client's order. Here all operations are on one key, and every cas that changes it writes a version that was
//! never written before. So the changes have one order, each based on the one that it names. A sequence is then
//! defined by the states of the key, oldest first, and by the position of each client's last operation among them:
//!
//! - A read may come after any state from there on, and its reply shows which.
//! - A cas succeeds only on the newest state: between two states it would make the later change fail, which was
//!   answered already.
//! - A cas fails after any state that it does not name. The reply does not show which, so it is placed after the first
//!   one: a client that is further ahead may get fewer replies, never more.
//!
//! `answers_are_those_of_a_sequentially_consistent_store` compares this with an independent tester.

use std::sync::Arc;

use serde_json::{Value, json};
use stateright::semantics::{ConsistencyTester, SequentialConsistencyTester, SequentialSpec};

/// A request of a node on the counter's key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Request {
    Read,
    Cas {
        from: Arc<str>,
        to: Arc<str>,
        total: i64,
        create: bool,
    },
}

/// A reply of the store.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    Value(Arc<str>),
    CasOk,
    /// Error 20.
    Missing,
    /// Error 22.
    Mismatch,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Store {
    /// The values of the key, oldest first; before them the key did not exist.
    values: Vec<Arc<str>>,
    /// For each client, the number of values that precede its last operation.
    seen: Vec<usize>,
    /// The total in the newest value.
    total: i64,
}

impl Request {
    /// Reads the body of a message to the store.
    pub fn new(body: &Value) -> Self {
        match body["type"].as_str() {
            Some("read") => Request::Read,
            Some("cas") => Request::Cas {
                from: body["from"].to_string().into(),
                to: body["to"].to_string().into(),
                total: body["to"][0].as_i64().expect("a total"),
                create: body["create_if_not_exists"] == true,
            },
            kind => panic!("a counter doesn't ask a store to {kind:?}"),
        }
    }
}

impl Answer {
    /// The body of the message with this reply.
    pub fn body(&self, in_reply_to: i64) -> Value {
        let mut body = match self {
            Answer::Value(value) => {
                let value: Value = serde_json::from_str(value).expect("it was JSON when it came");
                json!({"type": "read_ok", "value": value})
            }
            Answer::CasOk => json!({"type": "cas_ok"}),
            Answer::Missing => json!({"type": "error", "code": 20, "text": "no such key"}),
            Answer::Mismatch => json!({"type": "error", "code": 22, "text": "another value"}),
        };
        body["in_reply_to"] = in_reply_to.into();
        body
    }
}

impl Store {
    /// A store without the key, which no client has seen.
    pub fn new(clients: usize) -> Self {
        Store {
            values: Vec::new(),
            seen: vec![0; clients],
            total: 0,
        }
    }

    /// The counter's total after the newest change.
    pub fn total(&self) -> i64 {
        self.total
    }

    /// All possible replies, each with the store after it; the laziest first.
    pub fn answers(&self, client: usize, request: &Request) -> Vec<(Answer, Self)> {
        let places = self.seen[client]..=self.values.len();
        let Request::Cas {
            from,
            to,
            total,
            create,
        } = request
        else {
            let answer = |place| (self.read(place), self.with(client, place));
            return places.map(answer).collect();
        };
        let fits = |place: usize| self.value(place).map_or(*create, |value| value == from);
        let fails = |place: &usize| !fits(*place);
        let mut answers = Vec::new();
        if self.seen[client] == 0 && !create {
            answers.push((Answer::Missing, self.clone()));
        }
        if let Some(place) = places.clone().filter(|place| *place > 0).find(fails) {
            answers.push((Answer::Mismatch, self.with(client, place)));
        }
        if fits(*places.end()) {
            let mut store = self.with(client, places.end() + 1);
            store.values.push(to.clone());
            store.total = *total;
            answers.push((Answer::CasOk, store));
        }
        answers
    }

    fn value(&self, place: usize) -> Option<&Arc<str>> {
        self.values.get(place.checked_sub(1)?)
    }

    fn read(&self, place: usize) -> Answer {
        let value = self.value(place);
        value.map_or(Answer::Missing, |value| Answer::Value(value.clone()))
    }

    fn with(&self, client: usize, place: usize) -> Self {
        let mut store = self.clone();
        store.seen[client] = place;
        store
    }
}

/// A store with one state, as the tester defines one: absent, or a version.
#[derive(Clone, Debug, Default)]
struct Specification(Option<Arc<str>>);

impl SequentialSpec for Specification {
    type Op = Request;
    type Ret = Answer;

    fn invoke(&mut self, request: &Request) -> Answer {
        match (request, &self.0) {
            (Request::Read, value) => value.clone().map_or(Answer::Missing, Answer::Value),
            (Request::Cas { create: false, .. }, None) => Answer::Missing,
            (Request::Cas { from, .. }, Some(value)) if from != value => Answer::Mismatch,
            (Request::Cas { to, .. }, _) => {
                self.0 = Some(to.clone());
                Answer::CasOk
            }
        }
    }
}

/// Runs all sequences of a number of requests by two clients, reads and changes based on what the client has seen. The
/// store offers a reply if and only if an independent tester finds the history with that reply sequentially
/// consistent.
fn offers_what_is_consistent(
    requests_left: usize,
    store: &Store,
    tester: &SequentialConsistencyTester<usize, Specification>,
    known: [Option<Arc<str>>; 2],
) -> u64 {
    if requests_left == 0 {
        return 0;
    }
    let mut compared = 0;
    for client in 0..2 {
        // No two changes are equal.
        let to: Arc<str> = format!("{client}-{requests_left}").into();
        let from = known[client].clone();
        let create = from.is_none();
        let change = Request::Cas {
            from: from.unwrap_or_else(|| "nothing".into()),
            to: to.clone(),
            total: 0,
            create,
        };
        for request in [Request::Read, change] {
            let offered = store.answers(client, &request);
            let mut possible = vec![Answer::Missing];
            match &request {
                Request::Read => possible.extend(store.values.iter().cloned().map(Answer::Value)),
                Request::Cas { .. } => possible.extend([Answer::Mismatch, Answer::CasOk]),
            }
            for answer in possible {
                let mut tester = tester.clone();
                let asked = request.clone();
                tester
                    .on_invret(client, asked, answer.clone())
                    .expect("one at a time");
                let offer = offered.iter().find(|(offered, _)| *offered == answer);
                assert_eq!(
                    offer.is_some(),
                    tester.is_consistent(),
                    "{answer:?}: {tester:?}"
                );
                compared += 1;
                let Some((_, store)) = offer else {
                    continue;
                };
                let mut known = known.clone();
                match answer {
                    Answer::Value(value) => known[client] = Some(value),
                    Answer::CasOk => known[client] = Some(to.clone()),
                    Answer::Missing | Answer::Mismatch => {}
                }
                compared += offers_what_is_consistent(requests_left - 1, store, &tester, known);
            }
        }
    }
    compared
}

#[test]
fn answers_are_those_of_a_sequentially_consistent_store() {
    let tester = SequentialConsistencyTester::default();
    let compared = offers_what_is_consistent(5, &Store::new(2), &tester, [None, None]);
    println!("{compared} answers compared");
}
