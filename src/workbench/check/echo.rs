//! The checker for `echo`: each reply holds the payload of its request, and no request is refused.

use super::{Finding, Verdict};
use crate::workbench::history::{NOT_SENT, Operation, Outcome};
use crate::workbench::json::Json;

/// The payload of a request: any JSON value.
#[derive(Clone, Debug, PartialEq)]
pub struct Call(pub Json);

/// The payload of a reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer(pub Json);

/// Checks that every reply equals its request as a JSON value: the order of an object's keys does not matter. As upstream, a
/// definite error is no echo either, and an unknown outcome shows nothing.
pub fn check(history: &[Operation<Call, Answer>]) -> Verdict {
    let mut verdict = Verdict::valid();
    let (mut altered, mut refused) = (Vec::new(), Vec::new());
    for (index, operation) in history.iter().enumerate() {
        let Call(sent) = &operation.call;
        let asked = || {
            format!(
                "Client c{} sent {sent} to node {}",
                operation.client, operation.node
            )
        };
        match &operation.outcome {
            Outcome::Ok(Answer(answer)) if answer != sent => {
                let what = format!("{} and got back {answer}.", asked());
                altered.push(Finding::violation(what, [index]));
            }
            Outcome::Failed(why) if !why.starts_with(NOT_SENT) => {
                let what = format!("{}, which refused it: {why}.", asked());
                refused.push(Finding::violation(what, [index]));
            }
            _ => {}
        }
    }
    verdict.add_all("altered", altered);
    verdict.add_all("refused", refused);
    verdict
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workbench::check::testing::*;

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
        ]));
    }

    #[test]
    fn catches_a_request_that_was_refused() {
        let refused = operation(2, 0..1, Call(json!("a").into()), failed());
        assert_invalid(
            &check(&[refused]),
            "Client c2 sent \"a\" to node 2, which refused it: ",
            &[0],
        );
        let unsent = Outcome::Failed(format!("{NOT_SENT}: can't connect"));
        assert_valid(&check(&[operation(
            2,
            0..1,
            Call(json!("a").into()),
            unsent,
        )]));
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
