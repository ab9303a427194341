//! Runs many seeds on all cores.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

/// Calls `work` for every seed on several threads, and passes each result to `collect` when it is ready, in no certain
/// order. Stops early when `collect` returns `false`.
pub fn each_seed<R: Send>(
    seeds: Range<u64>,
    worker_count: usize,
    work: impl Fn(u64) -> R + Sync,
    mut collect: impl FnMut(u64, R) -> bool,
) {
    let next = AtomicU64::new(seeds.start);
    let is_stopped = AtomicBool::new(false);
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..worker_count {
            let sender = sender.clone();
            scope.spawn(|| {
                let sender = sender;
                while !is_stopped.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || sender.send((seed, work(seed))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (seed, result) in results {
            if !collect(seed, result) {
                is_stopped.store(true, Ordering::Relaxed);
                return;
            }
        }
    });
}

/// One thread for each core.
pub fn worker_count() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_done_once() {
        let mut seeds = Vec::new();
        each_seed(
            5..105,
            4,
            |seed| seed,
            |seed, result| {
                assert_eq!(seed, result);
                seeds.push(seed);
                true
            },
        );
        seeds.sort_unstable();
        assert_eq!(seeds, (5..105).collect::<Vec<_>>());
    }

    #[test]
    fn it_ends_early_when_collect_returns_false() {
        let mut count = 0;
        each_seed(
            0..u64::MAX,
            2,
            |seed| seed,
            |_, _| {
                count += 1;
                count < 10
            },
        );
        assert_eq!(count, 10);
    }
}
