//! Searches for one order of all operations in which every reply is right.
//!
//! This is the search of Wing & Gong ("Testing and verifying concurrent objects", 1993) with the memo of Lowe
//! ("Testing for linearizability", 2017): place one operation after the other, backtrack where no operation fits, and
//! never visit the same set of placed operations in the same state twice. These rules keep it small:
//!
//! - Operations are in *lanes*: one for each client, in the order of its operations. A set of placed operations is
//!   then one number per lane.
//! - An observation (an operation that never changes the state, such as a read) is placed as soon as its reply is
//!   right in the current state. Any order that places it later can also place it now.
//! - Of two equal operations, the one with the earlier deadline goes first: swapping them never helps.
//! - Operations of unknown outcome may be placed late or never. Equal ones share a lane, because only the number of
//!   those that took effect matters, and fewer are better.
//! - If the state only rises, as in a grow-only counter, the heights that replies name are landmarks. The search drops
//!   a path that rises above a landmark too early or can't reach it.
//!
//! The search is exact. The problem is NP-complete, so the search gives up on some histories, at [`MEMORY_MAX_BYTES`]
//! or [`EFFORT_MAX`].

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// The maximum memory for the memo of one search.
pub const MEMORY_MAX_BYTES: usize = 256 << 20;

/// The maximum effort of one search, counted in operations placed and choices compared.
pub const EFFORT_MAX: usize = 10_000_000;

/// A sequential specification: an object that one client at a time uses.
pub trait Model {
    /// The state of the object between two steps.
    type State: Clone + Eq + Hash;
    /// A step on the object: a request and its reply.
    type Step: Eq + Hash;

    /// The initial state.
    fn start(&self) -> Self::State;

    /// The state after `step`; `None` if the object would not give this reply in `state`.
    fn apply(&self, state: &Self::State, step: &Self::Step) -> Option<Self::State>;

    /// Whether `step` never changes any state.
    fn is_observation(&self, step: &Self::Step) -> bool;

    /// The height of `state`, in a model whose states only rise.
    fn height(&self, _state: &Self::State) -> i128 {
        0
    }

    /// By how much `step` raises the height of any state, in a model whose states only rise.
    fn climb(&self, _step: &Self::Step) -> i128 {
        0
    }

    /// The only height at which `step` is right, in a model whose states only rise.
    fn landmark(&self, _step: &Self::Step) -> Option<i128> {
        None
    }
}

/// A step of a client.
pub struct Action<S> {
    /// Its index in the history.
    pub index: usize,
    /// The client.
    pub client: usize,
    /// When it was invoked.
    pub invoked_at: Duration,
    /// When it completed; `None` if it may take effect at any later time or never.
    pub completed_at: Option<Duration>,
    /// The step.
    pub step: S,
}

/// Which operations must keep their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The operations of each client, and any two operations of which one completed before the other was invoked:
    /// linearizability.
    RealTime,
    /// The operations of each client: sequential consistency.
    Program,
}

/// The result of a search.
pub enum SearchResult<T> {
    /// An order exists.
    Possible,
    /// No order exists.
    Impossible(Stuck<T>),
    /// The search reached its limits.
    Undecided,
}

/// The longest partial order that the search found, if there is no complete one.
pub struct Stuck<T> {
    /// The last operations in it, as indices into the history.
    pub placed: Vec<usize>,
    /// The state after them.
    pub state: T,
    /// The operations that would have to come next, the most urgent first. None of them fits.
    pub blocked: Vec<usize>,
}

/// Searches for an order of `actions`, which are sorted by invocation.
pub fn search<M: Model>(
    model: &M,
    actions: &[Action<M::Step>],
    order: Order,
) -> SearchResult<M::State> {
    let mut search = Search {
        model,
        order,
        lanes: lanes(model, actions),
        positions: Vec::new(),
        seen: HashMap::new(),
        seen_count: 0,
        effort: 0,
        deepest: None,
    };
    search.positions = vec![0; search.lanes.len()];
    search.run()
}

