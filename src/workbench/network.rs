//! The network: messages under way, their latency, and who is cut off from whom.
//!
//! No I/O: a message goes in with the time, and comes out when it is due. Messages whose latencies differ overtake each
//! other. Two rules are Maelstrom's: a message from or to a client has no latency, and a partition takes effect when a
//! message arrives, so that a message sent before the partition is lost if it would arrive during it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rand::Rng;

use super::latency::Latency;
use super::nemesis::{Fault, Partition};
use super::random::{Random, Stream};

/// A sender or receiver of messages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Endpoint {
    /// A node under test, as an index into the run's nodes.
    Node(usize),
    /// A client, in the order in which clients joined.
    Client(usize),
    /// A service, as an index into the services.
    Service(usize),
}

impl Endpoint {
    fn is_client(self) -> bool {
        matches!(self, Endpoint::Client(_))
    }
}

/// A message without its body.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Header {
    /// Its number, in the order of sending. Messages due at the same time arrive in this order.
    pub id: u64,
    /// Who sent it.
    pub src: Endpoint,
    /// When it was sent.
    pub sent_at: Duration,
    /// Who receives it.
    pub dest: Endpoint,
    /// Whether it is the reply of a service about a value that had been replaced.
    pub is_stale: bool,
}

/// A message in the network.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Envelope {
    /// When it arrives.
    pub due_at: Duration,
    /// All of it but the body.
    pub header: Header,
    /// Its body, as JSON.
    pub body: Box<str>,
}

/// How many messages were sent.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Traffic {
    /// All messages.
    pub all: u64,
    /// Messages that neither come from nor go to a client. Services count as servers, as on Maelstrom.
    pub servers: u64,
}

impl Traffic {
    /// Counts one more message.
    pub fn count(&mut self, src: Endpoint, dest: Endpoint) {
        self.all += 1;
        if !src.is_client() && !dest.is_client() {
            self.servers += 1;
        }
    }

    /// Messages that come from or go to a client.
    pub fn clients(&self) -> u64 {
        self.all - self.servers
    }
}

/// How much later than it is due each copy of a message arrives: the message itself, unless it is lost, its duplicate,
/// and its ghost.
pub type Copies = [Option<Duration>; 3];

/// The copies of a message while no fault disturbs messages.
const UNDISTURBED: Copies = [Some(Duration::ZERO), None, None];

/// The share of messages that [`Fault::Loss`] loses.
const LOSS: f64 = 0.1;

/// The share of messages that [`Fault::Duplicate`] doubles.
const DUPLICATE: f64 = 0.1;

/// The share of messages that [`Fault::Reorder`] delays, and by how much at most.
const REORDER: f64 = 0.2;
const REORDER_MAX: Duration = Duration::from_millis(100);

/// The share of messages of which [`Fault::Ghost`] makes a late copy, and how late it is. All of them arrive before the
/// ten seconds are over for which Maelstrom waits before the final reads.
const GHOST: f64 = 0.05;
const GHOST_MIN: Duration = Duration::from_secs(1);
const GHOST_MAX: Duration = Duration::from_secs(8);

/// Messages under way.
pub struct Network {
    latency: Latency,
    random: Random,
    node_count: usize,
    /// Whether faults affect messages from and to services.
    services_suffer: bool,
    /// The present partitions, each with the kind of fault that made it.
    partitions: Vec<(Fault, Partition)>,
    /// The present faults that affect single messages.
    disturbances: Vec<Fault>,
    disturbance_random: Random,
    under_way: BinaryHeap<Reverse<Envelope>>,
    traffic: Traffic,
}

impl Network {
    /// An idle network without partitions.
    ///
    /// Faults affect messages among its `node_count` nodes, and with `services_suffer` those to and from services; never
    /// those of clients.
    pub fn new(latency: Latency, node_count: usize, services_suffer: bool, seed: u64) -> Self {
        Network {
            latency,
            random: Stream::Network.seeded(seed),
            node_count,
            services_suffer,
            partitions: Vec::new(),
            disturbances: Vec::new(),
            disturbance_random: Stream::Disturbances.seeded(seed),
            under_way: BinaryHeap::new(),
            traffic: Traffic::default(),
        }
    }

    /// Gives a message its number and says when it is due.
    ///
    /// A message that is due at once need not be [kept](Self::keep), which would copy it: deliver it if the network
    /// [lets it through](Self::lets_through).
    pub fn send(&mut self, src: Endpoint, dest: Endpoint, now: Duration) -> (u64, Duration) {
        let id = self.traffic.all;
        self.traffic.count(src, dest);
        if src.is_client() || dest.is_client() {
            return (id, now);
        }
        (id, now + self.latency.sample(&mut self.random))
    }

