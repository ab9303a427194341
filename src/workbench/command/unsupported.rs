//! Commands and flags of Maelstrom and elle-cli that `eddy` does not have, flags with a wrong dash, and what to do
//! instead.

use std::ffi::OsString;

const NO_LOGIN: &str = "nodes are processes on this machine, so there is no login. Leave it out";

const NAMES: &str = "give all names at once: --nodes a,b,c";

/// Each flag, without its dashes, and what to do instead.
const FLAGS: [(&str, &str); 10] = [
    (
        "leave-db-running",
        "nodes end with the run. --log-stderr and --log-net-recv show what went on in them",
    ),
    ("logging-json", "--json prints the result as JSON"),
    (
        "model",
        "-w names the workload of a history: elle-cli's list-append is txn-list-append, rw-register is txn-rw-register, \
         cas-register is lin-kv, set and set-full are g-set, and counter is g-counter --consistency-models regular",
    ),
    ("no-ssh", NO_LOGIN),
    ("node", NAMES),
    ("nodes-file", NAMES),
    ("password", NO_LOGIN),
    ("ssh-private-key", NO_LOGIN),
    ("strict-host-key-checking", NO_LOGIN),
    ("username", NO_LOGIN),
];

/// Each command, and what to do instead.
const COMMANDS: [(&str, &str); 2] = [
    (
        "demo",
        "it would need Maelstrom's own nodes. eddy sim -w WORKLOAD runs one of eddy's",
    ),
    (
        "doc",
        "eddy --help and eddy test --help are the documentation",
    ),
];

/// What to do instead of the command, or of the first flag among `args`, that is Maelstrom's or elle-cli's and not
/// supported. Arguments after `--` are the node's.
pub(super) fn instead(args: &[OsString]) -> Option<String> {
    let command = args.get(1).and_then(|arg| arg.to_str());
    if let Some((name, instead)) = COMMANDS.iter().find(|(name, _)| Some(*name) == command) {
        return Some(format!("{name} is not supported: {instead}."));
    }
    let own = args.iter().take_while(|arg| *arg != "--");
    let own: Vec<&str> = own.filter_map(|arg| arg.to_str()).collect();
    if let Some(wrong) = own.iter().find_map(|arg| wrong_dash(arg)) {
        return Some(wrong);
    }
    own.into_iter().find_map(|arg| {
        let flag = match arg {
            "-n" => "node",
            _ => arg.strip_prefix("--")?.split('=').next()?,
        };
        let (name, instead) = FLAGS.iter().find(|(name, _)| *name == flag)?;
        Some(format!("--{name} is not supported: {instead}."))
    })
}

/// What to do about a flag that begins with a dash other than the hyphen. Web pages and word processors insert those.
fn wrong_dash(arg: &str) -> Option<String> {
    let is_dash = |char| matches!(char, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}');
    let flag = arg.trim_start_matches(is_dash);
    let dash = arg[..arg.len() - flag.len()]
        .chars()
        .find(|&dash| dash != '-')?;
    let name = match dash {
        '\u{2013}' => "an en dash",
        '\u{2014}' => "an em dash",
        _ => "a dash that is no hyphen",
    };
    let hyphens = match flag.split('=').next()?.chars().count() {
        1 => "-",
        _ => "--",
    };
    Some(format!(
        "{arg} begins with {name} ({dash}); type {hyphens}{flag} with hyphens. Maelstrom gives such a word to the node, \
         and runs without the flag."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn flags_and_commands_of_jepsen_are_refused_with_what_to_do() {
        for (line, expected) in [
            ("eddy test --username admin", "there is no login"),
            ("eddy test --nodes-file=hosts", "--nodes a,b,c"),
            ("eddy test -n a -n b", "--nodes a,b,c"),
            ("eddy test --leave-db-running", "--log-stderr"),
            (
                "eddy check --model list-append a.edn",
                "-w names the workload",
            ),
        ] {
            let message = instead(&words(line)).expect("it is not supported");
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_flag_with_a_dash_that_is_no_hyphen_is_refused_with_what_to_type() {
        for (line, expected) in [
            (
                "eddy test --bin x \u{2013}-nemesis partition",
                "begins with an en dash (\u{2013}); type --nemesis with hyphens",
            ),
            (
                "eddy test \u{2014}rate=5",
                "begins with an em dash (\u{2014}); type --rate=5",
            ),
            ("eddy test -\u{2013}rate 5", "type --rate with"),
            ("eddy sim \u{2212}w echo", "type -w with"),
        ] {
            let message = instead(&words(line)).expect("it is not supported");
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn arguments_of_the_node_are_not_examined() {
        assert_eq!(
            instead(&words("eddy test --bin x -- --username admin")),
            None
        );
        assert_eq!(instead(&words("eddy test --bin serve")), None);
        assert_eq!(instead(&words("eddy test -- \u{2013}x")), None);
        assert_eq!(
            instead(&words("eddy test --node-count 3 --nodes a,b")),
            None
        );
    }
}
