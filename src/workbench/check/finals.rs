//! Whether every client got an answer to its final read.

use std::collections::BTreeMap;

use super::Finding;
use crate::workbench::history::{Operation, Outcome};

/// Clients that ran but got no answer to a final read, and nodes that were never asked for one, by node.
///
/// A node that can't be read in the end can't be shown to be right, so this is a fault.
pub fn missing_final_reads<C, R>(
    history: &[Operation<C, R>],
    is_read: impl Fn(&C) -> bool,
    node_count: usize,
) -> Vec<Finding> {
    #[derive(Default)]
    struct Asked {
        is_answered: bool,
        /// It could not learn what became of a request, and another client took its place.
        is_replaced: bool,
        attempts: Vec<usize>,
    }
    let mut nodes: BTreeMap<usize, BTreeMap<usize, Asked>> = (0..node_count)
        .map(|node| (node, BTreeMap::new()))
        .collect();
    for (index, operation) in history.iter().enumerate() {
        let clients = nodes.entry(operation.node).or_default();
        let asked = clients.entry(operation.client).or_default();
        asked.is_replaced =
            !operation.is_final && matches!(operation.outcome, Outcome::Indeterminate(_));
        if operation.is_final && is_read(&operation.call) {
            asked.is_answered |= operation.outcome.is_ok();
            asked.attempts.push(index);
        }
    }
    let mut findings = Vec::new();
    for (node, clients) in nodes {
        if clients.is_empty() {
            findings.push(Finding::invalid(
                format!("Node {node} was never asked for its final state."),
                [],
            ));
        }
        let is_owed = |asked: &Asked| !asked.is_answered && !asked.is_replaced;
        for (client, asked) in clients.into_iter().filter(|(_, asked)| is_owed(asked)) {
            let what = if asked.attempts.is_empty() {
                format!("Client {client} never asked node {node} for its final state.")
            } else {
                format!("Node {node} never told client {client} its final state.")
            };
            findings.push(Finding::invalid(what, asked.attempts));
        }
    }
    findings
}
