use std::ops::Range;

use serde_json::json;

use super::*;
use crate::workbench::check::Validity;
use crate::workbench::check::testing::*;
use crate::workbench::history::Outcome;

fn add(client: usize, time: Range<u64>, element: u64) -> Operation<Call, Answer> {
    operation(client, time, Call::Add(element), Outcome::Ok(Answer::Added))
}

fn read(client: usize, time: Range<u64>, elements: &[u32]) -> Operation<Call, Answer> {
    let elements = serde_json::from_str(&json!(elements).to_string()).expect("a list");
    operation(
        client,
        time,
        Call::Read,
        Outcome::Ok(Answer::Elements(elements)),
    )
}

/// Elements 1 and 2 are added, element 2 takes until 50 ms to reach node 0, and then come these final reads.
fn with_final_reads(of_0: &[u32], of_1: &[u32]) -> Vec<Operation<Call, Answer>> {
    vec![
        add(0, 0..1, 1),
        add(1, 1..2, 2),
        read(0, 49..50, &[1]),
        finally(read(0, 90..91, of_0)),
        finally(read(1, 92..93, of_1)),
    ]
}

#[test]
fn accepts_late_elements_and_measures_how_late() {
    let verdict = check(&with_final_reads(&[1, 2], &[2, 1]));
    assert_valid(&verdict);
    let latencies = json!({"0": 0, "0.5": 47, "0.95": 47, "0.99": 47, "1": 47});
    assert_eq!(verdict.facts["stable_latencies_ms"], latencies);
    assert_eq!(
        verdict.facts["worst_stale"],
        json!([{"element": 2, "latency_ms": 47}])
    );
    assert_eq!(
        (&verdict.facts["attempts"], &verdict.facts["stable"]),
        (&json!(2), &json!(2))
    );
}

#[test]
fn catches_a_lost_element() {
    assert_invalid(
        &check(&with_final_reads(&[1], &[1])),
        "2 was lost: it was acknowledged",
        &[1, 4],
    );
    let mut history = with_final_reads(&[1], &[1]);
    history[2] = read(0, 49..50, &[1, 2]);
    assert_invalid(
        &check(&history),
        "2 was lost: a read of node 0 returned it, and a later one no longer did",
        &[1, 2, 3],
    );
}

#[test]
fn an_element_that_no_read_of_a_node_returned_is_not_reported_as_gone_from_it() {
    let mut history = with_final_reads(&[1, 2], &[1]);
    history[4].invoked_at = history[3].invoked_at;
    let verdict = check(&history);
    assert_invalid(
        &verdict,
        "The final read of node 1 lacks 2, which a read of node 0 returned.",
        &[1, 3, 4],
    );
    assert_eq!(verdict.facts["lost"], 1, "by upstream's measure it is");
    for read in &mut history[3..] {
        read.is_final = false;
    }
    let words = "The last read of node 1 lacks 2, which a read of node 0 returned.";
    assert_invalid(&check(&history), words, &[1, 3, 4]);
}

#[test]
fn catches_an_element_that_one_node_lacks_in_the_end() {
    let verdict = check(&with_final_reads(&[1], &[1, 2]));
    assert_invalid(
        &verdict,
        "The final read of node 0 lacks 2, which a read of node 1 returned.",
        &[1, 3, 4],
    );
    assert_eq!(
        verdict.facts["lost"], 0,
        "upstream's measure does not see it"
    );
    let mut history = with_final_reads(&[1], &[1, 2]);
    history[4].node = node(0);
    assert_invalid(
        &check(&history),
        "The final read of node 0 lacks 2, which another read of that node returned.",
        &[1, 3, 4],
    );
}

#[test]
fn warns_of_an_element_that_a_read_returned_twice() {
    let warning = "holds 1 more than once";
    let verdict = check(&with_final_reads(&[1, 2], &[1, 2, 1]));
    assert_warned(&verdict, &[(warning, &[0, 4])]);
}

