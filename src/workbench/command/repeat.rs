//! The command that repeats a run.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgAction, Command, CommandFactory, Id};
use serde_json::{Map, Value};

use super::Cli;
use super::options::RunOptions;
use super::settings;
use super::values::flag_value;
use crate::workbench::report::Invocation;
use crate::workbench::words::for_shell;
use crate::workbench::workload::Workload;
use crate::workbench::world::{INIT_TIMEOUT, Settings};

/// The command that simulates exactly this run. `eddy` is the first word of the command line.
pub(super) fn simulation<W: Workload>(
    eddy: &OsStr,
    settings: &Settings,
    options: &RunOptions,
) -> Invocation {
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
    // A name may begin with a dash.
    let names = format!("--nodes={}", nodes.join(","));
    let eddy = eddy.to_string_lossy();
    let words = [&eddy, "sim", "-w", W::NAME, &names];
    let mut words = Vec::from(words.map(String::from));
    // The values of all other flags are without spaces.
    let mut add = |flags: String| words.extend(flags.split(' ').map(String::from));
    add(format!("--concurrency {client_count} --rate {rate_per_s}"));
    add(format!("--time-limit {}", time_limit.as_secs_f64()));
    add(format!("--recovery {}", recovery.as_secs_f64()));
    add(format!("--latency {}", latency.mean.as_millis()));
    add(format!(
        "--latency-dist {}",
        flag_value(latency.distribution)
    ));
    add(format!("--seq-kv {}", flag_value(*sequential_store)));
    if *init_timeout != INIT_TIMEOUT {
        add(format!("--init-timeout {}", init_timeout.as_secs_f64()));
    }
    if !faults.is_empty() {
        let faults: Vec<String> = faults.iter().copied().map(flag_value).collect();
        let interval = fault_interval.as_secs_f64();
        let faults = faults.join(",");
        add(format!("--nemesis {faults} --nemesis-interval {interval}"));
    }
    if *services_suffer {
        add(String::from("--nemesis-services"));
    }
    if let Some(availability) = options.clients.availability {
        add(format!("--availability {availability}"));
    }
    if let Some(limit) = options.max_messages_per_op {
        add(format!("--max-messages-per-op {limit}"));
    }
    if let Some(limits) = options.clients.max_stable_latency {
        add(format!("--max-stable-latency {limits}"));
    }
    if options.clients.strict {
        add(String::from("--strict"));
    }
    add(format!("--seed {seed}"));
    options.clients.requests.words().into_iter().for_each(add);
    let node_args = &options.node_args;
    if !node_args.is_empty() {
        words.push(String::from("--"));
        words.extend(node_args.iter().cloned());
    }
    invocation(&words)
}

/// The given command line, changed to do one run with this seed.
pub(super) fn command(args: &[OsString], seed: u64) -> Invocation {
    invocation(&words(args, seed))
}

/// The flags of the given command line, with this seed.
pub(super) fn settings(args: &[OsString], seed: u64) -> Map<String, Value> {
    settings::of(&words(args, seed))
}

/// The command with these words.
pub(super) fn invocation(words: &[String]) -> Invocation {
    Invocation {
        command: line(words),
        settings: settings::of(words),
    }
}

/// Words as one line, ready for a shell.
fn line(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| for_shell(word)).collect();
    quoted.join(" ")
}

/// A part of a command line: a flag with its value, or any other word.
struct Part {
    /// The flag, if the last one of its name counts.
    flag: Option<Id>,
    words: Vec<String>,
}

