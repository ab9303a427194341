//! The checker for `echo`: each reply holds the payload of its request.

use super::{Finding, Verdict};
use crate::workbench::history::Operation;
use crate::workbench::json::Json;

/// The payload of a request: any JSON value.
#[derive(Clone, Debug, PartialEq)]
pub struct Call(pub Json);

/// The payload of a reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer(pub Json);

/// Checks that every reply equals its request as a JSON value: the order of an object's keys does not matter.
pub fn check(history: &[Operation<Call, Answer>]) -> Verdict {
    let mut verdict = Verdict::valid();
    let mut altered = Vec::new();
    for (index, operation) in history.iter().enumerate() {
        let Some(Answer(answer)) = operation.outcome.answer() else {
            continue;
        };
        let Call(sent) = &operation.call;
        if answer != sent {
            let what = format!(
                "Client c{} sent {sent} to node {} and got back {answer}.",
                operation.client, operation.node
            );
            altered.push(Finding::violation(what, [index]));
        }
    }
    verdict.add_all("altered", altered);
    verdict
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workbench::check::testing::*;
    use crate::workbench::history::Outcome;

    #[test]
    fn accepts_what_was_sent_and_what_got_no_answer() {
        let same = json!({"a": [1, null, "\u{1F300}"], "b": 1.5});
        assert_valid(&check(&[
            operation(
                0,
                0..1,
                Call(same.clone().into()),
                Outcome::Ok(Answer(same.into())),
            ),
            operation(1, 0..1, Call(json!("lost").into()), indeterminate()),
            operation(2, 0..1, Call(json!("refused").into()), failed()),
        ]));
    }

    #[test]
    fn catches_an_altered_answer() {
        let history = [
            operation(
                0,
                0..1,
                Call(json!("a").into()),
                Outcome::Ok(Answer(json!("a").into())),
            ),
            operation(
                0,
                1..2,
                Call(json!(7).into()),
                Outcome::Ok(Answer(json!("7").into())),
            ),
        ];
        assert_invalid(
            &check(&history),
            "sent 7 to node 0 and got back \"7\"",
            &[1],
        );
    }

    #[test]
    fn shows_a_few_of_many_and_counts_them_all() {
        let history = vec![
            operation(
                0,
                0..1,
                Call(json!(1).into()),
                Outcome::Ok(Answer(json!(2).into()))
            );
            100
        ];
        let verdict = check(&history);
        assert_eq!(verdict.facts["altered"], 100);
        assert_eq!(verdict.findings.len(), super::super::FINDINGS_SHOWN_MAX + 1);
        assert_invalid(&verdict, "97 more", &[]);
    }
}
