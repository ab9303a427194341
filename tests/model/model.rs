//! The state space as the model checker sees it: the possible steps, and the properties of every state.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eddy::node::Limits;
use eddy::workload::g_counter::{Consistency, Options};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};
use stateright::{Model, Property};

use super::nodes::{Input, Nodes};
use super::shim::Flaw;
use super::world::{Call, Client, Message, Outcome, Progress, Scene, World};

/// The bounds on what can happen.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The level of the counters.
    pub consistency: Consistency,
    /// For each node, the requests of its clients, one client each, at any time and in any order.
    pub calls: Vec<Vec<Call>>,
    /// The maximum time that a node takes for an operation.
    pub op_timeout: Duration,
    /// How often a node waits without a reply until its timeout.
    pub silences: u8,
    /// How many messages arrive twice.
    pub duplicates: u8,
    /// How often a node dies and starts again.
    pub kills: u8,
}

/// The model.
pub struct Counters {
    world: World,
    bounds: Bounds,
    /// The property that is checked, if it is not all of them.
    only: Option<&'static str>,
    /// States without messages in flight from which every operation completes.
    finishing: Mutex<HashSet<Scene>>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    scene: Scene,
    past: Arc<Past>,
    silences: u8,
    duplicates: u8,
    kills: u8,
}

/// The history of the clients.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Past {
    history: LinearizabilityTester<usize, Counter>,
    is_linearizable: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// A client sends its request.
    Invoke(usize),
    /// A message arrives. The store sends one of the replies that it may send.
    Deliver(Message, usize),
    /// A message arrives, and a copy of it stays in flight.
    DeliverCopy(Message, usize),
    /// A node waits without a reply, see [`Input::Silence`].
    Silence(usize, Duration),
    /// A node dies and starts again.
    Kill(usize),
}

/// The counter as the tester defines one: `Some` delta is added, `None` reads.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Counter(i64);

impl SequentialSpec for Counter {
    type Op = Option<i64>;
    type Ret = Outcome;

    fn invoke(&mut self, delta: &Option<i64>) -> Outcome {
        match delta {
            Some(delta) => {
                self.0 += delta;
                Outcome::Added
            }
            None => Outcome::Value(self.0),
        }
    }

    fn is_valid_step(&mut self, delta: &Option<i64>, outcome: &Outcome) -> bool {
        *outcome == Outcome::Refused || self.invoke(delta) == *outcome
    }
}

/// How long a node waits without a reply: until its next timeout, or until it has given up a forwarder.
const SILENCES: [Duration; 2] = [Duration::ZERO, Duration::from_millis(200)];

/// The maximum number of steps until all clients have replies in a world without faults.
const STEPS_MAX: usize = 1000;

impl Counters {
    /// Nodes within these bounds, which may have a flaw.
    pub fn new(bounds: Bounds, flaw: Option<Flaw>) -> Self {
        let options = Options {
            consistency: bounds.consistency,
            limits: Limits {
                op_timeout: bounds.op_timeout,
                ..Limits::default()
            },
            ..Options::default()
        };
        let calls = bounds.calls.iter().enumerate();
        let calls = calls.flat_map(|(node, calls)| calls.iter().map(move |call| (node, *call)));
        let clients = calls.enumerate();
        let clients = clients.map(|(number, (node, call))| Client::new(number, node, call));
        Counters {
            world: World {
                clients: clients.collect(),
                nodes: Nodes::new(bounds.calls.len(), options, flaw),
            },
            bounds,
            only: None,
            finishing: Mutex::default(),
        }
    }

    /// The same, with one property alone: the others take most of the time.
    pub fn with_only(self, property: &'static str) -> Self {
        let only = Some(property);
        Counters { only, ..self }
    }

    /// Whether every operation completes in the end if all messages in flight are lost, but no later ones, and the
    /// store is as lazy as it may be.
    fn finishes(&self, scene: &Scene) -> bool {
        let mut scene = scene.clone();
        scene.under_way.clear();
        let mut passed = Vec::new();
        for client in 0..scene.clients.len() {
            if scene.clients[client] == Progress::Idle {
                self.world.invoke(&mut scene, client);
            }
        }
        for _ in 0..STEPS_MAX {
            if let Some(message) = scene.under_way.pop() {
                self.world.deliver(&mut scene, &message, 0);
                continue;
            }
            let mut finishing = self
                .finishing
                .lock()
                .expect("nobody panics while holding it");
            if !scene.clients.contains(&Progress::Waiting) || finishing.contains(&scene) {
                finishing.extend(passed);
                return true;
            }
            passed.push(scene.clone());
            for node in 0..scene.nodes.len() {
                let [at_least, _] = SILENCES;
                self.world
                    .give(&mut scene, node, Input::Silence { at_least });
            }
        }
        false
    }

