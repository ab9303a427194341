//! The network: messages under way, their latency, and who is cut off from whom.
//!
//! Pure: a message goes in with the time, and comes out when it is due. Delivery is unordered wherever latencies
//! differ. Two rules are Maelstrom's: a message from or to a client takes no time, and a partition is looked at when a
//! message arrives, so that one sent before the cut is lost if it would arrive during it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::latency::Latency;
use super::partition::Partition;
use super::random::Random;

/// Who can send and receive.
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

/// A message in the network.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Envelope {
    /// When it arrives.
    pub due_at: Duration,
    /// Its number, in the order of sending. Messages due at the same time arrive in this order.
    pub id: u64,
    /// Who sent it.
    pub src: Endpoint,
    /// When it was sent.
    pub sent_at: Duration,
    /// To whom it goes.
    pub dest: Endpoint,
    /// What it says: the JSON of its body.
    pub body: Box<[u8]>,
}

/// How many messages were sent.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Traffic {
    /// All of them.
    pub all: u64,
    /// Those where neither end is a client. Services count as servers, as they do upstream.
    pub servers: u64,
}

/// Messages under way.
pub struct Network {
    latency: Latency,
    random: Random,
    partition: Option<Partition>,
    under_way: BinaryHeap<Reverse<Envelope>>,
    traffic: Traffic,
}

impl Network {
    /// An idle network without partitions.
    pub fn new(latency: Latency, random: Random) -> Self {
        Network {
            latency,
            random,
            partition: None,
            under_way: BinaryHeap::new(),
            traffic: Traffic::default(),
        }
    }

    /// Numbers a message and says when it arrives.
    ///
    /// One that is due at once need not go through [`keep`](Self::keep): ask [`lets_through`](Self::lets_through) and
    /// deliver it, which spares most messages a copy.
    pub fn send(&mut self, src: Endpoint, dest: Endpoint, now: Duration) -> (u64, Duration) {
        let id = self.traffic.all;
        self.traffic.all += 1;
        if src.is_client() || dest.is_client() {
            return (id, now);
        }
        self.traffic.servers += 1;
        (id, now + self.latency.sample(&mut self.random))
    }

    /// Keeps a message until it is due.
    pub fn keep(&mut self, envelope: Envelope) {
        self.under_way.push(Reverse(envelope));
    }

    /// Takes out the next message that is due by now, or `None`. Ask [`lets_through`](Self::lets_through) whether it
    /// arrives.
    pub fn arrive(&mut self, now: Duration) -> Option<Envelope> {
        match self.next_arrival_at() {
            Some(due_at) if due_at <= now => self.take_next(),
            _ => None,
        }
    }

    /// Takes out the next message, whenever it is due.
    pub fn take_next(&mut self) -> Option<Envelope> {
        self.under_way.pop().map(|Reverse(envelope)| envelope)
    }

    /// When the next message is due.
    pub fn next_arrival_at(&self) -> Option<Duration> {
        self.under_way
            .peek()
            .map(|Reverse(envelope)| envelope.due_at)
    }

    /// Whether a message that arrives now is not cut off. Partitions are between nodes, never between a node and a
    /// client or a service.
    pub fn lets_through(&self, src: Endpoint, dest: Endpoint) -> bool {
        match (&self.partition, src, dest) {
            (Some(partition), Endpoint::Node(src), Endpoint::Node(dest)) => {
                !partition.cuts(src, dest)
            }
            _ => true,
        }
    }

    /// Cuts nodes off from each other, or heals the network.
    pub fn set_partition(&mut self, partition: Option<Partition>) {
        self.partition = partition;
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
    use crate::workbench::random::Stream;

    fn network(mean_ms: u64, distribution: Distribution) -> Network {
        let mean = Duration::from_millis(mean_ms);
        Network::new(Latency { mean, distribution }, Stream::Network.seeded(1))
    }

    fn post(network: &mut Network, src: Endpoint, dest: Endpoint, now: Duration) -> Duration {
        let (id, due_at) = network.send(src, dest, now);
        let body = Box::from(&b"{}"[..]);
        network.keep(Envelope {
            due_at,
            id,
            src,
            sent_at: now,
            dest,
            body,
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
            arrived.push((envelope.due_at, envelope.id));
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
        network.set_partition(Some(Partition::halves(&[0], &[1])));
        assert!(!network.lets_through(node, peer));
        assert!(network.lets_through(node, Endpoint::Service(0)));
        assert!(network.lets_through(Endpoint::Client(1), node));
        network.set_partition(None);
        assert!(network.lets_through(node, peer));
    }
}
