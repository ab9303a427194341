//! What a service counts.

use std::collections::BTreeSet;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::protocol::ErrorCode;

/// The maximum number of types of requests that are counted by name, and the maximum length of a name. Clients choose
/// them.
const KINDS_MAX: usize = 64;
const KIND_BYTES_MAX: usize = 64;

/// The type under which all others are counted.
const OTHER: &str = "other";

/// The outcome of a request.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    /// The node answered with anything but an error.
    Ok,
    /// The node or the service answered with this error.
    Error(ErrorCode),
    /// The client left before there was an answer.
    ClientGone,
}

/// The reason why a message is lost.
#[derive(Clone, Copy)]
pub(super) enum Loss {
    PeerNotConnected,
    PeerSlow,
    NodeDown,
    NodeSlow,
    ClientGone,
    NotAsked,
}

type Labels<const N: usize> = [(&'static str, String); N];

pub(super) struct Metrics {
    registry: Registry,
    kinds: BTreeSet<String>,
    requests: Family<Labels<2>, Counter>,
    latency: Histogram,
    lost: Family<Labels<1>, Counter>,
    pub restarts: Counter,
    pub clients: Gauge,
    pub peers_connected: Gauge,
}

/// The upper limits of the buckets of latencies, in seconds: from 50 µs, below which a node answers that does next to nothing,
/// to 16 s.
fn latency_buckets() -> impl Iterator<Item = f64> {
    let below_half_a_millisecond = [0.00005, 0.0001, 0.00025];
    let above = exponential_buckets(0.0005, 2.0, 16);
    below_half_a_millisecond.into_iter().chain(above)
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut metrics = Metrics {
            registry: Registry::with_prefix("eddy"),
            kinds: BTreeSet::new(),
            requests: Family::default(),
            latency: Histogram::new(latency_buckets()),
            lost: Family::default(),
            restarts: Counter::default(),
            clients: Gauge::default(),
            peers_connected: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        let requests = metrics.requests.clone();
        registry.register(
            "requests",
            "Requests of clients by type and outcome",
            requests,
        );
        let latency = metrics.latency.clone();
        let help = "Time from a request to the answer of the node, in seconds";
        registry.register("request_seconds", help, latency);
        let help = "Messages from and to the node that were lost, by reason";
        registry.register("messages_lost", help, metrics.lost.clone());
        let help = "Starts of the node after the first";
        registry.register("restarts", help, metrics.restarts.clone());
        let help = "Clients that are connected";
        registry.register("clients", help, metrics.clients.clone());
        let help = "Peers that are connected in both directions";
        registry.register("peers_connected", help, metrics.peers_connected.clone());
        metrics
    }

    /// Counts a request that has ended. `latency` is the time that the node took, if it answered.
    pub(super) fn request(&mut self, kind: &str, outcome: Outcome, latency: Option<Duration>) {
        let kind = self.counted_kind(kind);
        let outcome = match outcome {
            Outcome::Ok => String::from("ok"),
            Outcome::ClientGone => String::from("client_gone"),
            Outcome::Error(code)
                if code.is_definite() || matches!(code, ErrorCode::TIMEOUT | ErrorCode::CRASH) =>
            {
                format!("error_{}", code.0)
            }
            Outcome::Error(_) => String::from("error_other"),
        };
        let labels = [("type", kind), ("outcome", outcome)];
        self.requests.get_or_create(&labels).inc();
        if let Some(latency) = latency {
            self.latency.observe(latency.as_secs_f64());
        }
    }

    fn counted_kind(&mut self, kind: &str) -> String {
        let is_new = !self.kinds.contains(kind);
        if is_new && (self.kinds.len() == KINDS_MAX || kind.len() > KIND_BYTES_MAX) {
            return String::from(OTHER);
        }
        if is_new {
            self.kinds.insert(String::from(kind));
        }
        String::from(kind)
    }

    /// Counts a message that is lost.
    pub(super) fn lost(&self, why: Loss) {
        let why = match why {
            Loss::PeerNotConnected => "peer_not_connected",
            Loss::PeerSlow => "peer_slow",
            Loss::NodeDown => "node_down",
            Loss::NodeSlow => "node_slow",
            Loss::ClientGone => "client_gone",
            Loss::NotAsked => "not_asked",
        };
        let labels = [("reason", String::from(why))];
        self.lost.get_or_create(&labels).inc();
    }

    /// All metrics as text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("memory takes every text");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_can_not_make_metrics_grow_without_end() {
        let mut metrics = Metrics::new();
        metrics.request(&"long".repeat(1_000), Outcome::Ok, None);
        for number in 0..10_000 {
            let outcome = Outcome::Error(ErrorCode(number));
            metrics.request(&format!("type {number}"), outcome, None);
        }
        assert!(metrics.text().lines().count() < 300, "{}", metrics.text());
        assert!(metrics.text().contains(r#"type="other",outcome="ok"} 1"#));
    }

    #[test]
    fn latencies_below_a_millisecond_are_told_apart() {
        let mut metrics = Metrics::new();
        for micros in [40, 70, 200, 400, 900] {
            metrics.request("echo", Outcome::Ok, Some(Duration::from_micros(micros)));
        }
        let text = metrics.text();
        let buckets = text.lines().filter_map(|line| {
            let (limit, count) = line
                .strip_prefix("eddy_request_seconds_bucket{le=\"")?
                .split_once("\"} ")?;
            Some((limit.parse::<f64>().ok()?, count.parse::<u64>().ok()?))
        });
        let expected = [
            (0.00005, 1),
            (0.0001, 2),
            (0.00025, 3),
            (0.0005, 4),
            (0.001, 5),
        ];
        assert_eq!(Vec::from_iter(buckets.take(5)), expected, "{text}");
    }

    #[test]
    fn a_type_is_written_as_one_label_whatever_it_is() {
        let mut metrics = Metrics::new();
        metrics.request("a\"} 7\n\\", Outcome::Ok, None);
        let text = metrics.text();
        assert!(
            text.contains(r#"{type="a\"} 7\n\\",outcome="ok"} 1"#),
            "{text}"
        );
    }
}
