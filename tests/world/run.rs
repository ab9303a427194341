//! The clients of a cluster, their operations and the outcomes.

use eddy::node::Workload;
use serde_json::{Value, json};

use super::World;

/// The time by which every request must be answered.
const OP_TIMEOUT_MS: u64 = 4_500;

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    UnderWay,
    /// The body of the reply.
    Ok(Value),
    /// The code of a definite error.
    Failed(i64),
    /// The operation may have taken effect or may still.
    Indefinite,
}

#[derive(Clone, Debug)]
pub struct Operation {
    pub client: usize,
    pub node: usize,
    pub body: Value,
    /// The `delta` of the body, which only an add has: checks compare every read with every add.
    pub delta: Option<i64>,
    pub invoked_ms: u64,
    /// `u64::MAX` until the reply arrives.
    pub completed_ms: u64,
    pub outcome: Outcome,
}

impl Operation {
    pub fn kind(&self) -> &str {
        self.body["type"].as_str().expect("requests have a type")
    }

    /// The reply to a successful operation of this kind; `None` for all others.
    pub fn ok(&self, kind: &str) -> Option<&Value> {
        match &self.outcome {
            Outcome::Ok(answer) if self.kind() == kind => Some(answer),
            _ => None,
        }
    }

    pub fn is_ok(&self) -> bool {
        matches!(self.outcome, Outcome::Ok(_))
    }

    /// The latest time at which it can take effect.
    pub fn ends_ms(&self) -> u64 {
        match self.outcome {
            Outcome::Indefinite => u64::MAX,
            _ => self.completed_ms,
        }
    }
}

/// A cluster and its clients. Client `c7` of three nodes sends its requests to `n1`, one after the other. Asserts that
/// each operation is answered exactly once and in time.
pub struct Run<W> {
    pub world: World<W>,
    pub nodes: usize,
    pub operations: Vec<Operation>,
    /// The operation for which each client waits.
    waiting: Vec<Option<usize>>,
    /// The killed nodes, with the time of each kill.
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

    /// A client sends a request to its node, unless it waits for a reply.
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
            delta: body["delta"].as_i64(),
            body,
            invoked_ms: self.world.now_ms,
            completed_ms: u64::MAX,
            outcome: Outcome::UnderWay,
        });
    }

    /// A client sends a request, which is answered within `time_ms`.
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
                // The node was killed after it had sent this reply.
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

    /// Lets time pass without further requests.
    pub fn rest(&mut self, time_ms: u64) {
        for _ in 0..time_ms {
            self.step();
        }
    }

    pub fn rest_until(&mut self, then_ms: u64) {
        self.rest(then_ms.saturating_sub(self.world.now_ms));
    }

    /// For `time_ms`, calls `invoke` for a random client, once in `once_in_ms` on average.
    pub fn mix(&mut self, time_ms: u64, once_in_ms: u64, mut invoke: impl FnMut(&mut Self, usize)) {
        for _ in 0..time_ms {
            if self.world.random.below(once_in_ms) == 0 {
                let client = self.world.random.below(self.clients() as u64) as usize;
                invoke(self, client);
            }
            self.step();
        }
    }

    /// Kills a node, which starts again. Its clients never learn the outcomes of their requests.
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