    /// Keeps a message until it is due.
    pub fn keep(&mut self, envelope: Envelope) {
        self.under_way.push(Reverse(envelope));
    }

    /// Takes the next message that is due by now, if there is one. Deliver it if the network
    /// [lets it through](Self::lets_through).
    pub fn arrive(&mut self, now: Duration) -> Option<Envelope> {
        match self.next_arrival_at() {
            Some(due_at) if due_at <= now => self.take_next(),
            _ => None,
        }
    }

    /// Takes the next message, whenever it is due.
    pub fn take_next(&mut self) -> Option<Envelope> {
        self.under_way.pop().map(|Reverse(envelope)| envelope)
    }

    /// When the next message is due.
    pub fn next_arrival_at(&self) -> Option<Duration> {
        self.under_way
            .peek()
            .map(|Reverse(envelope)| envelope.due_at)
    }

    /// Whether no partition stops a message that arrives now.
    pub fn lets_through(&self, src: Endpoint, dest: Endpoint) -> bool {
        if self.partitions.is_empty() {
            return true;
        }
        match (self.member(src), self.member(dest)) {
            (Some(src), Some(dest)) => {
                let mut partitions = self.partitions.iter();
                !partitions.any(|(_, partition)| partition.cuts(src, dest))
            }
            _ => true,
        }
    }

    /// Draws which copies of a message sent now arrive, and how much later than it is due.
    pub fn copies(&mut self, src: Endpoint, dest: Endpoint) -> Copies {
        if self.disturbances.is_empty() || self.member(src).and(self.member(dest)).is_none() {
            return UNDISTURBED;
        }
        let mut copies = UNDISTURBED;
        let random = &mut self.disturbance_random;
        for disturbance in &self.disturbances {
            match disturbance {
                Fault::Loss if random.random_bool(LOSS) => copies[0] = None,
                Fault::Reorder if random.random_bool(REORDER) => {
                    let delay = random.random_range(Duration::ZERO..=REORDER_MAX);
                    copies[0] = copies[0].map(|_| delay);
                }
                Fault::Duplicate if random.random_bool(DUPLICATE) => {
                    copies[1] = Some(random.random_range(Duration::ZERO..=REORDER_MAX));
                }
                Fault::Ghost if random.random_bool(GHOST) => {
                    copies[2] = Some(random.random_range(GHOST_MIN..=GHOST_MAX));
                }
                _ => {}
            }
        }
        copies
    }

    /// The index of an endpoint in a partition: nodes have their own, all services together the next. `None` for
    /// endpoints that no fault affects.
    fn member(&self, endpoint: Endpoint) -> Option<usize> {
        match endpoint {
            Endpoint::Node(index) => Some(index),
            Endpoint::Service(_) if self.services_suffer => Some(self.node_count),
            Endpoint::Service(_) | Endpoint::Client(_) => None,
        }
    }

    /// Begins a partition.
    pub fn cut(&mut self, fault: Fault, partition: Partition) {
        self.partitions.push((fault, partition));
    }

    /// Begins a fault that affects single messages.
    pub fn disturb(&mut self, fault: Fault) {
        self.disturbances.push(fault);
    }

    /// Ends all faults of this kind.
    pub fn mend(&mut self, fault: Fault) {
        self.partitions.retain(|(kind, _)| *kind != fault);
        self.disturbances.retain(|kind| *kind != fault);
    }

    /// How many messages were sent so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::latency::Distribution;

    fn network(mean_ms: u64, distribution: Distribution) -> Network {
        suffering(mean_ms, distribution, false)
    }

    fn suffering(mean_ms: u64, distribution: Distribution, services_suffer: bool) -> Network {
        let mean = Duration::from_millis(mean_ms);
        Network::new(Latency { mean, distribution }, 2, services_suffer, 1)
    }

    fn post(network: &mut Network, src: Endpoint, dest: Endpoint, now: Duration) -> Duration {
        let (id, due_at) = network.send(src, dest, now);
        network.keep(Envelope {
            due_at,
            header: Header {
                id,
                src,
                sent_at: now,
                dest,
                is_stale: false,
            },
            body: Box::from("{}"),
        });
        due_at
    }

    #[test]
    fn client_messages_take_no_time_and_all_others_do() {
        let mut network = network(10, Distribution::Constant);
        let now = Duration::from_secs(1);
        let later = now + Duration::from_millis(10);
        let (node, client, service) =
            (Endpoint::Node(0), Endpoint::Client(0), Endpoint::Service(0));
        assert_eq!(post(&mut network, client, node, now), now);
        assert_eq!(post(&mut network, node, client, now), now);
        assert_eq!(post(&mut network, node, Endpoint::Node(1), now), later);
        assert_eq!(post(&mut network, node, service, now), later);
        assert_eq!(post(&mut network, service, node, now), later);
        assert_eq!(network.traffic(), Traffic { all: 5, servers: 3 });
    }

