//! Finds values of one node that decrease although they must not.

use crate::workbench::history::Operation;

/// An operation, as an index into the history, and the value in its reply.
pub type Replied<T> = (usize, T);

/// Pairs of a value and a lower value of an operation that was invoked after the first had completed.
pub fn falls<C, R, T: Ord + Copy>(
    history: &[Operation<C, R>],
    mut by_invocation: Vec<Replied<T>>,
) -> Vec<(Replied<T>, Replied<T>)> {
    let mut by_completion = by_invocation.clone();
    by_completion.sort_by_key(|(index, _)| history[*index].completed_at);
    by_invocation.sort_by_key(|(index, _)| history[*index].invoked_at);
    let mut completed = by_completion.into_iter().peekable();
    let mut highest: Option<Replied<T>> = None;
    let mut falls = Vec::new();
    for (index, value) in by_invocation {
        let invoked_at = history[index].invoked_at;
        while let Some(earlier) =
            completed.next_if(|(earlier, _)| history[*earlier].completed_at < invoked_at)
        {
            if highest.is_none_or(|(_, before)| before < earlier.1) {
                highest = Some(earlier);
            }
        }
        if let Some(earlier) = highest.filter(|(_, before)| value < *before) {
            falls.push((earlier, (index, value)));
        }
    }
    falls
}