/// The words of the given command line, changed to do one run with this seed. Flags that a later one overrides are left
/// out.
fn words(args: &[OsString], seed: u64) -> Vec<String> {
    let args = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    let mut args = args.peekable();
    let mut words = Vec::from_iter(args.by_ref().take(2));
    let cli = Cli::command();
    let command = words.last().and_then(|name| cli.find_subcommand(name));
    let command = command.expect("the flags come from a command line that was read before");
    let mut parts: Vec<Part> = Vec::new();
    let mut node_args = Vec::new();
    while let Some(arg) = args.next() {
        if arg == "--" {
            node_args.push(arg);
            node_args.extend(args.by_ref());
            break;
        }
        let flag = flag(command, &arg);
        let mut part = Part {
            flag: None,
            words: vec![arg],
        };
        if let Some((flag, value_follows)) = flag {
            part.words.extend(args.next_if(|_| value_follows));
            // Lists are added up.
            if !matches!(flag.get_action(), ArgAction::Append) {
                parts.retain(|part| part.flag.as_ref() != Some(flag.get_id()));
                part.flag = Some(flag.get_id().clone());
            }
        }
        parts.push(part);
    }
    let of_one_run = |part: &Part| {
        let flag = part.flag.as_ref().map(Id::as_str);
        !matches!(flag, Some("seed" | "test_count" | "watch"))
    };
    words.extend(
        parts
            .into_iter()
            .filter(of_one_run)
            .flat_map(|part| part.words),
    );
    words.extend([String::from("--seed"), seed.to_string()]);
    words.extend(node_args);
    words
}

/// The flag that this word is, and whether its value is the next word.
fn flag<'c>(command: &'c Command, word: &str) -> Option<(&'c Arg, bool)> {
    let mut flags = command.get_arguments();
    let (flag, has_value) = match word.strip_prefix("--") {
        Some(name) => {
            let (name, has_value) = name
                .split_once('=')
                .map_or((name, false), |(name, _)| (name, true));
            (flags.find(|flag| flag.get_long() == Some(name)), has_value)
        }
        None => {
            let mut letters = word.strip_prefix('-')?.chars();
            let letter = letters.next();
            (
                flags.find(|flag| letter.is_some() && flag.get_short() == letter),
                letters.next().is_some(),
            )
        }
    };
    let flag = flag?;
    Some((flag, flag.get_action().takes_values() && !has_value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[track_caller]
    fn again(args: &[OsString], seed: u64) -> String {
        line(&words(args, seed))
    }

    #[test]
    fn the_seed_stands_before_the_arguments_of_the_node() {
        let args = given("eddy test -w echo -- --seed 3");
        assert_eq!(again(&args, 7), "eddy test -w echo --seed 7 -- --seed 3");
    }

    #[test]
    fn words_that_are_no_flags_stay_where_they_are() {
        let args = given("eddy test broadcast --bin node --rate 7 fast");
        let expected = "eddy test broadcast --bin node --rate 7 fast --seed 7";
        assert_eq!(again(&args, 7), expected);
    }

    #[test]
    fn a_flag_that_is_overridden_is_left_out_and_lists_are_kept() {
        for (line, expected) in [
            (
                "./eddy test -w echo --rate 5 --bin ./node --rate=7 -w g-set",
                "./eddy test --bin ./node --rate=7 -w g-set --seed 5",
            ),
            (
                "eddy test --strict --nemesis kill --strict --nemesis pause",
                "eddy test --nemesis kill --strict --nemesis pause --seed 5",
            ),
            (
                "eddy test -wecho -w g-set fast -- --rate 5 --rate 6",
                "eddy test -w g-set fast --seed 5 -- --rate 5 --rate 6",
            ),
        ] {
            assert_eq!(again(&given(line), 5), expected);
        }
    }

    #[test]
    fn one_of_many_runs_has_its_own_seed_and_is_done_once() {
        for line in [
            "eddy test --seed 3 --test-count 9 -w echo",
            "eddy test --seed=3 -w echo --test-count=9 --watch",
        ] {
            assert_eq!(again(&given(line), 5), "eddy test -w echo --seed 5");
        }
    }

    #[test]
    fn what_a_shell_would_change_is_quoted() {
        let words = ["eddy", "a b", "it's", "", "$x"].map(String::from);
        assert_eq!(line(&words), r"eddy 'a b' 'it'\''s' '' '$x'");
    }
}
