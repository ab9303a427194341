//! Shrinks a failing run: searches for smaller settings that still fail.

use std::time::Duration;

use crate::workbench::world::Settings;

/// The number of seeds to try with smaller settings. Other settings make a different run, which may fail with another
/// seed.
const SEEDS_PER_STEP: u64 = 200;

/// Searches for the smallest settings for which `fails` is still true, starting from `failing`: fewer nodes, clients,
/// operations and faults, and a shorter time. Each step makes one setting smaller, and is kept if some seed still
/// fails.
pub fn shrink(failing: Settings, mut fails: impl FnMut(&Settings) -> bool) -> Settings {
    let mut smallest = failing;
    loop {
        let next = smaller(&smallest)
            .into_iter()
            .find_map(|settings| failing_seed(settings, &mut fails));
        match next {
            Some(settings) => smallest = settings,
            None => return smallest,
        }
    }
}

fn failing_seed(settings: Settings, fails: &mut impl FnMut(&Settings) -> bool) -> Option<Settings> {
    let first = settings.seed;
    let seeds = std::iter::once(first).chain(1..=SEEDS_PER_STEP);
    let mut tries = seeds.map(|seed| Settings {
        seed,
        ..settings.clone()
    });
    tries.find(|settings| fails(settings))
}

/// All settings that are one step smaller, the biggest steps first.
fn smaller(settings: &Settings) -> Vec<Settings> {
    let mut steps = Vec::new();
    for left_out in 0..settings.faults.len() {
        let mut step = settings.clone();
        step.faults.remove(left_out);
        step.services_suffer &= !step.faults.is_empty();
        steps.push(step);
    }
    let node_count = settings.nodes.len();
    for count in [node_count / 2, node_count - 1] {
        if (1..node_count).contains(&count) {
            let mut step = settings.clone();
            step.nodes.truncate(count);
            step.client_count = settings.client_count.min(2 * count);
            steps.push(step);
        }
    }
    let client_count = settings.client_count;
    // Every node keeps a client, because a node without one is not tested.
    for count in [client_count / 2, client_count - 1] {
        if (node_count..client_count).contains(&count) {
            let mut step = settings.clone();
            step.client_count = count;
            steps.push(step);
        }
    }
    // In whole milliseconds and operations per second, because the user will type the result.
    let time_limit_ms = settings.time_limit.as_millis() as u64;
    for limit_ms in [time_limit_ms / 4, time_limit_ms / 2, time_limit_ms * 4 / 5] {
        if (1..time_limit_ms).contains(&limit_ms) {
            let mut step = settings.clone();
            step.time_limit = Duration::from_millis(limit_ms);
            // Faults must begin and end within the run.
            step.fault_interval = settings.fault_interval.min(step.time_limit);
            steps.push(step);
        }
    }
    for rate_per_s in [
        (settings.rate_per_s / 4.0).floor(),
        (settings.rate_per_s / 2.0).floor(),
    ] {
        if rate_per_s >= 1.0 && rate_per_s < settings.rate_per_s {
            let mut step = settings.clone();
            step.rate_per_s = rate_per_s;
            steps.push(step);
        }
    }
    steps
}
