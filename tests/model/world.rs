//! Clients, nodes, the messages between them, and the store, at one moment.

use std::sync::Arc;

use serde_json::{Value, json};

use super::nodes::{Input, Line, NodeState, Nodes, name};
use super::store::{Request, Store};

/// A request of a client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Call {
    Add,
    Read,
}

/// The reply to it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    Added,
    Value(i64),
    /// A definite error.
    Refused,
}

/// The progress of a client.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Progress {
    Idle,
    Waiting,
    Done(Outcome),
    /// The outcome is unknown, because the node replied so or died.
    InTheDark,
    AnsweredTwice,
}

/// A client that sends one request to one node.
pub struct Client {
    pub node: usize,
    pub call: Call,
    /// A digit of its own in base 4, so that a total shows how often each client's delta was added.
    digit: i64,
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Message {
    ToStore {
        node: usize,
        msg_id: i64,
        request: Arc<Request>,
    },
    ToNode {
        node: usize,
        line: Line,
    },
}

/// The state of everything.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Scene {
    pub nodes: Vec<NodeState>,
    pub store: Store,
    pub clients: Vec<Progress>,
    /// Sorted by kind, not by time: any of them may arrive next.
    pub under_way: Vec<Message>,
}

/// The participants.
pub struct World {
    pub clients: Vec<Client>,
    pub nodes: Nodes,
}

impl Client {
    /// The client with that number.
    pub fn new(number: usize, node: usize, call: Call) -> Self {
        let digit = 1 << (2 * number);
        Client { node, call, digit }
    }

    /// The delta of its add, if it adds.
    pub fn delta(&self) -> Option<i64> {
        (self.call == Call::Add).then_some(self.digit)
    }
}

impl Scene {
    fn send(&mut self, message: Message) {
        let place = self.under_way.partition_point(|other| *other < message);
        self.under_way.insert(place, message);
    }
}

impl World {
    /// All nodes have just started for the first time.
    pub fn begin(&self) -> Scene {
        let node_count = self.nodes.count();
        Scene {
            nodes: (0..node_count)
                .map(|node| self.nodes.start(node, 0))
                .collect(),
            store: Store::new(node_count),
            clients: vec![Progress::Idle; self.clients.len()],
            under_way: Vec::new(),
        }
    }

    /// A client sends its request, which arrives at once. A later arrival could only weaken the check.
    pub fn invoke(&self, scene: &mut Scene, client: usize) {
        scene.clients[client] = Progress::Waiting;
        let src = format!("c{client}");
        let Client { node, .. } = self.clients[client];
        let body = match self.clients[client].delta() {
            Some(delta) => json!({"type": "add", "delta": delta, "msg_id": 1}),
            None => json!({"type": "read", "msg_id": 1}),
        };
        let line = json!({"src": src, "dest": name(node), "body": body});
        self.give(scene, node, Input::Line(line.to_string().into()));
    }

    /// A message arrives. The store sends one of its replies.
    pub fn deliver(&self, scene: &mut Scene, message: &Message, answer: usize) {
        match message {
            Message::ToNode { node, line } => self.give(scene, *node, Input::Line(line.clone())),
            Message::ToStore {
                node,
                msg_id,
                request,
            } => {
                let (answer, store) = scene.store.answers(*node, request).swap_remove(answer);
                scene.store = store;
                let body = answer.body(*msg_id);
                let line = json!({"src": "seq-kv", "dest": name(*node), "body": body});
                let line = line.to_string().into();
                scene.send(Message::ToNode { node: *node, line });
            }
        }
    }

    /// A node dies and starts again. Its clients wait no longer.
    pub fn kill(&self, scene: &mut Scene, node: usize, incarnation: u64) {
        scene.nodes[node] = self.nodes.start(node, incarnation);
        for (client, progress) in self.clients.iter().zip(&mut scene.clients) {
            if client.node == node && *progress == Progress::Waiting {
                *progress = Progress::InTheDark;
            }
        }
    }

    /// Passes an input to a node, and puts its output in flight.
    pub fn give(&self, scene: &mut Scene, node: usize, input: Input) {
        let (after, output) = self.nodes.give(scene.nodes[node], input);
        scene.nodes[node] = after;
        for line in output.iter() {
            self.post(scene, node, line);
        }
    }

    fn post(&self, scene: &mut Scene, node: usize, line: &Line) {
        let message: Value = serde_json::from_str(line).expect("nodes say messages");
        let (dest, body) = (message["dest"].as_str().expect("a name"), &message["body"]);
        if dest == "seq-kv" {
            // An announcement is lost: what a peer learns from one, it learns from a forwarded proposal that arrives late.
            if body["key"] != "g-counter" {
                return;
            }
            let msg_id = body["msg_id"].as_i64().expect("a number");
            let request = Arc::new(Request::new(body));
            scene.send(Message::ToStore {
                node,
                msg_id,
                request,
            });
        } else if let Some(client) = dest.strip_prefix('c') {
            let client: usize = client.parse().expect("a client of ours");
            let progress = &mut scene.clients[client];
            *progress = match progress {
                Progress::Waiting => answered(body),
                _ => Progress::AnsweredTwice,
            };
        } else {
            let mut names = (0..self.nodes.count()).map(name);
            let node = names.position(|name| name == dest).expect("a node");
            scene.send(Message::ToNode {
                node,
                line: line.clone(),
            });
        }
    }

    /// Whether the counter includes each acknowledged add once, and no refused one.
    pub fn counts_each_add_once(&self, scene: &Scene) -> bool {
        let mut rest = scene.store.total();
        for (client, progress) in self.clients.iter().zip(&scene.clients) {
            let times = rest % 4;
            rest /= 4;
            let is_right = match progress {
                Progress::Done(Outcome::Added) => times == 1,
                Progress::Waiting | Progress::InTheDark if client.call == Call::Add => times <= 1,
                _ => times == 0,
            };
            if !is_right {
                return false;
            }
        }
        rest == 0
    }
}

fn answered(body: &Value) -> Progress {
    match (body["type"].as_str(), body["code"].as_i64()) {
        (Some("add_ok"), _) => Progress::Done(Outcome::Added),
        (Some("read_ok"), _) => {
            let value = body["value"].as_i64().expect("a number");
            Progress::Done(Outcome::Value(value))
        }
        (_, Some(0 | 13)) => Progress::InTheDark,
        _ => Progress::Done(Outcome::Refused),
    }
}
