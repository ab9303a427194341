//! The flags of a command line, each with its value.

use clap::{Arg, ArgAction, ArgMatches, CommandFactory};
use serde_json::{Map, Value};

use super::Cli;
use super::help::SHOWN_AND_KEPT;

/// Every flag of this command line of `eddy` with the value that it has, given or left out, by its name. Flags under
/// "What is shown and kept" are left out: they change nothing about a run.
pub(super) fn of(words: &[String]) -> Map<String, Value> {
    let mut command = Cli::command();
    let matches = command.try_get_matches_from_mut(words);
    let matches = matches.expect("the flags come from a command line that was read before");
    let (name, matches) = matches.subcommand().expect("eddy does nothing without one");
    let command = command.find_subcommand(name);
    let flags = command
        .into_iter()
        .flat_map(|command| command.get_arguments());
    flags
        .filter(|flag| flag.get_help_heading() != Some(SHOWN_AND_KEPT))
        .filter_map(|flag| Some((name_of(flag), value(flag, matches)?)))
        .collect()
}

fn name_of(flag: &Arg) -> String {
    let name = flag.get_long().unwrap_or(flag.get_id().as_str());
    String::from(name)
}

/// The value of a flag: a list, a number, a boolean or a text as on the command line. `Null` where it has none; `None` for
/// those that only print something, such as `--help`.
fn value(flag: &Arg, matches: &ArgMatches) -> Option<Value> {
    let id = flag.get_id().as_str();
    let values = matches.try_get_raw(id).ok()?;
    let values = values.into_iter().flatten();
    let mut texts = values.map(|value| value.to_string_lossy().into_owned());
    Some(match flag.get_action() {
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong => return None,
        ArgAction::Append => texts.collect(),
        _ => texts.next().map_or(Value::Null, scalar),
    })
}

fn scalar(text: String) -> Value {
    match serde_json::from_str(&text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
        _ => Value::String(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_flag_has_its_value_whether_it_was_given_or_not() {
        let line = "eddy test -w g-counter --bin ./node --rate 7.5 --nemesis kill,pause --strict --json -- --a b";
        let words: Vec<String> = line.split(' ').map(String::from).collect();
        let settings = of(&words);
        for (name, expected) in [
            ("workload", json!("g-counter")),
            ("rate", json!(7.5)),
            ("nemesis", json!(["kill", "pause"])),
            ("strict", json!(true)),
            ("node_args", json!(["--a", "b"])),
            ("time-limit", json!(60)),
            ("concurrency", json!("1n")),
            ("nodes", json!(["n1", "n2", "n3", "n4", "n5"])),
            ("nemesis-services", json!(false)),
            ("node-count", Value::Null),
        ] {
            assert_eq!(settings.get(name), Some(&expected), "{name}");
        }
        for name in ["json", "store", "help"] {
            assert_eq!(settings.get(name), None, "{name}");
        }
    }
}
