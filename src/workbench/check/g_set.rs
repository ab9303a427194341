//! The checker for `g-set`: every element reaches every node and stays there.

use super::{Elements, Verdict, set};
use crate::workbench::history::Operation;

/// A request of a client.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Add this element.
    Add(u64),
    /// Return all elements.
    Read,
}

/// A successful reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To an add.
    Added,
    /// To a read: the elements of the set.
    Elements(Elements),
}

/// Finds lost, duplicated and unexpected elements, and measures how long each took to reach all nodes.
pub fn check(history: &[Operation<Call, Answer>]) -> Verdict {
    let view = set::View {
        call: |call| match call {
            Call::Add(element) => set::Call::Add(*element),
            Call::Read => set::Call::Read,
        },
        elements: |answer| match answer {
            Answer::Added => None,
            Answer::Elements(elements) => Some(elements),
        },
    };
    set::check(history, &view)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workbench::check::testing::*;
    use crate::workbench::history::Outcome;

    fn history(elements: &[u32]) -> [Operation<Call, Answer>; 3] {
        let elements = serde_json::from_str(&json!(elements).to_string()).expect("a list");
        [
            operation(0, 0..1, Call::Add(1), Outcome::Ok(Answer::Added)),
            operation(0, 1..2, Call::Add(2), Outcome::Ok(Answer::Added)),
            finally(operation(
                0,
                9..10,
                Call::Read,
                Outcome::Ok(Answer::Elements(elements)),
            )),
        ]
    }

    #[test]
    fn accepts_a_right_set() {
        assert_valid(&check(&history(&[2, 1])));
    }

    #[test]
    fn catches_a_lost_and_a_doubled_element() {
        assert_invalid(&check(&history(&[1])), "2 was lost", &[1, 2]);
        assert_invalid(
            &check(&history(&[1, 2, 2])),
            "holds 2 more than once",
            &[1, 2],
        );
    }
}
