//! Checks that every client got a reply to its final read.

use std::collections::BTreeMap;

use super::Finding;
use crate::workbench::history::{Node, Operation, Outcome};

/// A warning for each node that did not answer the final reads of all its clients with a value.
///
/// A node without an answered final read can't be shown to be right. Upstream checks only the final reads that were
/// answered. A node without clients is never read, and that is no fault. An imported history may have no final reads
/// at all; then none is missing.
pub fn missing_final_reads<C, R>(
    history: &[Operation<C, R>],
    is_read: impl Fn(&C) -> bool,
) -> Vec<Finding> {
    #[derive(Default)]
    struct Asked {
        is_answered: bool,
        /// Another client replaced it, because the outcome of its last request is unknown.
        is_replaced: bool,
        attempts: Vec<usize>,
    }
    if !history.iter().any(|operation| operation.is_final) {
        return Vec::new();
    }
    let mut clients: BTreeMap<(&Node, usize), Asked> = BTreeMap::new();
    for (index, operation) in history.iter().enumerate() {
        let client = (&operation.node, operation.client);
        let asked = clients.entry(client).or_default();
        asked.is_replaced =
            !operation.is_final && matches!(operation.outcome, Outcome::Indeterminate(_));
        if operation.is_final && is_read(&operation.call) {
            asked.is_answered |= operation.outcome.is_ok();
            asked.attempts.push(index);
        }
    }
    let is_owed = |asked: &Asked| !asked.is_answered && !asked.is_replaced;
    let owed = clients.into_iter().filter(|(_, asked)| is_owed(asked));
    let mut by_node: BTreeMap<&Node, Owed> = BTreeMap::new();
    for ((node, client), asked) in owed {
        let owed = by_node.entry(node).or_default();
        match asked.attempts.last() {
            Some(&attempt) => owed.attempts.push(attempt),
            None => owed.never_asked.push(client),
        }
    }
    let mut findings = Vec::new();
    for (node, owed) in by_node {
        if let [first, ..] = owed.attempts[..] {
            let clients = owed.attempts.iter().map(|&index| history[index].client);
            let clients = names(clients);
            let what = format!(
                "Node {node} never answered the final read of {clients} with a value: whether its final state is right \
                 is not known."
            );
            findings.push(Finding::warning(what, [first]));
        }
        if !owed.never_asked.is_empty() {
            let clients = names(owed.never_asked.into_iter());
            let what = format!(
                "Node {node} never got a final read from {clients}: whether its final state is right is not \
                 known."
            );
            findings.push(Finding::warning(what, []));
        }
    }
    findings
}

/// The final reads that a node did not answer.
#[derive(Default)]
struct Owed {
    /// For each client that sent a final read, its last attempt.
    attempts: Vec<usize>,
    /// The clients that sent no final read.
    never_asked: Vec<usize>,
}

/// The clients of these operations, as `read of client c7` or `reads of clients c7 and 3 more`.
pub fn by_clients<C, R>(what: &str, operations: &[usize], history: &[Operation<C, R>]) -> String {
    let plural = if operations.len() == 1 { "" } else { "s" };
    let clients = operations.iter().map(|&index| history[index].client);
    format!("{what}{plural} of {}", names(clients))
}

/// The maximum number of clients to list by name.
const NAMED_MAX: usize = 3;

fn names(clients: impl ExactSizeIterator<Item = usize>) -> String {
    let plural = if clients.len() == 1 { "" } else { "s" };
    let more = clients.len().saturating_sub(NAMED_MAX);
    let named: Vec<String> = clients
        .take(NAMED_MAX)
        .map(|client| format!("c{client}"))
        .collect();
    let named = named.join(", ");
    match more {
        0 => format!("client{plural} {named}"),
        more => format!("client{plural} {named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_clients_are_named_and_the_rest_is_counted() {
        assert_eq!(names([7].into_iter()), "client c7");
        assert_eq!(names([7, 8].into_iter()), "clients c7, c8");
        assert_eq!(
            names((1..6).collect::<Vec<_>>().into_iter()),
            "clients c1, c2, c3 and 2 more"
        );
    }
}
