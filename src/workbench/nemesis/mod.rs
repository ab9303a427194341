//! The nemesis: when faults begin and end.
//!
//! As in Jepsen, a fault begins with the run, ends, begins again, and so on; the time between two steps is uniform between
//! zero and twice the interval. Each kind of fault has times and random numbers of its own: with one kind more or less,
//! the others stay the same.

mod partition;
mod target;

#[cfg(test)]
mod tests;

use std::time::Duration;

use clap::ValueEnum;
use rand::{Rng, SeedableRng};

use super::random::Random;

pub use partition::Partition;

/// A kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub enum Fault {
    /// Two groups of nodes don't receive each other's messages.
    Partition,
    /// Some nodes don't receive messages of others, which receive theirs.
    OneWay,
    /// Nodes are killed, and started again later without their memory.
    Kill,
    /// Nodes are stopped, and continued later; messages wait for them meanwhile.
    Pause,
    /// One in ten messages is lost.
    Loss,
    /// One in ten messages arrives twice.
    Duplicate,
    /// One in five messages is delayed by up to 100 ms, so that later ones overtake it.
    Reorder,
    /// One in twenty messages arrives again, 1 to 8 s later.
    Ghost,
    /// Members of --etcd-local are killed, and started again later with what they have on disk.
    MemberKill,
    /// Members of --etcd-local are stopped, and continued later.
    MemberPause,
}

impl Fault {
    /// Whether this kind of fault hits members of etcd.
    pub fn is_of_members(self) -> bool {
        matches!(self, Fault::MemberKill | Fault::MemberPause)
    }
}

/// How the words for a fault begin that is eddy's own, not the nemesis's.
pub const STANDSTILL: &str = "eddy itself stood still";

/// When a fault lasted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FaultWindow {
    /// The fault in words, such as "partition: n0, n2 cut off".
    pub what: String,
    /// When it began, since the start of the run.
    pub began_at: Duration,
    /// When it ended, since the start of the run; `None` while it lasts.
    pub ended_at: Option<Duration>,
}

/// The endpoints that faults can affect.
#[derive(Clone, Debug)]
pub struct Targets {
    /// The names of the nodes.
    pub nodes: Vec<String>,
    /// Whether services are affected; a partition treats them as one more node, the last.
    pub includes_services: bool,
    /// The number of members of etcd.
    pub etcd_members: usize,
}

impl Targets {
    fn member_count(&self) -> usize {
        self.nodes.len() + usize::from(self.includes_services)
    }

    /// These members in words: their names, or their number if they are many.
    fn named(&self, members: &[usize]) -> String {
        const NAMED_MAX: usize = 4;
        let count = self.nodes.len();
        let mut nodes = members.to_vec();
        nodes.sort_unstable();
        nodes.retain(|&member| member < count);
        let mut names: Vec<String> = if nodes.len() == count && count > 1 {
            vec![format!("all {count} nodes")]
        } else if nodes.len() > NAMED_MAX {
            vec![format!("{} of {count} nodes", nodes.len())]
        } else {
            nodes.iter().map(|&node| self.nodes[node].clone()).collect()
        };
        if nodes.len() < members.len() {
            names.push(String::from("the services"));
        }
        names.join(", ")
    }
}

/// The schedule of all faults.
pub struct Nemesis {
    targets: Targets,
    interval: Duration,
    tracks: Vec<Track>,
    windows: Vec<FaultWindow>,
    has_ended: bool,
}

/// The schedule of one kind of fault.
struct Track {
    fault: Fault,
    next_at: Duration,
    /// The present fault, as an index into the windows.
    open: Option<usize>,
    random: Random,
}

/// The beginning or end of a fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A fault of this kind begins.
    Begin(Fault, Damage),
    /// All faults of this kind end.
    End(Fault),
}

/// What a fault affects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Damage {
    /// Messages between some members.
    Cut(Partition),
    /// These nodes, or these members of etcd.
    Hit(Vec<usize>),
    /// Single messages, drawn at random by the network.
    Disturb,
}

impl Nemesis {
    /// The schedule of these faults, which begin when the run does.
    pub fn new(faults: &[Fault], interval: Duration, targets: Targets, random: &Random) -> Self {
        let mut faults = faults.to_vec();
        faults.sort_unstable();
        faults.dedup();
        let track = |fault: Fault| {
            let mut shared = random.clone();
            let own = shared.random::<u64>().wrapping_add(fault as u64);
            Track {
                fault,
                next_at: Duration::ZERO,
                open: None,
                random: Random::seed_from_u64(own),
            }
        };
        Nemesis {
            targets,
            interval,
            tracks: faults.into_iter().map(track).collect(),
            windows: Vec::new(),
            has_ended: false,
        }
    }

