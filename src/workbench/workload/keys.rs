//! The keys of transactions and logs: a small pool with skewed load, in which each key is replaced after a number of
//! writes.

use std::collections::HashMap;

use rand::{Rng, RngCore};

use crate::workbench::random::Random;

/// The parameters of the pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyLimits {
    /// The number of keys in use at a time; at least one.
    pub key_count: usize,
    /// The number of writes to a key before another key replaces it; at least one.
    pub max_writes_per_key: u64,
}

/// The keys in use. As in Elle's generator they are numbers from 0 up, and each is used twice as often as the one
/// before it in the pool, so that there is contention on some keys and little on others.
pub struct Keys {
    limits: KeyLimits,
    pool: Vec<u64>,
    next_key: u64,
    /// The next value for each key that has been written to.
    next_values: HashMap<u64, u64>,
}

/// A step on a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read this key.
    Read(u64),
    /// Write this value, which was never written to the key: 1, 2, and so on.
    Write(u64, u64),
}

impl Keys {
    /// A pool of new keys.
    pub fn new(limits: KeyLimits) -> Self {
        let next_key = limits.key_count as u64;
        Keys {
            limits,
            pool: (0..next_key).collect(),
            next_key,
            next_values: HashMap::new(),
        }
    }

    /// A read or a write, with equal probability, of a key in use.
    pub fn access(&mut self, random: &mut Random) -> Access {
        loop {
            let is_read = random.random();
            let place = self.place(random);
            let key = self.pool[place];
            if is_read {
                return Access::Read(key);
            }
            let value = self.next_values.entry(key).or_insert(1);
            if *value <= self.limits.max_writes_per_key {
                *value += 1;
                return Access::Write(key, *value - 1);
            }
            self.next_values.remove(&key);
            self.pool[place] = self.next_key;
            self.next_key += 1;
        }
    }

    /// A random key in use.
    pub fn any(&mut self, random: &mut Random) -> u64 {
        self.pool[self.place(random)]
    }

    /// A random place: the last one with probability 1/2, the one before it with 1/4, and so on.
    fn place(&self, random: &mut Random) -> usize {
        let count = self.pool.len();
        loop {
            let from_the_end = random.next_u64().trailing_zeros() as usize;
            if from_the_end < count {
                return count - 1 - from_the_end;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::workbench::random::Stream;

    fn accesses(key_count: usize, count: usize) -> Vec<Access> {
        let mut random = Stream::Generator.seeded(1);
        let mut keys = Keys::new(KeyLimits {
            key_count,
            max_writes_per_key: 16,
        });
        (0..count).map(|_| keys.access(&mut random)).collect()
    }

    #[test]
    fn each_key_is_written_1_2_and_so_on_up_to_its_limit() {
        let mut written: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for access in accesses(10, 2000) {
            if let Access::Write(key, value) = access {
                written.entry(key).or_default().push(value);
            }
        }
        assert!(written.len() > 50, "keys are replaced");
        for values in written.values() {
            assert!(values.iter().copied().eq(1..=values.len() as u64));
        }
        assert_eq!(written.values().map(Vec::len).max(), Some(16));
    }

    #[test]
    fn half_of_all_are_reads_and_each_key_is_twice_as_busy_as_the_one_before() {
        let mut random = Stream::Generator.seeded(1);
        let mut keys = Keys::new(KeyLimits {
            key_count: 3,
            max_writes_per_key: u64::MAX,
        });
        let (mut reads, mut counts) = (0, [0; 3]);
        for _ in 0..70_000 {
            let key = match keys.access(&mut random) {
                Access::Read(key) => {
                    reads += 1;
                    key
                }
                Access::Write(key, _) => key,
            };
            counts[key as usize] += 1;
        }
        assert!((34_500..35_500).contains(&reads), "{reads}");
        for (count, expected) in counts.into_iter().zip([10_000, 20_000, 40_000]) {
            assert!(
                (expected - 500..expected + 500).contains(&count),
                "{counts:?}"
            );
        }
    }

    #[test]
    fn more_keys_than_a_word_has_bits_are_no_trouble() {
        assert_eq!(accesses(1000, 100).len(), 100);
    }
}
