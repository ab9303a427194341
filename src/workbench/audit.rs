//! What is asked of every run, whatever the workload.

use std::collections::BTreeMap;

use super::check::Finding;
use super::history::{Operation, Outcome};
use super::workload::Workload;

/// What became of operations.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Counts {
    /// They happened.
    pub ok: usize,
    /// They never will.
    pub failed: usize,
    /// They may have happened.
    pub indeterminate: usize,
}

impl Counts {
    /// All of them.
    pub fn total(&self) -> usize {
        self.ok + self.failed + self.indeterminate
    }

    /// Counts the operations of each type.
    pub fn by_kind<W: Workload>(
        history: &[Operation<W::Call, W::Answer>],
    ) -> BTreeMap<&'static str, Counts> {
        let mut by_kind: BTreeMap<_, Counts> = BTreeMap::new();
        for operation in history {
            let counts = by_kind.entry(W::request_kind(&operation.call)).or_default();
            let count = match &operation.outcome {
                Outcome::Ok(answer) if W::is_success(answer) => &mut counts.ok,
                Outcome::Ok(_) | Outcome::Failed(_) => &mut counts.failed,
                Outcome::Indeterminate(_) => &mut counts.indeterminate,
            };
            *count += 1;
        }
        by_kind
    }

    /// The sum of several.
    pub fn sum<'a>(counts: impl Iterator<Item = &'a Counts>) -> Counts {
        counts.fold(Counts::default(), |sum, counts| Counts {
            ok: sum.ok + counts.ok,
            failed: sum.failed + counts.failed,
            indeterminate: sum.indeterminate + counts.indeterminate,
        })
    }
}

/// Types of operation of which none succeeded: a node that refuses everything breaks no other rule.
pub fn never_succeeded(by_kind: &BTreeMap<&'static str, Counts>) -> Vec<Finding> {
    let hopeless = by_kind.iter().filter(|(_, counts)| counts.ok == 0);
    let findings = hopeless.map(|(kind, counts)| {
        let what = match counts.total() {
            1 => format!("the only {kind} did not succeed."),
            total => format!("not one of {total} operations of type {kind} succeeded."),
        };
        Finding::invalid(what, [])
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(ok: usize, failed: usize) -> Counts {
        Counts {
            ok,
            failed,
            indeterminate: 0,
        }
    }

    #[test]
    fn a_type_that_never_succeeds_is_found() {
        let by_kind = BTreeMap::from([("add", counts(1, 1)), ("read", counts(0, 2))]);
        let findings = never_succeeded(&by_kind);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].what.contains("read"));
    }
}
