//! Whether every client got an answer to its final read.

use std::collections::BTreeMap;

use super::Finding;
use crate::workbench::history::{Node, Operation, Outcome};

/// Clients that ran but got no answer to a final read, by node.
///
/// A node that can't be read in the end can't be shown to be right, so this is a fault. A node that no client works with
/// is never asked anything, which is no fault of its own.
pub fn missing_final_reads<C, R>(
    history: &[Operation<C, R>],
    is_read: impl Fn(&C) -> bool,
) -> Vec<Finding> {
    #[derive(Default)]
    struct Asked {
        is_answered: bool,
        /// It could not learn what became of a request, and another client took its place.
        is_replaced: bool,
        attempts: Vec<usize>,
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
    let findings = owed.map(|((node, client), asked)| {
        let what = if asked.attempts.is_empty() {
            format!("Client {client} never asked node {node} for its final state.")
        } else {
            format!("Node {node} never told client {client} its final state.")
        };
        Finding::invalid(what, asked.attempts)
    });
    findings.collect()
}
