//! Key-value services for tests.
#![allow(dead_code, reason = "every program uses what it needs of the store")]

use std::collections::BTreeMap;

use eddy::node::Random;
use serde_json::{Value, json};

/// A linearizable store with one state, such as `lin-kv`.
#[derive(Clone, Default, PartialEq)]
pub struct Store {
    /// By key, as JSON.
    values: BTreeMap<String, Value>,
}

/// The body of an error.
pub fn error(code: i64) -> Value {
    json!({"type": "error", "code": code, "text": "as the test says"})
}

/// The body that answers a request.
pub fn reply_to(request: &Value, mut answer: Value) -> Value {
    answer["in_reply_to"] = request["msg_id"].clone();
    answer
}

impl Store {
    pub fn get(&self, key: impl Into<Value>) -> Option<&Value> {
        self.values.get(&key.into().to_string())
    }

    pub fn set(&mut self, key: impl Into<Value>, value: Value) {
        self.values.insert(key.into().to_string(), value);
    }

    pub fn remove(&mut self, key: impl Into<Value>) {
        self.values.remove(&key.into().to_string());
    }

    pub fn clear(&mut self) {
        self.values.clear();
    }

    /// All values that count. What a node announces does not until it is applied to another value.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        let values = self.values.iter();
        let values = values.filter(|(key, _)| !key.contains("-announced/"));
        values.map(|(_, value)| value)
    }

    /// Performs the request in a body and returns the body of the reply.
    pub fn handle(&mut self, request: &Value) -> Value {
        let key = request["key"].to_string();
        let held = self.values.get(&key);
        let (value, answer) = match (request["type"].as_str(), held) {
            (Some("read"), Some(value)) => {
                let mut read_ok = json!({"type": "read_ok"});
                read_ok["value"] = value.clone();
                return reply_to(request, read_ok);
            }
            (Some("write"), _) => (&request["value"], json!({"type": "write_ok"})),
            (Some("cas"), Some(value)) if *value != request["from"] => {
                return reply_to(request, error(22));
            }
            (Some("cas"), held) if held.is_some() || request["create_if_not_exists"] == true => {
                (&request["to"], json!({"type": "cas_ok"}))
            }
            (Some("read" | "cas"), None) => return reply_to(request, error(20)),
            _ => return reply_to(request, error(10)),
        };
        self.values.insert(key, value.clone());
        reply_to(request, answer)
    }
}

/// `seq-kv` as upstream defines it: the last 32 states, and for each client the newest state that it has seen.
pub struct SeqKv {
    states: Vec<Store>,
    clients: BTreeMap<String, usize>,
}

impl Default for SeqKv {
    fn default() -> Self {
        SeqKv {
            states: vec![Store::default()],
            clients: BTreeMap::new(),
        }
    }
}

impl SeqKv {
    const STATES_MAX: usize = 32;

    /// Tries the request on a random state from the client's to the newest. If it changes nothing there, the reply
    /// comes from that state. Otherwise it runs on the newest state.
    pub fn handle(&mut self, client: &str, request: &Value, random: &mut Random) -> Value {
        let newest = self.states.len() - 1;
        let seen = self.clients.entry(client.into()).or_default();
        let index = *seen + random.below((newest - *seen + 1) as u64) as usize;
        // The ring wraps for a client that is more than 32 states behind.
        let ring = self.states.len().min(Self::STATES_MAX);
        let old = &self.states[newest - (newest - index) % ring];
        let mut state = old.clone();
        let answer = state.handle(request);
        if state == *old {
            *seen = index;
            return answer;
        }
        let mut state = self.states[newest].clone();
        let answer = state.handle(request);
        self.states.push(state);
        *seen = newest + 1;
        answer
    }
}