/// Operations that are placed in this order.
struct Lane<'a, S> {
    actions: Vec<&'a Action<S>>,
    /// Whether they may be left out.
    is_optional: bool,
    /// For each optional operation, the lane of its client and the position in that lane that must be reached first.
    after: Vec<Option<(usize, usize)>>,
    /// For each position, the next landmark at or after it.
    landmarks: Vec<Option<i128>>,
    /// For each position, the rise from there to that landmark, or to the end.
    climbs: Vec<i128>,
}

impl<S> Lane<'_, S> {
    fn new(is_optional: bool) -> Self {
        Lane {
            actions: Vec::new(),
            is_optional,
            after: Vec::new(),
            landmarks: Vec::new(),
            climbs: Vec::new(),
        }
    }
}

/// The lanes of the clients, and after them the optional lanes.
fn lanes<'a, M: Model>(model: &M, actions: &'a [Action<M::Step>]) -> Vec<Lane<'a, M::Step>> {
    let mut required: Vec<Lane<M::Step>> = Vec::new();
    let mut optional: Vec<Lane<M::Step>> = Vec::new();
    let mut of_client: HashMap<usize, usize> = HashMap::new();
    let mut of_step: HashMap<&M::Step, usize> = HashMap::new();
    for action in actions {
        if action.completed_at.is_some() {
            let lane = *of_client.entry(action.client).or_insert_with(|| {
                required.push(Lane::new(false));
                required.len() - 1
            });
            required[lane].actions.push(action);
        } else {
            let lane = *of_step.entry(&action.step).or_insert_with(|| {
                optional.push(Lane::new(true));
                optional.len() - 1
            });
            let before = of_client.get(&action.client);
            optional[lane]
                .after
                .push(before.map(|&before| (before, required[before].actions.len())));
            optional[lane].actions.push(action);
        }
    }
    required.append(&mut optional);
    for lane in &mut required {
        let (mut landmark, mut climb) = (None, 0);
        lane.landmarks = vec![None; lane.actions.len() + 1];
        lane.climbs = vec![0; lane.actions.len() + 1];
        for (position, action) in lane.actions.iter().enumerate().rev() {
            if let Some(height) = model.landmark(&action.step) {
                (landmark, climb) = (Some(height), 0);
            }
            climb += model.climb(&action.step);
            lane.landmarks[position] = landmark;
            lane.climbs[position] = climb;
        }
    }
    required
}

/// For each lane, the number of its placed operations.
type Positions = Box<[u32]>;

struct Search<'a, M: Model> {
    model: &'a M,
    order: Order,
    lanes: Vec<Lane<'a, M::Step>>,
    /// The number of placed operations in each lane.
    positions: Vec<u32>,
    /// The memo: choices that lead nowhere or are being explored. The key is the positions of clients and the state;
    /// the values are positions in optional lanes.
    seen: HashMap<(Positions, M::State), Vec<Positions>>,
    seen_count: usize,
    effort: usize,
    deepest: Option<Deepest<M::State>>,
}

/// The longest partial order so far.
struct Deepest<T> {
    progress: (Option<Duration>, usize),
    stuck: Stuck<T>,
}

/// A state on the current path and the choices from it: lanes, and the states to which they lead.
struct Frame<T> {
    /// The lane whose operation led here; `None` at the start.
    lane: Option<usize>,
    state: T,
    /// The best choice is last.
    next: Vec<(usize, T)>,
}