    /// Sets the number of members of etcd.
    pub fn set_etcd_members(&mut self, count: usize) {
        self.targets.etcd_members = count;
    }

    /// Takes the next step that is due by now, if there is one, and returns it with the fault that begins or ends.
    pub fn step(&mut self, now: Duration) -> Option<(Step, &FaultWindow)> {
        while self.next_at()? <= now {
            let track = self.tracks.iter_mut().min_by_key(|track| track.next_at)?;
            let pause = track
                .random
                .random_range(Duration::ZERO..=2 * self.interval);
            track.next_at = now + pause;
            if let Some(window) = track.open.take() {
                self.windows[window].ended_at = Some(now);
                return Some((Step::End(track.fault), &self.windows[window]));
            }
            if let Some((damage, what)) = track.draw(&self.targets) {
                let window = self.windows.len();
                track.open = Some(window);
                self.windows.push(FaultWindow {
                    what,
                    began_at: now,
                    ended_at: None,
                });
                return Some((Step::Begin(track.fault, damage), &self.windows[window]));
            }
        }
        None
    }

    /// Ends all faults, for good.
    pub fn end(&mut self, now: Duration) -> Vec<Step> {
        self.has_ended = true;
        let mut steps = Vec::new();
        for track in &mut self.tracks {
            if let Some(window) = track.open.take() {
                self.windows[window].ended_at = Some(now);
                steps.push(Step::End(track.fault));
            }
        }
        steps
    }

    /// When the next step is due.
    pub fn next_at(&self) -> Option<Duration> {
        let times = self.tracks.iter().map(|track| track.next_at);
        times.min().filter(|_| !self.has_ended)
    }

    /// The faults that last now.
    pub fn under_way(&self) -> impl Iterator<Item = &FaultWindow> {
        let open = self.tracks.iter().filter_map(|track| track.open);
        open.map(|window| &self.windows[window])
    }

    /// Adds a fault that is none of the schedule's.
    pub fn note(&mut self, fault: FaultWindow) {
        self.windows.push(fault);
    }

    /// All faults so far.
    pub fn windows(&self) -> &[FaultWindow] {
        &self.windows
    }
}

impl Track {
    /// Draws what the next fault affects, with the fault in words. `None` if there is nothing that it could affect, such as
    /// a partition of one node.
    fn draw(&mut self, targets: &Targets) -> Option<(Damage, String)> {
        let member_count = targets.member_count();
        let named = |members: &[usize]| targets.named(members);
        let random = &mut self.random;
        Some(match self.fault {
            Fault::Partition => {
                let partition = Partition::random(member_count, random)?;
                let what = format!("partition: {}", partition.shape(named));
                (Damage::Cut(partition), what)
            }
            Fault::OneWay => {
                let partition = Partition::random_one_way(member_count, random)?;
                let what = format!("one-way partition: {}", partition.shape(named));
                (Damage::Cut(partition), what)
            }
            Fault::Kill | Fault::Pause => {
                let nodes = target::draw(targets.nodes.len(), random);
                let what = format!("{}: {}", verb(self.fault), named(&nodes));
                (Damage::Hit(nodes), what)
            }
            Fault::MemberKill | Fault::MemberPause if targets.etcd_members == 0 => return None,
            Fault::MemberKill | Fault::MemberPause => {
                let members = target::draw(targets.etcd_members, random);
                let names: Vec<_> = members.iter().map(|member| format!("m{member}")).collect();
                let what = format!("{}: etcd's {}", verb(self.fault), names.join(", "));
                (Damage::Hit(members), what)
            }
            Fault::Loss => (Damage::Disturb, String::from("messages lost")),
            Fault::Duplicate => (Damage::Disturb, String::from("messages doubled")),
            Fault::Reorder => (Damage::Disturb, String::from("messages overtaken")),
            Fault::Ghost => (
                Damage::Disturb,
                String::from("copies of messages seconds late"),
            ),
        })
    }
}

/// The verb for a fault of processes.
fn verb(fault: Fault) -> &'static str {
    match fault {
        Fault::Kill | Fault::MemberKill => "killed",
        _ => "paused",
    }
}