#[test]
fn catches_a_element_that_nobody_added() {
    assert_invalid(
        &check(&with_final_reads(&[1, 2, 3], &[1, 2])),
        "3, which nobody ever sent",
        &[3],
    );
    let mut history = with_final_reads(&[1, 2], &[1, 2]);
    history[2] = read(0, 0..0, &[2]);
    assert_invalid(&check(&history), "2, before anybody sent that", &[1, 2]);
    history[1].outcome = failed();
    assert_invalid(&check(&history), "2, which it had refused", &[1, 4]);
}

#[test]
fn numbers_that_come_back_as_strings_are_called_that_before_they_are_called_lost() {
    let strings = |reply: &str| {
        let mut history = with_final_reads(&[], &[]);
        let elements = serde_json::from_str(reply).expect("a list");
        history[3].outcome = Outcome::Ok(Answer::Elements(elements));
        check(&history)
    };
    let verdict = strings(r#"["2", "1"]"#);
    let words = r#"Node 0 answered client c0 with the string "2" where the number 2 was sent."#;
    assert_invalid(&verdict, words, &[1, 3]);
    assert_eq!(verdict.findings[0].what, words);
    let counts = ["strings_for_numbers", "never_added", "lost"].map(|fact| &verdict.facts[fact]);
    assert_eq!(counts, [1, 0, 2]);
    let of_none = strings(r#"["3", "x"]"#);
    for value in [r#""3""#, r#""x""#] {
        assert_invalid(&of_none, &format!("{value}, which nobody ever sent"), &[3]);
    }
}

#[test]
fn only_where_no_element_was_ever_read_there_is_nothing_to_check() {
    let is_said = |verdict: &Verdict| {
        let mut findings = verdict.findings.iter();
        findings.any(|finding| finding.what.contains("nothing to check"))
    };
    let all_lost = check(&with_final_reads(&[], &[]));
    assert_eq!(all_lost.facts["lost"], 2);
    assert!(!is_said(&all_lost), "{all_lost:#?}");
    let never_read = check(&[add(0, 0..1, 1)]);
    assert!(is_said(&never_read), "{never_read:#?}");
}

#[test]
fn an_element_of_unknown_outcome_may_be_missing_until_it_was_seen() {
    let mut history = with_final_reads(&[1], &[1]);
    history[1].outcome = indeterminate();
    let verdict = check(&history);
    assert_valid(&verdict);
    assert_eq!(verdict.facts["never_read"], 1);
    history[2] = read(0, 49..50, &[1, 2]);
    assert_invalid(&check(&history), "2 was lost", &[1, 2, 3]);
}

#[test]
fn a_read_during_the_add_may_miss_it() {
    let history = [
        add(0, 0..50, 1),
        read(0, 10..60, &[]),
        finally(read(0, 90..91, &[1])),
    ];
    let verdict = check(&history);
    assert_valid(&verdict);
    assert_eq!(verdict.facts["stale"], 0);
}

#[test]
fn an_element_that_only_concurrent_reads_missed_is_not_lost() {
    let history = [add(0, 0..50, 1), read(0, 10..60, &[])];
    let verdict = check(&history);
    assert_eq!(
        (&verdict.facts["lost"], &verdict.facts["never_read"]),
        (&json!(0), &json!(1))
    );
}

#[test]
fn a_read_that_ended_before_the_add_began_is_no_evidence_about_it() {
    let history = [read(0, 0..100, &[1]), read(1, 5..6, &[]), add(1, 10..11, 1)];
    assert_eq!(check(&history).facts["stable"], 1);
}

#[test]
fn warns_of_a_missing_final_read() {
    let mut history = with_final_reads(&[1, 2], &[1, 2]);
    history[3].outcome = indeterminate();
    let warning = "Node 0 never answered the final read of client c0 with a value";
    assert_warned(&check(&history), &[(warning, &[3])]);
}

#[test]
fn a_run_without_elements_is_unknown() {
    let history = [finally(read(0, 0..1, &[]))];
    assert_eq!(check(&history).validity, Validity::Unknown);
}
