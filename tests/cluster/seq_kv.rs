use std::collections::BTreeMap;

use eddy::node::Random;
use serde_json::{Value, json};

/// `seq-kv` to the letter: the last 32 states, and for each client the newest that it has seen.
pub struct SeqKv {
    states: Vec<BTreeMap<String, Value>>,
    clients: BTreeMap<String, usize>,
}

impl SeqKv {
    const STATES_MAX: usize = 32;

    pub fn new() -> Self {
        SeqKv {
            states: vec![BTreeMap::new()],
            clients: BTreeMap::new(),
        }
    }

    pub fn handle(&mut self, client: &str, body: &Value, random: &mut Random) -> Value {
        let newest = self.states.len() - 1;
        let oldest = self.clients.get(client).copied().unwrap_or(0);
        let index = oldest + random.below((newest - oldest + 1) as u64) as usize;
        // More than 32 states behind, the ring wraps.
        let ring = self.states.len().min(Self::STATES_MAX);
        let state = &self.states[newest - (newest - index) % ring];
        let (changed, answer) = apply(state, body);
        if changed.is_none() {
            self.clients.insert(client.into(), index);
            return answer;
        }
        let (changed, answer) = apply(&self.states[newest], body);
        let state = changed.unwrap_or_else(|| self.states[newest].clone());
        self.states.push(state);
        self.clients.insert(client.into(), newest + 1);
        answer
    }
}

fn apply(
    state: &BTreeMap<String, Value>,
    body: &Value,
) -> (Option<BTreeMap<String, Value>>, Value) {
    let key = body["key"].as_str().expect("keys are strings");
    let error = |code| json!({"type": "error", "code": code, "text": "no"});
    match (
        body["type"].as_str().expect("requests have a type"),
        state.get(key),
    ) {
        ("read", Some(value)) => (None, json!({"type": "read_ok", "value": value})),
        ("cas", Some(value)) if *value != body["from"] => (None, error(22)),
        ("cas", None) if body["create_if_not_exists"] != true => (None, error(20)),
        ("cas", _) => {
            let mut changed = state.clone();
            changed.insert(key.into(), body["to"].clone());
            (Some(changed), json!({"type": "cas_ok"}))
        }
        (_, _) => (None, error(20)),
    }
}