    #[test]
    fn messages_arrive_by_due_time_and_then_in_the_order_of_sending() {
        let mut network = network(10, Distribution::Exponential);
        let (node, peer) = (Endpoint::Node(0), Endpoint::Node(1));
        for _ in 0..100 {
            post(&mut network, node, peer, Duration::ZERO);
        }
        let mut arrived = Vec::new();
        while let Some(envelope) = network.arrive(Duration::from_secs(10)) {
            arrived.push((envelope.due_at, envelope.header.id));
        }
        assert_eq!(arrived.len(), 100);
        assert!(arrived.is_sorted());
        assert!(
            !arrived.is_sorted_by_key(|&(_, id)| id),
            "overtaking must occur"
        );
    }

    #[test]
    fn nothing_arrives_before_it_is_due() {
        let mut network = network(10, Distribution::Constant);
        post(
            &mut network,
            Endpoint::Node(0),
            Endpoint::Node(1),
            Duration::ZERO,
        );
        assert!(network.arrive(Duration::from_millis(9)).is_none());
        assert!(network.arrive(Duration::from_millis(10)).is_some());
    }

    #[test]
    fn a_partition_stops_what_goes_from_node_to_node_and_nothing_else() {
        let mut network = network(10, Distribution::Constant);
        let (node, peer) = (Endpoint::Node(0), Endpoint::Node(1));
        network.cut(Fault::Partition, Partition::halves(&[0], &[1]));
        assert!(!network.lets_through(node, peer));
        assert!(network.lets_through(node, Endpoint::Service(0)));
        assert!(network.lets_through(Endpoint::Client(1), node));
        network.mend(Fault::Partition);
        assert!(network.lets_through(node, peer));
    }

    #[test]
    fn two_partitions_last_each_until_its_own_end() {
        let mut network = network(10, Distribution::Constant);
        let (node, peer) = (Endpoint::Node(0), Endpoint::Node(1));
        network.cut(Fault::Partition, Partition::halves(&[0], &[1]));
        network.cut(Fault::OneWay, Partition::halves(&[0], &[1]));
        network.mend(Fault::Partition);
        assert!(!network.lets_through(node, peer));
        network.mend(Fault::OneWay);
        assert!(network.lets_through(node, peer));
    }

    /// How many of 10,000 messages arrive on time, later, and again.
    fn fates(network: &mut Network, src: Endpoint, dest: Endpoint) -> [usize; 3] {
        let mut counts = [0; 3];
        for _ in 0..10_000 {
            let [itself, double, ghost] = network.copies(src, dest);
            counts[0] += usize::from(itself == Some(Duration::ZERO));
            counts[1] += usize::from(itself.is_some_and(|delay| !delay.is_zero()));
            counts[2] += usize::from(double.is_some() || ghost.is_some());
        }
        counts
    }

    #[test]
    fn every_disturbance_hits_the_part_of_the_messages_that_it_should() {
        let about = |count: usize, wanted: usize| count.abs_diff(wanted) < 200;
        for (fault, wanted) in [
            (Fault::Loss, [9_000, 0, 0]),
            (Fault::Duplicate, [10_000, 0, 1_000]),
            (Fault::Reorder, [8_000, 2_000, 0]),
            (Fault::Ghost, [10_000, 0, 500]),
        ] {
            let mut network = network(10, Distribution::Constant);
            network.disturb(fault);
            let counts = fates(&mut network, Endpoint::Node(0), Endpoint::Node(1));
            let is_as_wanted = counts
                .iter()
                .zip(wanted)
                .all(|(&count, wanted)| about(count, wanted));
            assert!(is_as_wanted, "{fault:?}: {counts:?}");
            network.mend(fault);
            let counts = fates(&mut network, Endpoint::Node(0), Endpoint::Node(1));
            assert_eq!(counts, [10_000, 0, 0]);
        }
    }

    #[test]
    fn clients_never_suffer_and_services_only_if_they_are_to() {
        let (node, client, service) =
            (Endpoint::Node(0), Endpoint::Client(0), Endpoint::Service(0));
        for services_suffer in [false, true] {
            let mut network = suffering(10, Distribution::Constant, services_suffer);
            network.disturb(Fault::Loss);
            network.cut(Fault::Partition, Partition::halves(&[0], &[1, 2]));
            assert_eq!(fates(&mut network, client, node), [10_000, 0, 0]);
            assert_eq!(fates(&mut network, node, client), [10_000, 0, 0]);
            assert!(network.lets_through(client, node));
            let counts = fates(&mut network, node, service);
            assert_eq!(counts[0] < 10_000, services_suffer);
            assert_eq!(network.lets_through(node, service), !services_suffer);
        }
    }
}
