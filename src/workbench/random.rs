//! Randomness: every draw of a run comes from its seed.

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

/// The generator behind every draw: small, fast, and the same on every machine.
pub type Random = Pcg64Mcg;

/// The parts of a run that draw random numbers. Each has a stream of its own, so that one more draw in one part changes
/// nothing in the others: with the same seed the operations are the same, whatever the network does.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    /// How long messages take.
    Network,
    /// Which state a service answers from.
    Services,
    /// Which operations clients begin, and when.
    Generator,
    /// Which faults happen, and when.
    Nemesis,
    /// Which messages are lost, doubled or late while such a fault lasts.
    Disturbances,
    /// The seeds of simulated nodes.
    Nodes,
    /// In which order nodes join the network.
    Joins,
}

impl Stream {
    /// The generator of this part in the run with this seed.
    pub fn seeded(self, seed: u64) -> Random {
        // `seed_from_u64` spreads neighbouring seeds far apart; the odd factor keeps streams of one seed from being
        // those of another.
        let stream = (self as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Random::seed_from_u64(seed.wrapping_add(stream))
    }
}
