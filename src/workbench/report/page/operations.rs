//! Selects the operations of the page: all of a run, or as many as a browser opens at once.

use std::ops::Range;

use serde::Serialize;

use super::Names;
use crate::workbench::history::{Operation, Outcome};
use crate::workbench::words;
use crate::workbench::workload::Workload;

/// The approximate maximum number of operations on the page.
const OPERATIONS_MAX: usize = 100_000;

/// Operations, column by column: a browser reads that several times faster than a list of objects.
#[derive(Default, Serialize)]
pub(super) struct OperationColumns {
    /// The number of operations in the run.
    total: usize,
    /// The page has at least every operation of the run whose index is a multiple of this.
    stride: usize,
    kinds: Vec<String>,
    index: Vec<usize>,
    client: Vec<usize>,
    /// The number of the client's request, which is its `msg_id`.
    msg_id: Vec<u32>,
    node: Vec<usize>,
    kind: Vec<usize>,
    invoked_us: Vec<u64>,
    took_us: Vec<u64>,
    /// 0: ok, 1: failed, 2: indeterminate.
    outcome: Vec<u8>,
    is_final: Vec<u8>,
    call: Vec<String>,
    answer: Vec<String>,
}

impl OperationColumns {
    /// Selects the evidence, the operations under way during the selected messages, and a regular sample of the
    /// others.
    pub(super) fn new<W: Workload>(
        history: &[Operation<W::Call, W::Answer>],
        evidence: &[usize],
        message_times_us: &[Range<i64>],
    ) -> Self {
        let stride = history.len().div_ceil(OPERATIONS_MAX / 2);
        let stride = if history.len() <= OPERATIONS_MAX {
            1
        } else {
            stride
        };
        let mut columns = OperationColumns {
            total: history.len(),
            stride,
            ..OperationColumns::default()
        };
        let mut kinds = Names::default();
        let mut last_msg_ids: std::collections::HashMap<usize, u32> = Default::default();
        let mut room = OPERATIONS_MAX;
        for (index, operation) in history.iter().enumerate() {
            let msg_id = last_msg_ids.entry(operation.client).or_default();
            *msg_id += 1;
            let is_chosen = index.is_multiple_of(stride)
                || evidence.contains(&index)
                || (room > OPERATIONS_MAX / 2 && is_within(operation, message_times_us));
            if is_chosen {
                room = room.saturating_sub(usize::from(!index.is_multiple_of(stride)));
                columns.push::<W>(index, operation, *msg_id, &mut kinds);
            }
        }
        columns.kinds = kinds.into_list();
        columns
    }

    fn push<W: Workload>(
        &mut self,
        index: usize,
        operation: &Operation<W::Call, W::Answer>,
        msg_id: u32,
        kinds: &mut Names,
    ) {
        let took = operation.completed_at - operation.invoked_at;
        self.index.push(index);
        self.client.push(operation.client);
        self.msg_id.push(msg_id);
        self.node.push(operation.node.index());
        self.kind
            .push(kinds.number(W::request_kind(&operation.call)));
        self.invoked_us
            .push(operation.invoked_at.as_micros() as u64);
        self.took_us.push(took.as_micros() as u64);
        self.outcome.push(match operation.outcome {
            Outcome::Ok(_) => 0,
            Outcome::Failed(_) => 1,
            Outcome::Indeterminate(_) => 2,
        });
        self.is_final.push(u8::from(operation.is_final));
        self.call.push(words::call::<W>(&operation.call));
        self.answer.push(words::outcome::<W>(operation));
    }
}

fn is_within<C, A>(operation: &Operation<C, A>, times_us: &[Range<i64>]) -> bool {
    let invoked_us = operation.invoked_at.as_micros() as i64;
    let after = times_us.partition_point(|time_us| time_us.end <= invoked_us);
    times_us
        .get(after)
        .is_some_and(|time_us| time_us.contains(&invoked_us))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::check::counter::{Answer, Call};
    use crate::workbench::check::testing::operation;
    use crate::workbench::workload::GCounter;

    fn history(count: usize) -> Vec<Operation<Call, Answer>> {
        let read = |index| {
            let begin_ms = index as u64;
            operation(
                7,
                begin_ms..begin_ms + 1,
                Call::Read,
                Outcome::Ok(Answer::Value(0)),
            )
        };
        (0..count).map(read).collect()
    }

    #[test]
    fn a_run_that_fits_is_there_to_the_last_operation() {
        let columns = OperationColumns::new::<GCounter>(&history(1000), &[], &[]);
        assert_eq!((columns.total, columns.stride), (1000, 1));
        assert!(columns.index.iter().copied().eq(0..1000));
        assert_eq!(columns.msg_id[999], 1000);
    }

    #[test]
    fn of_a_long_run_the_proof_the_neighbours_of_messages_and_a_sample_are_there() {
        let history = history(10 * OPERATIONS_MAX);
        // The 20,001 milliseconds from 500 s on.
        let stretch_us = 500_000_000..520_000_001;
        let columns = OperationColumns::new::<GCounter>(&history, &[77], &[stretch_us]);
        assert_eq!(columns.stride, 20);
        assert!(columns.index.contains(&77));
        let has = |index: &usize| columns.index.binary_search(index).is_ok();
        assert!((500_000..=520_000).all(|index| has(&index)));
        assert!((0..history.len()).step_by(20).all(|index| has(&index)));
        assert!(columns.index.len() <= OPERATIONS_MAX);
        let place = columns.index.binary_search(&500_001).expect("it is there");
        assert_eq!(
            columns.msg_id[place], 500_002,
            "it is counted among all of its client"
        );
    }

    #[test]
    fn messages_of_a_whole_long_run_do_not_make_the_page_hold_all_of_it() {
        let history = history(10 * OPERATIONS_MAX);
        let everything = 0..i64::MAX;
        let columns = OperationColumns::new::<GCounter>(&history, &[], &[everything]);
        assert!(columns.index.len() <= OPERATIONS_MAX);
    }
}
