//! Is there one order of all operations in which every answer is right?
//!
//! The search of Wing & Gong ("Testing and verifying concurrent objects", 1993) with the memo of Lowe ("Testing for
//! linearizability", 2017): put one operation after the other in place, go back where nothing fits, and never look
//! twice at the same set of placed operations in the same state. These things keep it small:
//!
//! - Operations stand in *lanes*, one a client, each in its order. What is placed is then one number a lane.
//! - An observation (an operation that never changes anything, such as a read) is placed at once when it is right as
//!   things stand: whatever order comes of placing it later also comes of placing it now.
//! - Of two operations that do the same, the one that is due first goes first: exchanging them never hurts.
//! - Operations of unknown outcome, which may be placed late or never, share a lane if they do the same: it only matters
//!   how many of them have happened, and the fewer the better.
//! - Where states only climb, as a grow-only counter does, heights that answers name are landmarks: a way that leads
//!   above one, or can't lead up to it, is left at once.
//!
//! It is exact. The problem is NP-complete, so there are histories that it gives up on, at [`MEMORY_MAX_BYTES`] or
//! [`EFFORT_MAX`].

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// What the memo of one search may take.
pub const MEMORY_MAX_BYTES: usize = 256 << 20;

/// How much one search may do, counted in operations placed and choices compared.
pub const EFFORT_MAX: usize = 10_000_000;

/// A thing that is used by one client at a time.
pub trait Model {
    /// All that there is to know about it between two steps.
    type State: Clone + Eq + Hash;
    /// What was done to it, together with the answer.
    type Step: Eq + Hash;

    /// How it starts.
    fn start(&self) -> Self::State;

    /// How `step` leaves it; `None` if it would not have given this answer.
    fn apply(&self, state: &Self::State, step: &Self::Step) -> Option<Self::State>;

    /// Whether `step` never changes any state.
    fn is_observation(&self, step: &Self::Step) -> bool;

    /// How high `state` is, in a model whose states only climb.
    fn height(&self, _state: &Self::State) -> i128 {
        0
    }

    /// How much higher `step` leaves any state, in a model whose states only climb.
    fn climb(&self, _step: &Self::Step) -> i128 {
        0
    }

    /// The height at which alone `step` is right, in a model whose states only climb: above it, all is lost.
    fn landmark(&self, _step: &Self::Step) -> Option<i128> {
        None
    }
}

/// A step that a client took.
pub struct Action<S> {
    /// Where it stands in the history.
    pub index: usize,
    /// Who took it.
    pub client: usize,
    /// When it was asked for.
    pub invoked_at: Duration,
    /// When it was answered; `None` if it may happen any time later, or never.
    pub completed_at: Option<Duration>,
    /// What it did.
    pub step: S,
}

/// Which operations must keep their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Those of one client, and any two of which one completed before the other was invoked: linearizability.
    RealTime,
    /// Those of one client: sequential consistency.
    Program,
}

/// What a search found.
pub enum SearchResult<T> {
    /// There is such an order.
    Possible,
    /// There is none.
    Impossible(Stuck<T>),
    /// It would take too long to tell.
    Undecided,
}

/// How far an order could be drawn up at best, where there is no complete one.
pub struct Stuck<T> {
    /// The last few that were placed, as indices into the history.
    pub placed: Vec<usize>,
    /// How they left things.
    pub state: T,
    /// What would have to come next, the most urgent first: none of these is right.
    pub blocked: Vec<usize>,
}

/// Looks for an order of `actions`, which are in the order in which they were asked for.
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

/// Operations that are placed one after the other.
struct Lane<'a, S> {
    actions: Vec<&'a Action<S>>,
    /// Whether they may be left out.
    is_optional: bool,
    /// For each optional one, the lane of its client and the position there that must be reached first.
    after: Vec<Option<(usize, usize)>>,
    /// For each position, the next landmark from there on.
    landmarks: Vec<Option<i128>>,
    /// For each position, how much is climbed from there to that landmark, or to the end.
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

/// The lanes of the clients, and after them the optional ones.
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

/// One number a lane: how many of its operations are placed.
type Positions = Box<[u32]>;

struct Search<'a, M: Model> {
    model: &'a M,
    order: Order,
    lanes: Vec<Lane<'a, M::Step>>,
    /// How many of each lane are placed.
    positions: Vec<u32>,
    /// What lies open behind a choice and leads nowhere, or is being looked at: the positions of clients and the state,
    /// and for these the positions in optional lanes.
    seen: HashMap<(Positions, M::State), Vec<Positions>>,
    seen_count: usize,
    effort: usize,
    deepest: Option<Deepest<M::State>>,
}

/// The furthest that the search has come.
struct Deepest<T> {
    progress: (Option<Duration>, usize),
    stuck: Stuck<T>,
}

/// A state on the way, and what may come next: lanes, and the states to which they lead.
struct Frame<T> {
    /// The lane whose operation led here; `None` at the start.
    lane: Option<usize>,
    state: T,
    /// The best last.
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

    /// When the first of the operations still to be placed was answered: what was invoked later has to wait.
    fn deadline(&self) -> Option<Duration> {
        let heads = (0..self.lanes.len()).filter_map(|lane| self.head(lane));
        heads.filter_map(|action| action.completed_at).min()
    }

    /// Whether the lane's next operation may be placed now, as far as order goes.
    ///
    /// Of optional operations that do the same it does not matter which is meant, so they are only counted.
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

    /// What may be placed next, the best last; nothing if there is no hope or this was looked at before.
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

    /// Whether no choice like this was met before, and remembers it. One that has used up less of what is optional is as
    /// good as this one.
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

    /// Whether the landmarks ahead can still be met: before each, its own lane has to be climbed that far and every lane
    /// with a lower one too, and all lanes together must climb as far as the lowest.
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

    /// Sorts by urgency, the most urgent last, and leaves one of those that do the same, where one is due first.
    fn drop_dominated(&self, next: &mut Vec<(usize, M::State)>) {
        // `None` is due never, and so comes after every time or height.
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

    /// Remembers the path if it is the furthest so far: in real time, if what blocks it was answered last.
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

/// How many of the operations last placed are shown.
const PLACED_SHOWN_MAX: usize = 3;

/// How many of the operations that fit nowhere are shown.
const BLOCKED_SHOWN_MAX: usize = 5;
