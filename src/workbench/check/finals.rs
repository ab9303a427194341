//! Checks that every client got a reply to its final read.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Verdict, names};
use crate::workbench::history::{Node, Operation, Outcome};

/// Warnings about the clients whose final reads were not answered with a value, and their number.
///
/// A node without an answered final read can't be shown to be right. Upstream checks only the final reads that were
/// answered. A node without clients is never read, and that is no fault. An imported history may have no final reads
/// at all; then none is missing.
pub fn missing_final_reads<C, R>(
    history: &[Operation<C, R>],
    is_read: impl Fn(&C) -> bool,
) -> Verdict {
    #[derive(Default)]
    struct Asked {
        is_answered: bool,
        /// Another client replaced it, because the outcome of its last request is unknown.
        is_replaced: bool,
        /// Its last final read.
        last_attempt: Option<usize>,
    }
    let mut clients: BTreeMap<(&Node, usize), Asked> = BTreeMap::new();
    for (index, operation) in history.iter().enumerate() {
        let client = (&operation.node, operation.client);
        let asked = clients.entry(client).or_default();
        asked.is_replaced =
            !operation.is_final && matches!(operation.outcome, Outcome::Indeterminate(_));
        if operation.is_final && is_read(&operation.call) {
            asked.is_answered |= operation.outcome.is_ok();
            asked.last_attempt = Some(index);
        }
    }
    let has_last_phase = history.iter().any(|operation| operation.is_final);
    let is_owed = |asked: &Asked| has_last_phase && !asked.is_answered && !asked.is_replaced;
    let owed = clients.iter().filter(|(_, asked)| is_owed(asked));
    let (tried, never_asked): (Vec<_>, Vec<_>) =
        owed.partition(|(_, asked)| asked.last_attempt.is_some());
    let mut verdict = Verdict::valid();
    verdict.fact("missing_final_reads", tried.len() + never_asked.len());
    if let [(_, first), ..] = &tried[..] {
        let (nodes, clients) = nodes_and_clients(tried.iter().map(|(client, _)| *client));
        let what = format!(
            "{nodes} never answered the final read of {clients} with a value: whether the final state there is right is \
             not known."
        );
        verdict.add(Finding::warning(what, first.last_attempt.as_slice()));
    }
    if !never_asked.is_empty() {
        let (nodes, clients) = nodes_and_clients(never_asked.iter().map(|(client, _)| *client));
        let what = format!(
            "{nodes} never got a final read from {clients}: whether the final state there is right is not known."
        );
        verdict.add(Finding::warning(what, []));
    }
    verdict
}

/// These clients and their nodes in words: `Nodes n0, n1` and `clients c3, c4, c5`.
fn nodes_and_clients<'a>(clients: impl Iterator<Item = &'a (&'a Node, usize)>) -> (String, String) {
    let (nodes, clients): (BTreeSet<&Node>, Vec<usize>) = clients.copied().unzip();
    (
        names("Node", nodes),
        names("client", clients.iter().map(|client| format!("c{client}"))),
    )
}

/// The clients of these operations, as `read of client c7` or `reads of clients c7 and 3 more`.
pub fn by_clients<C, R>(what: &str, operations: &[usize], history: &[Operation<C, R>]) -> String {
    let plural = if operations.len() == 1 { "" } else { "s" };
    let clients = operations.iter().map(|&index| history[index].client);
    let clients = names("client", clients.map(|client| format!("c{client}")));
    format!("{what}{plural} of {clients}")
}
