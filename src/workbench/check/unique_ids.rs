//! The checker for `unique-ids`: no id is generated twice.

use std::collections::HashMap;

use super::{Finding, Verdict};
use crate::workbench::history::Operation;
use crate::workbench::json::Json;

/// A request for an id.
#[derive(Clone, Debug, PartialEq)]
pub struct Call;

/// An id: any JSON value.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer(pub Json);

/// Checks that no two replies hold equal ids, compared as JSON values.
pub fn check(history: &[Operation<Call, Answer>]) -> Verdict {
    let mut verdict = Verdict::valid();
    let mut holders: HashMap<&Json, Vec<usize>> = HashMap::new();
    for (index, operation) in history.iter().enumerate() {
        if let Some(Answer(id)) = operation.outcome.answer() {
            holders.entry(id).or_default().push(index);
        }
    }
    verdict.fact("attempted", history.len());
    verdict.fact(
        "acknowledged",
        holders.values().map(Vec::len).sum::<usize>(),
    );
    let mut reused: Vec<_> = holders
        .into_iter()
        .filter(|(_, given)| given.len() > 1)
        .collect();
    reused.sort_by_key(|(_, given)| given[1]);
    let findings = reused.into_iter().map(|(id, given)| {
        let (first, second) = (&history[given[0]], &history[given[1]]);
        let what = format!(
            "The id {id} was given out {} times: first by node {}, then by node {}.",
            given.len(),
            first.node,
            second.node
        );
        Finding::violation(what, &given[..2])
    });
    verdict.add_all("duplicated", findings.collect());
    verdict
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::workbench::check::testing::*;
    use crate::workbench::history::Outcome;

    fn generate(client: usize, at: u64, id: Value) -> Operation<Call, Answer> {
        operation(client, at..at + 1, Call, Outcome::Ok(Answer(id.into())))
    }

    #[test]
    fn accepts_ids_of_every_type() {
        let ids = [
            json!(1),
            json!("1"),
            json!([1]),
            json!({"a": 1}),
            json!(null),
            json!(true),
            json!(1.5),
        ];
        let mut history: Vec<_> = (0..).zip(ids).map(|(at, id)| generate(0, at, id)).collect();
        history.push(operation(1, 0..5, Call, indeterminate()));
        history.push(operation(1, 5..9, Call, indeterminate()));
        let verdict = check(&history);
        assert_valid(&verdict);
        assert_eq!(
            (&verdict.facts["attempted"], &verdict.facts["acknowledged"]),
            (&json!(9), &json!(7))
        );
    }

    #[test]
    fn catches_a_reused_id() {
        let history = [
            generate(0, 0, json!(["n0", 1])),
            generate(1, 0, json!(["n1", 1])),
            generate(2, 3, json!(["n0", 1])),
            generate(1, 9, json!(["n0", 1])),
        ];
        let verdict = check(&history);
        assert_invalid(
            &verdict,
            "[\"n0\",1] was given out 3 times: first by node 0, then by node 2",
            &[0, 2],
        );
        assert_eq!(verdict.facts["duplicated"], 1);
    }

    #[test]
    fn ids_that_are_equal_only_as_doubles_are_different() {
        let id = |at, text| {
            let id = serde_json::from_str(text).expect("JSON");
            operation(0, at..at + 1, Call, Outcome::Ok(Answer(id)))
        };
        assert_valid(&check(&[
            id(0, "9007199254740992"),
            id(1, "9007199254740993"),
            id(2, "1180591620717411303424"),
            id(3, "1180591620717411303425"),
            id(4, "1"),
            id(5, "1.0"),
        ]));
        let verdict = check(&[
            id(0, "1180591620717411303425"),
            id(1, "1180591620717411303425"),
        ]);
        assert_invalid(&verdict, "The id 1180591620717411303425 was given", &[0, 1]);
    }

    #[test]
    fn the_order_of_keys_makes_no_new_id() {
        let parse = |text| serde_json::from_str::<Value>(text).unwrap();
        let history = [
            generate(0, 0, parse(r#"{"node": "n0", "count": 1}"#)),
            generate(1, 0, parse(r#"{"count": 1, "node": "n0"}"#)),
        ];
        assert_invalid(&check(&history), "2 times", &[0, 1]);
    }
}
