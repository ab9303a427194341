/// Ids and versions stay below 2^53: a JSON number that every language reads exactly.
pub const ID_BITS: u32 = 53;

/// A stream of numbers from a seed: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014).
///
/// The core draws no randomness of its own. Whoever makes a node passes a seed in: from the operating system in the
/// binaries, from the run's seed in the simulator. It must differ between incarnations of a node, because message ids and
/// proposal ids start from it.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream that `seed` gives.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next number, any of 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next_u64() % limit
    }

    /// Where a sequence of ids starts, so that two incarnations of a node don't use the same: anywhere below 2^(`bits` - 1),
    /// which leaves as much again to count up. Two that use n ids each share some with a chance of n in 2^(`bits` - 2). `bits`
    /// is from 2 to 64.
    pub fn sequence_start(&mut self, bits: u32) -> u64 {
        self.next_u64() >> (65 - bits)
    }
}
