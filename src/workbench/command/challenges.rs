//! The Gossip Glomers challenges, with Fly.io's parameters and limits.

/// A challenge of <https://fly.io/dist-sys>.
pub(super) struct Challenge {
    /// Its name.
    pub name: &'static str,
    /// The workload.
    pub workload: &'static str,
    /// The other flags of `eddy test`.
    flags: &'static str,
}

const fn challenge(name: &'static str, workload: &'static str, flags: &'static str) -> Challenge {
    Challenge {
        name,
        workload,
        flags,
    }
}

/// All challenges, in their order.
pub(super) const CHALLENGES: [Challenge; 14] = [
    challenge("1", "echo", "--node-count 1 --time-limit 10"),
    challenge(
        "2",
        "unique-ids",
        "--node-count 3 --time-limit 30 --rate 1000 --availability total --nemesis partition",
    ),
    challenge(
        "3a",
        "broadcast",
        "--node-count 1 --time-limit 20 --rate 10",
    ),
    challenge(
        "3b",
        "broadcast",
        "--node-count 5 --time-limit 20 --rate 10",
    ),
    challenge(
        "3c",
        "broadcast",
        "--node-count 5 --time-limit 20 --rate 10 --nemesis partition",
    ),
    challenge(
        "3d",
        "broadcast",
        "--node-count 25 --time-limit 20 --rate 100 --latency 100 --max-messages-per-op 30 \
         --max-stable-latency median=400,max=600",
    ),
    challenge(
        "3e",
        "broadcast",
        "--node-count 25 --time-limit 20 --rate 100 --latency 100 --max-messages-per-op 20 \
         --max-stable-latency median=1000,max=2000",
    ),
    challenge(
        "4",
        "g-counter",
        "--node-count 3 --time-limit 20 --rate 100 --nemesis partition",
    ),
    challenge(
        "5a",
        "kafka",
        "--node-count 1 --concurrency 2n --time-limit 20 --rate 1000",
    ),
    challenge(
        "5b",
        "kafka",
        "--node-count 2 --concurrency 2n --time-limit 20 --rate 1000",
    ),
    challenge(
        "5c",
        "kafka",
        "--node-count 2 --concurrency 2n --time-limit 20 --rate 1000",
    ),
    challenge(
        "6a",
        "txn-rw-register",
        "--node-count 1 --concurrency 2n --time-limit 20 --rate 1000 --consistency-models read-uncommitted \
         --availability total",
    ),
    challenge(
        "6b",
        "txn-rw-register",
        "--node-count 2 --concurrency 2n --time-limit 20 --rate 1000 --consistency-models read-uncommitted \
         --availability total --nemesis partition",
    ),
    challenge(
        "6c",
        "txn-rw-register",
        "--node-count 2 --concurrency 2n --time-limit 20 --rate 1000 --consistency-models read-committed \
         --availability total --nemesis partition",
    ),
];

impl Challenge {
    /// The flags of `eddy test` that run it.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        ["-w", self.workload]
            .into_iter()
            .chain(self.flags.split(' '))
    }
}
