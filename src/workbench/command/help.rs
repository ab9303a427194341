//! The parts of `--help` beside the flags.

use super::challenges::CHALLENGES;

/// The help on the challenges: how `eddy test` runs each.
pub(super) fn challenges() -> String {
    let mut help = String::from(
        "The Gossip Glomers challenges (https://fly.io/dist-sys), run by eddy challenge NAME:",
    );
    for challenge in &CHALLENGES {
        let line = challenge.words().fold(String::new(), |line, word| {
            let is_flag = word.starts_with('-');
            let row_bytes = line.rsplit('\n').next().map_or(0, str::len);
            let separator = match row_bytes {
                0 => "",
                70.. if is_flag => " \\\n        ",
                _ => " ",
            };
            line + separator + word
        });
        help.push_str(&format!("\n  {:<3} {line}", challenge.name));
    }
    help + "\n\n  5c is run like 5b: it asks for fewer messages, and gives no number."
        + "\n\n  What stands after -- is given to the node, such as -- --consistency linearizable"
}

/// The heading of flags that change nothing about a run.
pub(super) const SHOWN_AND_KEPT: &str = "What is shown and kept";

/// The help on the figures of messages, to stand after [`FIGURES`]. A history from elsewhere has none.
pub(super) const MESSAGE_FIGURES: &str = " Of messages:
  stale replies        replies of seq-kv about a value that had been replaced by then, which seq-kv permits";

/// The help on the figures that their names do not explain.
pub(super) const FIGURES: &str = "\
Figures:
  a second             the operations that succeeded while clients sent requests. It is below the rate that was asked for
                       if operations failed, or if all clients waited for replies: what is due while no client is
                       free is left out, so the latencies are not those of all that was asked for
  ok fraction          the part of the requests that succeeded
 Of broadcast and g-set:
  attempts             the elements that clients asked to add
  stable               those that the last reads returned
  lost                 those that were known (the add was acknowledged, or a read returned it), and that the last
                       read, whichever node answered it, lacks
  missing at a node    those that are not lost, but the final read of a node lacks them: once for each such node
  never read           those that the reads show nothing about
  never added          elements in replies that nobody had sent by then, or that the node had refused
  strings for numbers  reads that returned numbers as strings, such as \"1\"
  stable latencies ms  for the stable ones the time from when an element was known to the last read that missed it
  stale                the stable ones for which that is a millisecond or more
 Of kafka, beside the messages that were lost or are wrong:
  unobserved           messages that were acknowledged at offsets above all that polls returned
  unseen               those of them that not even the last polls returned
  nonmonotonic poll    an offset below the one expected; external: at the beginning of a reply, compared with the
                       offset asked for; internal: within a reply
  poll skip            an offset above the one expected, with a message between; external and internal as before
  nonmonotonic send    a send that got no higher offset than the send of the same client to the same log before it
  aborted read         messages that were polled, but that nobody had sent by then or whose send was refused
 Of transactions:
  tolerated            anomalies that the consistency models asked for permit, by the names that Elle gives them";

/// The help on the exit status of a run.
pub(super) const EXIT_STATUS: &str = "\
Exit status:
  0  valid, with warnings or without
  1  invalid
  2  unknown: it could not be decided, such as a run that Ctrl-C ended
  3  nothing to check: wrong flags, nodes that did not get ready, or a file that is no history; or the
     result can't be printed: then a run is ended at once";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::Cli;

    #[test]
    fn only_commands_that_see_messages_explain_figures_of_messages() {
        let command = Cli::command();
        let help_of = |name| {
            let subcommand = command.find_subcommand(name).expect(name);
            let help = subcommand.get_after_help().expect("help on figures");
            help.to_string()
        };
        let [test, check] = ["test", "check"].map(help_of);
        for (help, has_messages) in [(test, true), (check, false)] {
            assert_eq!(
                help.contains("\n Of messages:\n  stale replies "),
                has_messages,
                "{help}"
            );
            assert!(help.contains("\n  nonmonotonic send "), "{help}");
        }
    }
}
