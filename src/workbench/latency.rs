//! How long a message takes.

use std::time::Duration;

use clap::ValueEnum;
use rand::Rng;
use rand_distr::{Distribution as _, Exp1};

use super::random::Random;

/// The latency of messages between nodes, and between nodes and services. By default there is none.
#[derive(Clone, Copy, Default, Debug)]
pub struct Latency {
    /// The mean.
    pub mean: Duration,
    /// How the latencies of single messages spread around the mean.
    pub distribution: Distribution,
}

/// How latencies spread around their mean.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, ValueEnum)]
pub enum Distribution {
    /// Every message takes the mean.
    #[default]
    Constant,
    /// Uniform between zero and twice the mean.
    Uniform,
    /// Most take less than the mean, a few take many times as long.
    Exponential,
}

impl Latency {
    /// Latencies that are spread exponentially around this mean.
    pub fn exponential(mean: Duration) -> Self {
        Latency {
            mean,
            distribution: Distribution::Exponential,
        }
    }

    /// Draws the latency of the next message.
    pub fn sample(&self, random: &mut Random) -> Duration {
        if self.mean.is_zero() {
            return Duration::ZERO;
        }
        match self.distribution {
            Distribution::Constant => self.mean,
            Distribution::Uniform => random.random_range(Duration::ZERO..=2 * self.mean),
            Distribution::Exponential => {
                let times_mean: f64 = Exp1.sample(random);
                self.mean.mul_f64(times_mean)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::random::Stream;

    #[test]
    fn every_distribution_has_the_mean_that_was_asked_for() {
        let mean = Duration::from_millis(20);
        for distribution in [
            Distribution::Constant,
            Distribution::Uniform,
            Distribution::Exponential,
        ] {
            let mut random = Stream::Network.seeded(1);
            let latency = Latency { mean, distribution };
            let count = 20_000;
            let total: Duration = (0..count).map(|_| latency.sample(&mut random)).sum();
            let off_ms = (total / count).as_secs_f64() * 1e3 - 20.0;
            assert!(off_ms.abs() < 0.5, "{distribution:?} is off by {off_ms} ms");
        }
    }

    #[test]
    fn a_uniform_latency_is_at_most_twice_the_mean() {
        let mut random = Stream::Network.seeded(1);
        let latency = Latency {
            mean: Duration::from_millis(10),
            distribution: Distribution::Uniform,
        };
        let longest = (0..10_000).map(|_| latency.sample(&mut random)).max();
        assert!(longest <= Some(Duration::from_millis(20)));
        assert!(longest > Some(Duration::from_millis(19)));
    }
}
