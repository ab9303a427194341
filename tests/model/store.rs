//! A sequentially consistent store that may give every answer that such a store may give.
//!
//! A store is sequentially consistent (Lamport 1979) if one row of all operations explains all answers and keeps each
//! client's order. Here everything is about one key, and every cas that changes it puts a version there that nobody
//! has put before. So the changes stand in one order, each on top of the one that it names, and a row is told by the
//! states of the key, oldest first, and by where among them each client's last operation stands:
//!
//! - A read may stand behind any state from there on, and tells which.
//! - A cas is made only on top of the newest state: between two states it would make the later change fail, which has
//!   been answered already.
//! - A cas fails behind any state that it does not name. The answer does not tell which, so it is put at the first: a
//!   client that is further ahead may be answered less, never more.
//!
//! `answers_are_those_of_a_sequentially_consistent_store` holds this against an independent tester.

use std::sync::Arc;

use serde_json::{Value, json};
use stateright::semantics::{ConsistencyTester, SequentialConsistencyTester, SequentialSpec};

/// What a node asks about the counter's key.
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

/// What the store answers.
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
    /// What the key has held, one after the other; before that it was not there.
    values: Vec<Arc<str>>,
    /// For each client, behind how many values its last operation stands.
    seen: Vec<usize>,
    /// The total in the newest value.
    total: i64,
}

impl Request {
    /// Takes the body of a message to the store.
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
    /// The body of the message that says so.
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
    /// Without the key, and nobody has seen anything.
    pub fn new(clients: usize) -> Self {
        Store {
            values: Vec::new(),
            seen: vec![0; clients],
            total: 0,
        }
    }

    /// The counter's total, as the newest change left it.
    pub fn total(&self) -> i64 {
        self.total
    }

    /// Everything that may be answered, and what the store is then; the laziest comes first.
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

/// A store with one state, as the tester wants it: absent, or a version.
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

/// After every run of so many requests by two clients, of reads and of changes from what the client has seen: the store
/// offers an answer exactly if an independent tester finds the history with that answer sequentially consistent.
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
        // No two changes are the same.
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
