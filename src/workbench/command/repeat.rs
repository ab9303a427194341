//! The command that repeats a run.

use std::ffi::OsString;

use super::options::RunOptions;
use super::values::flag_value;
use crate::workbench::workload::Workload;
use crate::workbench::world::{INIT_TIMEOUT, Settings};

/// The command that simulates exactly this run.
pub(super) fn simulation<W: Workload>(settings: &Settings, options: &RunOptions) -> String {
    let Settings {
        nodes,
        init_timeout,
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
    if *init_timeout != INIT_TIMEOUT {
        words.push(format!("--init-timeout {}", init_timeout.as_secs_f64()));
    }
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
    if let Some(availability) = options.availability {
        words.push(format!("--availability {availability}"));
    }
    if let Some(limit) = options.max_messages_per_op {
        words.push(format!("--max-messages-per-op {limit}"));
    }
    if let Some(limits) = options.max_stable_latency {
        words.push(format!("--max-stable-latency {limits}"));
    }
    if options.strict {
        words.push(String::from("--strict"));
    }
    words.push(format!("--seed {seed}"));
    words.extend(options.load.words());
    let node_args = &options.node_args;
    if !node_args.is_empty() {
        words.push(String::from("--"));
        words.extend(node_args.iter().map(|arg| quoted(arg)));
    }
    words.join(" ")
}

/// The given command line, changed to do one run with this seed, ready for a shell.
pub(super) fn command(args: &[OsString], seed: u64) -> String {
    let mut words = Vec::new();
    let mut args = args.iter().map(|arg| arg.to_string_lossy());
    let mut node_args = Vec::new();
    while let Some(arg) = args.next() {
        match &*arg {
            "--seed" | "--test-count" => drop(args.next()),
            "--" => {
                node_args.push(arg);
                node_args.extend(args.by_ref());
            }
            arg if arg.starts_with("--seed=") || arg.starts_with("--test-count=") => {}
            arg => words.push(quoted(arg)),
        }
    }
    words.push(format!("--seed {seed}"));
    words.extend(node_args.iter().map(|arg| quoted(arg)));
    words.join(" ")
}

/// A word, quoted if a shell would change it.
pub(super) fn quoted(word: &str) -> String {
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
    fn words_that_are_no_flags_stay_where_they_are() {
        let args = words("eddy test broadcast --bin node --rate 7 fast");
        let again = "eddy test broadcast --bin node --rate 7 fast --seed 7";
        assert_eq!(command(&args, 7), again);
    }

    #[test]
    fn one_of_many_runs_has_its_own_seed_and_is_done_once() {
        for line in [
            "eddy test --seed 3 --test-count 9 -w echo",
            "eddy test --seed=3 -w echo --test-count=9",
        ] {
            assert_eq!(command(&words(line), 5), "eddy test -w echo --seed 5");
        }
    }

    #[test]
    fn what_a_shell_would_change_is_quoted() {
        let args = ["eddy", "a b", "it's", "", "$x"].map(OsString::from);
        assert_eq!(command(&args, 1), r"eddy 'a b' 'it'\''s' '' '$x' --seed 1");
    }
}
