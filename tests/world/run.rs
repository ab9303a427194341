//! Clients of a cluster, what they ask, and what they are answered.

use eddy::node::Workload;
use serde_json::{Value, json};

use super::World;

/// By then every request has been answered.
const OP_TIMEOUT_MS: u64 = 4_500;

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    UnderWay,
    /// The body of the answer.
    Ok(Value),
    /// A definite error with this code.
    Failed(i64),
    /// It may have happened, or may yet.
    Indefinite,
}

#[derive(Clone, Debug)]
pub struct Operation {
    pub client: usize,
    pub node: usize,
    pub body: Value,
    pub invoked_ms: u64,
    /// `u64::MAX` until it is answered.
    pub completed_ms: u64,
    pub outcome: Outcome,
}

impl Operation {
    pub fn kind(&self) -> &str {
        self.body["type"].as_str().expect("requests have a type")
    }

    /// The answer to an operation of this kind that went well.
    pub fn ok(&self, kind: &str) -> Option<&Value> {
        match &self.outcome {
            Outcome::Ok(answer) if self.kind() == kind => Some(answer),
            _ => None,
        }
    }

    pub fn is_ok(&self) -> bool {
        matches!(self.outcome, Outcome::Ok(_))
    }

    /// By when it has happened, if it happens at all.
    pub fn ends_ms(&self) -> u64 {
        match self.outcome {
            Outcome::Indefinite => u64::MAX,
            _ => self.completed_ms,
        }
    }
}

/// A cluster and its clients. Client `c7` of three nodes asks `n1`, one thing after the other. Each operation is answered
/// once, and in time.
pub struct Run<W> {
    pub world: World<W>,
    pub nodes: usize,
    pub operations: Vec<Operation>,
    /// The operation that each client waits for.
    waiting: Vec<Option<usize>>,
    /// Which node was killed, and when.
    pub kills: Vec<(usize, u64)>,
}

impl<W: Workload> Run<W> {
    pub fn new(nodes: usize, clients: usize, seed: u64, make: impl Fn(u64) -> W + 'static) -> Self {
        Run {
            world: World::new(nodes, seed, make),
            nodes,
            operations: Vec::new(),
            waiting: vec![None; clients],
            kills: Vec::new(),
        }
    }

    pub fn clients(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_waiting(&self, client: usize) -> bool {
        self.waiting[client].is_some()
    }

    /// A client asks its node something, unless it waits for an answer.
    pub fn invoke(&mut self, client: usize, mut body: Value) {
        if self.is_waiting(client) {
            return;
        }
        let id = self.operations.len();
        let node = client % self.nodes;
        body["msg_id"] = json!(id);
        self.world.send(&format!("c{client}"), node, body.clone());
        self.waiting[client] = Some(id);
        self.operations.push(Operation {
            client,
            node,
            body,
            invoked_ms: self.world.now_ms,
            completed_ms: u64::MAX,
            outcome: Outcome::UnderWay,
        });
    }

    /// A client asks something and gets the answer, within this time.
    pub fn ask(&mut self, client: usize, body: Value, time_ms: u64) -> &Operation {
        let id = self.operations.len();
        self.invoke(client, body);
        self.rest(time_ms);
        &self.operations[id]
    }

    /// Lets a millisecond pass.
    pub fn step(&mut self) {
        let now_ms = self.world.now_ms;
        for answer in self.world.step() {
            let id = answer.body["in_reply_to"].as_u64();
            let id = id.expect("replies say to what") as usize;
            let operation = &mut self.operations[id];
            let client = operation.client;
            assert_eq!(
                answer.client,
                format!("c{client}"),
                "not asked: {operation:?}"
            );
            if self.waiting[client] != Some(id) {
                // Its node was killed after it had answered.
                assert_eq!(operation.outcome, Outcome::Indefinite, "answered twice");
                continue;
            }
            self.waiting[client] = None;
            operation.completed_ms = now_ms;
            let took_ms = operation.completed_ms - operation.invoked_ms;
            assert!(took_ms <= OP_TIMEOUT_MS, "late: {operation:?}");
            operation.outcome = match (answer.body["type"].as_str(), answer.body["code"].as_i64()) {
                (Some("error"), Some(0 | 13)) => Outcome::Indefinite,
                (Some("error"), Some(code)) => Outcome::Failed(code),
                _ => Outcome::Ok(answer.body),
            };
        }
    }

    /// Nobody asks anything for this time.
    pub fn rest(&mut self, time_ms: u64) {
        for _ in 0..time_ms {
            self.step();
        }
    }

    pub fn rest_until(&mut self, then_ms: u64) {
        self.rest(then_ms.saturating_sub(self.world.now_ms));
    }

    /// For this time, one of the clients does what `invoke` says, once in so many milliseconds on average.
    pub fn mix(&mut self, time_ms: u64, once_in_ms: u64, mut invoke: impl FnMut(&mut Self, usize)) {
        for _ in 0..time_ms {
            if self.world.random.below(once_in_ms) == 0 {
                let client = self.world.random.below(self.clients() as u64) as usize;
                invoke(self, client);
            }
            self.step();
        }
    }

    /// The node is killed and starts again. Its clients never learn what became of their requests.
    pub fn kill(&mut self, node: usize) {
        self.world.kill(node);
        self.kills.push((node, self.world.now_ms));
        for client in (node..self.clients()).step_by(self.nodes) {
            if let Some(id) = self.waiting[client].take() {
                self.operations[id].outcome = Outcome::Indefinite;
                self.operations[id].completed_ms = self.world.now_ms;
            }
        }
    }

    pub fn kill_any(&mut self) {
        let node = self.world.random.below(self.nodes as u64) as usize;
        self.kill(node);
    }
}
