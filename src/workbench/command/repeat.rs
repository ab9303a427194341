//! The command that does a run again.

use std::ffi::OsString;

use clap::ValueEnum;

use crate::workbench::workload::Workload;
use crate::workbench::world::Settings;

/// The command that simulates exactly that run.
pub(super) fn simulation<W: Workload>(settings: &Settings, node_args: &[String]) -> String {
    let Settings {
        nodes,
        client_count,
        rate_per_s,
        time_limit,
        recovery,
        latency,
        sequential_store,
        faults,
        services_suffer,
        fault_interval,
        seed,
    } = settings;
    let mut words = vec![
        format!("eddy sim -w {} --nodes {}", W::NAME, nodes.join(",")),
        format!("--concurrency {client_count} --rate {rate_per_s}"),
        format!("--time-limit {}", time_limit.as_secs_f64()),
        format!("--recovery {}", recovery.as_secs_f64()),
        format!("--latency {}", latency.mean.as_millis()),
        format!("--latency-dist {}", flag_value(latency.distribution)),
        format!("--seq-kv {}", flag_value(*sequential_store)),
    ];
    if !faults.is_empty() {
        let faults: Vec<String> = faults.iter().copied().map(flag_value).collect();
        let interval = fault_interval.as_secs_f64();
        words.push(format!(
            "--nemesis {} --nemesis-interval {interval}",
            faults.join(",")
        ));
    }
    if *services_suffer {
        words.push(String::from("--nemesis-services"));
    }
    words.push(format!("--seed {seed}"));
    if !node_args.is_empty() {
        words.push(String::from("--"));
        words.extend(node_args.iter().map(|arg| quoted(arg)));
    }
    words.join(" ")
}

/// What a value is called on the command line.
pub(super) fn flag_value(value: impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or_else(String::new, |value| String::from(value.get_name()))
}

/// The command line that was given, with the seed, ready for a shell.
pub(super) fn command(args: &[OsString], seed: u64) -> String {
    let mut words: Vec<String> = args
        .iter()
        .map(|arg| quoted(&arg.to_string_lossy()))
        .collect();
    let is_seed = |word: &String| word == "--seed" || word.starts_with("--seed=");
    let own_count = words
        .iter()
        .position(|word| word == "--")
        .unwrap_or(words.len());
    if !words[..own_count].iter().any(is_seed) {
        words.splice(own_count..own_count, [format!("--seed {seed}")]);
    }
    words.join(" ")
}

/// A word as a shell takes it unchanged.
fn quoted(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./=,:+@%".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        return String::from(word);
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_seed_stands_before_the_arguments_of_the_node() {
        let args = words("eddy test -w echo -- --seed 3");
        assert_eq!(command(&args, 7), "eddy test -w echo --seed 7 -- --seed 3");
    }

    #[test]
    fn a_seed_that_was_given_stays() {
        for line in ["eddy test --seed 3 -w echo", "eddy test --seed=3"] {
            assert_eq!(command(&words(line), 3), line);
        }
    }

    #[test]
    fn what_a_shell_would_change_is_quoted() {
        let args = ["eddy", "a b", "it's", "", "$x"].map(OsString::from);
        assert_eq!(command(&args, 1), r"eddy 'a b' 'it'\''s' '' '$x' --seed 1");
    }
}