    /// The history of the clients, extended by the step since `before`.
    fn record(&self, past: &mut Arc<Past>, before: &[Progress], after: &[Progress]) {
        let changes = || {
            before
                .iter()
                .zip(after)
                .enumerate()
                .filter(|(_, (old, new))| old != new)
        };
        for (client, (old, _)) in changes() {
            if *old == Progress::Idle {
                let delta = self.world.clients[client].delta();
                let history = &mut Arc::make_mut(past).history;
                history
                    .on_invoke(client, delta)
                    .expect("a client asks once");
            }
        }
        for (client, (_, new)) in changes() {
            if let Progress::Done(outcome) = new {
                let past = Arc::make_mut(past);
                past.history
                    .on_return(client, outcome.clone())
                    .expect("it has asked");
                past.is_linearizable = past.history.is_consistent();
            }
        }
    }
}

impl Model for Counters {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let past = Past {
            history: LinearizabilityTester::default(),
            is_linearizable: true,
        };
        vec![State {
            scene: self.world.begin(),
            past: past.into(),
            silences: self.bounds.silences,
            duplicates: self.bounds.duplicates,
            kills: self.bounds.kills,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let scene = &state.scene;
        for (client, progress) in scene.clients.iter().enumerate() {
            if *progress == Progress::Idle {
                actions.push(Action::Invoke(client));
            }
        }
        let mut messages = scene.under_way.clone();
        messages.dedup();
        for message in messages {
            let answers = match &message {
                Message::ToStore { node, request, .. } => scene.store.answers(*node, request).len(),
                Message::ToNode { .. } => 1,
            };
            for answer in 0..answers {
                actions.push(Action::Deliver(message.clone(), answer));
                if state.duplicates > 0 {
                    actions.push(Action::DeliverCopy(message.clone(), answer));
                }
            }
        }
        for node in 0..scene.nodes.len() {
            if state.silences > 0 {
                actions.extend(SILENCES.map(|at_least| Action::Silence(node, at_least)));
            }
            if state.kills > 0 {
                actions.push(Action::Kill(node));
            }
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        let scene = &mut state.scene;
        match action {
            Action::Invoke(client) => self.world.invoke(scene, client),
            Action::Deliver(message, answer) => {
                let place = scene.under_way.iter().position(|other| *other == message);
                scene.under_way.remove(place.expect("it is under way"));
                self.world.deliver(scene, &message, answer);
            }
            Action::DeliverCopy(message, answer) => {
                state.duplicates -= 1;
                self.world.deliver(scene, &message, answer);
            }
            Action::Silence(node, at_least) => {
                state.silences -= 1;
                self.world.give(scene, node, Input::Silence { at_least });
            }
            Action::Kill(node) => {
                let incarnation = 1 + u64::from(self.bounds.kills - state.kills);
                state.kills -= 1;
                self.world.kill(scene, node, incarnation);
            }
        }
        self.record(&mut state.past, &before.scene.clients, &scene.clients);
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(COUNTED_ONCE, |this: &Self, state: &State| {
                this.world.counts_each_add_once(&state.scene)
            }),
            Property::always(LINEARIZABLE, |_, state: &State| state.past.is_linearizable),
            Property::always(ANSWERED_ONCE, |_, state: &State| {
                !state.scene.clients.contains(&Progress::AnsweredTwice)
            }),
            Property::always(FINISHES, |this: &Self, state: &State| {
                this.finishes(&state.scene)
            }),
            Property::sometimes(ALL_ARE_ANSWERED, |_, state: &State| {
                let mut clients = state.scene.clients.iter();
                clients.all(|progress| matches!(progress, Progress::Done(_)))
            }),
        ];
        properties.retain(|property| self.only.is_none_or(|only| property.name == only));
        properties
    }
}

pub const COUNTED_ONCE: &str = "no acknowledged add is lost or doubled, and no refused one counted";
pub const LINEARIZABLE: &str = "adds and reads are linearizable";
const ANSWERED_ONCE: &str = "nobody is answered twice";
const FINISHES: &str = "every operation can still finish";
const ALL_ARE_ANSWERED: &str = "everybody is answered";