impl<M: Model> Search<'_, M> {
    fn run(mut self) -> SearchResult<M::State> {
        let cost_bytes = 64 + 4 * self.lanes.len() + size_of::<M::State>();
        let mut path: Vec<Frame<M::State>> = Vec::new();
        let mut entering = Some((None, self.model.start()));
        loop {
            if let Some((lane, state)) = entering.take() {
                if self.is_done() {
                    return SearchResult::Possible;
                }
                if self.effort > EFFORT_MAX || self.seen_count * cost_bytes > MEMORY_MAX_BYTES {
                    return SearchResult::Undecided;
                }
                self.effort += 1;
                let next = self.next(&state);
                path.push(Frame { lane, state, next });
                self.note_progress(&path);
            }
            let Some(frame) = path.last_mut() else { break };
            if let Some((lane, state)) = frame.next.pop() {
                self.positions[lane] += 1;
                entering = Some((Some(lane), state));
            } else if let Some(lane) = path.pop().and_then(|frame| frame.lane) {
                self.positions[lane] -= 1;
            }
        }
        let deepest = self.deepest.expect("a search that ends has begun");
        SearchResult::Impossible(deepest.stuck)
    }

    fn head(&self, lane: usize) -> Option<&Action<M::Step>> {
        self.lanes[lane]
            .actions
            .get(self.positions[lane] as usize)
            .copied()
    }

    fn is_done(&self) -> bool {
        (0..self.lanes.len()).all(|lane| self.lanes[lane].is_optional || self.head(lane).is_none())
    }

    /// The earliest completion of an operation that is not yet placed. Operations invoked later must wait.
    fn deadline(&self) -> Option<Duration> {
        let heads = (0..self.lanes.len()).filter_map(|lane| self.head(lane));
        heads.filter_map(|action| action.completed_at).min()
    }

    /// Whether the order of operations permits placing the lane's next operation now.
    ///
    /// Equal optional operations are interchangeable, so they are only counted.
    fn is_free(&self, lane: usize, deadline: Option<Duration>) -> bool {
        let Lane {
            actions,
            after,
            is_optional,
            ..
        } = &self.lanes[lane];
        let is_in_time = |action: &Action<M::Step>| {
            self.order == Order::Program
                || deadline.is_none_or(|deadline| action.invoked_at <= deadline)
        };
        if !is_optional {
            return self.head(lane).is_some_and(is_in_time);
        }
        let is_ready = |after: &Option<(usize, usize)>| {
            after.is_none_or(|(before, position)| self.positions[before] as usize >= position)
        };
        let taken = self.positions[lane] as usize;
        let ready = actions
            .iter()
            .zip(after)
            .filter(|(action, after)| is_in_time(action) && is_ready(after));
        ready.take(taken + 1).count() > taken
    }

    /// The choices from here, the best last. Empty if none can succeed or this choice was explored before.
    fn next(&mut self, state: &M::State) -> Vec<(usize, M::State)> {
        if !self.is_within_reach(state) {
            return Vec::new();
        }
        let deadline = self.deadline();
        let mut next = Vec::new();
        for lane in (0..self.lanes.len()).filter(|&lane| self.is_free(lane, deadline)) {
            let Some(head) = self.head(lane) else {
                continue;
            };
            let Some(after) = self.model.apply(state, &head.step) else {
                continue;
            };
            let is_required = !self.lanes[lane].is_optional;
            if is_required && self.model.is_observation(&head.step) {
                return vec![(lane, after)];
            }
            if is_required || after != *state {
                next.push((lane, after));
            }
        }
        self.drop_dominated(&mut next);
        if next.len() > 1 && !self.is_new(state) {
            next.clear();
        }
        next
    }

    /// Adds this choice to the memo. Returns false if the memo has an equal choice that used no more optional
    /// operations.
    fn is_new(&mut self, state: &M::State) -> bool {
        let required = self
            .lanes
            .iter()
            .take_while(|lane| !lane.is_optional)
            .count();
        let (positions, used) = self.positions.split_at(required);
        let alike = self
            .seen
            .entry((positions.into(), state.clone()))
            .or_default();
        self.effort += alike.len();
        if alike
            .iter()
            .any(|other| other.iter().zip(used).all(|(other, used)| other <= used))
        {
            return false;
        }
        alike.push(used.into());
        self.seen_count += 1;
        true
    }

    /// Whether the remaining landmarks can still be reached: each lane, and each lane with a lower landmark, must rise
    /// to it first, and all lanes together must rise to the lowest one.
    fn is_within_reach(&self, state: &M::State) -> bool {
        let height = self.model.height(state);
        let mut ahead: Vec<(i128, i128)> = Vec::new();
        let mut climb_max = height;
        for (lane, &position) in self.lanes.iter().zip(&self.positions) {
            let climb = lane.climbs[position as usize];
            climb_max += climb;
            if let Some(landmark) = lane.landmarks[position as usize] {
                ahead.push((landmark, climb));
            }
        }
        ahead.sort_unstable();
        let mut climbed = height;
        let can_meet = |&(landmark, climb): &(i128, i128)| {
            climbed += climb;
            climbed <= landmark
        };
        ahead.first().is_none_or(|(lowest, _)| *lowest <= climb_max) && ahead.iter().all(can_meet)
    }

    /// Sorts by urgency, the most urgent last, and keeps only one of several equal steps if one of them has the
    /// earliest deadline.
    fn drop_dominated(&self, next: &mut Vec<(usize, M::State)>) {
        // `None` means never, so it sorts after every time or height.
        let due = |lane: usize| {
            let completed_at = self.head(lane).and_then(|head| head.completed_at);
            completed_at.map_or((true, Duration::ZERO), |time| (false, time))
        };
        next.sort_by_key(|&(lane, _)| due(lane));
        let mut kept: Vec<usize> = Vec::new();
        next.retain(|&(lane, _)| {
            let is_dominated = kept.iter().any(|&other| {
                let is_first = self.lanes[lane].is_optional
                    || self.order == Order::RealTime && due(other) < due(lane);
                is_first
                    && self.head(other).map(|head| &head.step)
                        == self.head(lane).map(|head| &head.step)
            });
            if !is_dominated {
                kept.push(lane);
            }
            !is_dominated
        });
        next.reverse();
    }

    /// Records the path if it is the longest so far; in real time, if the operation that blocks it completed last.
    fn note_progress(&mut self, path: &[Frame<M::State>]) {
        let deadline = self.deadline().filter(|_| self.order == Order::RealTime);
        let progress = (deadline, path.len());
        if self
            .deepest
            .as_ref()
            .is_some_and(|deepest| progress <= deepest.progress)
        {
            return;
        }
        let Some(frame) = path.last() else { return };
        let deadline = self.deadline();
        let is_blocked =
            |&lane: &usize| !self.lanes[lane].is_optional && self.is_free(lane, deadline);
        let mut blocked: Vec<&Action<M::Step>> = (0..self.lanes.len())
            .filter(is_blocked)
            .filter_map(|lane| self.head(lane))
            .collect();
        blocked.sort_by_key(|action| (action.completed_at, action.index));
        let mut behind: HashMap<usize, usize> = HashMap::new();
        let placed = path
            .iter()
            .rev()
            .filter_map(|frame| frame.lane)
            .map(|lane| {
                let back = behind
                    .entry(lane)
                    .and_modify(|back| *back += 1)
                    .or_insert(1);
                self.lanes[lane].actions[self.positions[lane] as usize - *back].index
            });
        let mut placed: Vec<usize> = placed.take(PLACED_SHOWN_MAX).collect();
        placed.reverse();
        let stuck = Stuck {
            placed,
            state: frame.state.clone(),
            blocked: blocked
                .iter()
                .map(|action| action.index)
                .take(BLOCKED_SHOWN_MAX)
                .collect(),
        };
        self.deepest = Some(Deepest { progress, stuck });
    }
}

/// How many of the last placed operations are shown.
const PLACED_SHOWN_MAX: usize = 3;

/// How many of the operations that do not fit are shown.
const BLOCKED_SHOWN_MAX: usize = 5;
