//! Commands and flags of Maelstrom's and elle-cli's that mean nothing here, and flags with the wrong dash, and what to do
//! instead.

use std::ffi::OsString;

const NO_LOGIN: &str =
    "nodes are processes of this machine, and nobody logs in anywhere. Leave it out";

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
const COMMANDS: [(&str, &str); 3] = [
    (
        "serve",
        "what a run leaves is a page that needs no server. Open store/latest/report.html in a browser",
    ),
    (
        "demo",
        "it would need Maelstrom's own nodes. eddy sim -w WORKLOAD runs one of eddy's",
    ),
    (
        "doc",
        "eddy --help and eddy test --help are the documentation",
    ),
];

/// Says what to do instead of a command, or of the first flag among `args`, that is not ours but Maelstrom's or
/// elle-cli's. What stands after `--` is the node's own.
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

/// What to do about a flag that begins with another dash than the hyphen: web pages and word processors put them there.
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
    fn what_is_jepsens_is_told_apart_with_what_to_do() {
        for (line, expected) in [
            ("eddy test --username admin", "nobody logs in"),
            ("eddy test --nodes-file=hosts", "--nodes a,b,c"),
            ("eddy test -n a -n b", "--nodes a,b,c"),
            ("eddy test --leave-db-running", "--log-stderr"),
            (
                "eddy check --model list-append a.edn",
                "-w names the workload",
            ),
            ("eddy serve", "report.html"),
        ] {
            let said = instead(&words(line)).expect("it is not supported");
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn a_flag_with_a_dash_that_is_no_hyphen_is_told_apart() {
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
            let said = instead(&words(line)).expect("it is not supported");
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn what_is_the_nodes_own_is_left_alone() {
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
