//! Short constructors for histories in tests, and assertions on verdicts.

use std::time::Duration;

use super::{Severity, Validity, Verdict};
use crate::workbench::history::{Node, Operation, Outcome};

/// An operation of `client` on the node of the same number, from the start to the end of `time` in milliseconds.
pub fn operation<C, R>(
    client: usize,
    time: std::ops::Range<u64>,
    call: C,
    outcome: Outcome<R>,
) -> Operation<C, R> {
    Operation {
        client,
        node: node(client),
        call,
        is_final: false,
        invoked_at: Duration::from_millis(time.start),
        completed_at: Duration::from_millis(time.end),
        outcome,
    }
}

/// The node with this number, which is also its name.
pub fn node(number: usize) -> Node {
    Node::new(number, &number.to_string())
}

/// The same operation in the final phase.
pub fn finally<C, R>(mut operation: Operation<C, R>) -> Operation<C, R> {
    operation.is_final = true;
    operation
}

/// The verdict of a checker that must decide.
pub fn validity(is_right: bool) -> Validity {
    match is_right {
        true => Validity::Valid,
        false => Validity::Invalid,
    }
}

/// A definite error.
pub fn failed<R>() -> Outcome<R> {
    Outcome::Failed("error 11: temporarily-unavailable".to_owned())
}

/// A timeout.
pub fn indeterminate<R>() -> Outcome<R> {
    Outcome::Indeterminate("timed out".to_owned())
}

/// Asserts that there are no findings.
#[track_caller]
pub fn assert_valid(verdict: &Verdict) {
    assert_eq!(verdict.validity, Validity::Valid, "{verdict:#?}");
    assert!(verdict.findings.is_empty(), "{verdict:#?}");
}

/// Asserts that there is a violation with these words about these operations.
#[track_caller]
pub fn assert_invalid(verdict: &Verdict, words: &str, operations: &[usize]) {
    assert_eq!(verdict.validity, Validity::Invalid, "{verdict:#?}");
    assert!(
        verdict.findings.iter().any(|finding| {
            finding.severity == Severity::Violation
                && finding.what.contains(words)
                && finding.operations == operations
        }),
        "no finding says {words:?} of {operations:?}: {verdict:#?}"
    );
}

/// Asserts that the history is valid, with exactly these warnings: the words and the operations of each.
#[track_caller]
pub fn assert_warned(verdict: &Verdict, warnings: &[(&str, &[usize])]) {
    assert_eq!(verdict.validity, Validity::Valid, "{verdict:#?}");
    assert_eq!(verdict.findings.len(), warnings.len(), "{verdict:#?}");
    for (finding, (words, operations)) in verdict.findings.iter().zip(warnings) {
        assert_eq!(finding.severity, Severity::Warning, "{verdict:#?}");
        assert!(finding.what.contains(words), "{words:?}: {verdict:#?}");
        assert_eq!(finding.operations, *operations, "{verdict:#?}");
    }
}
