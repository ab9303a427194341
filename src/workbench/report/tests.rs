use std::time::Duration;

use super::*;
use crate::workbench::check::testing::{failed, finally, operation};
use crate::workbench::check::{FINDINGS_SHOWN_MAX, echo, set};
use crate::workbench::history::{Node, Outcome};
use crate::workbench::store::MESSAGES;
use crate::workbench::workload::{Echo, GSet};

/// The report on a run with these operations. `is_cut_short` is whether it was interrupted after them.
fn report<W: Workload>(
    workload: W,
    history: Vec<Operation<W::Call, W::Answer>>,
    is_cut_short: bool,
) -> Report {
    let cut_short_at = is_cut_short.then_some(Duration::from_secs(1));
    let interruption = is_cut_short.then(|| Finding::undecided("interrupted", []));
    let record = Record {
        findings: Vec::from_iter(interruption),
        cut_short_at,
        interrupted_at: cut_short_at,
        is_interrupted: is_cut_short,
        ..Record::of_history(workload, history)
    };
    Report::of(&record, None, Demands::default(), Invocation::default())
}

#[test]
fn a_run_that_was_cut_short_shows_what_no_later_answer_can_mend() {
    let echo = |answered: u64| {
        let answer = Outcome::Ok(echo::Answer(serde_json::json!(answered).into()));
        let call = echo::Call(serde_json::json!(1).into());
        report(Echo, vec![operation(0, 0..1, call, answer)], true)
    };
    assert_eq!(echo(1).validity(), Validity::Unknown);
    let report = echo(2);
    assert_eq!(report.validity(), Validity::Invalid);
    assert_eq!(report.evidence().collect::<Vec<_>>(), [0]);
}

#[test]
fn what_had_not_spread_when_a_run_was_cut_short_is_not_lost() {
    let added = Outcome::Ok(set::Answer::Added);
    let nothing = Outcome::Ok(set::Answer::Elements(
        serde_json::from_str("[]").expect("a list"),
    ));
    let history = vec![
        operation(0, 0..1, set::Call::Add(1), added),
        operation(1, 2..3, set::Call::Read, nothing),
    ];
    let report = report(GSet::default(), history, true);
    assert_eq!(report.validity(), Validity::Unknown);
    assert_eq!(report.findings.len(), 1);
}

#[test]
fn warnings_that_are_not_shown_are_counted() {
    let added = Outcome::Ok(set::Answer::Added);
    let mut history = vec![operation(0, 0..1, set::Call::Add(1), added)];
    history.extend((0..5).map(|client| {
        let twice = serde_json::from_str("[1, 1]").expect("a list");
        let answer = Outcome::Ok(set::Answer::Elements(twice));
        finally(operation(client, 2..3, set::Call::Read, answer))
    }));
    let report = report(GSet::default(), history, false);
    assert_eq!(report.warnings.len(), FINDINGS_SHOWN_MAX + 1);
    assert_eq!(report.warning_count(), 5);
    let stored = serde_json::to_string(&report).expect("JSON");
    let report: Report = serde_json::from_str(&stored).expect("a report");
    assert_eq!(report.warning_count(), 5);
}

#[test]
fn what_needs_a_file_that_is_not_whole_is_left_out() {
    let lines = [
        "stored in",
        "page",
        "eddy show 'my store/1' --operation",
        "eddy show 'my store/1' --messages",
    ];
    for (broken, left_out) in [
        (&[][..], &[][..]),
        (&["n0.log"], &[]),
        (&["report.html"], &["page"]),
        (&["history.jsonl"], &["eddy show 'my store/1' --operation"]),
        (&["log.txt"], &["eddy show 'my store/1' --operation"]),
        (&[MESSAGES], &lines[2..]),
        (&["results.json"], &["eddy show 'my store/1' --operation"]),
        (&["results.json", "report.html", MESSAGES], &lines[1..]),
    ] {
        let add = operation(0, 0..1, set::Call::Add(1), Outcome::Ok(set::Answer::Added));
        let mut report = report(GSet::default(), vec![add], false);
        report.set_store(Path::new("my store/1"));
        report.broken_files = broken.iter().copied().map(String::from).collect();
        let printed = report.to_string();
        for line in lines {
            let is_printed = printed
                .lines()
                .any(|other| other.trim_start().starts_with(line));
            assert_eq!(
                is_printed,
                !left_out.contains(&line),
                "{broken:?}: {printed}"
            );
        }
    }
}

#[test]
fn a_valid_run_in_which_less_than_half_succeeded_is_called_that() {
    let echo = |outcome| operation(0, 0..1, echo::Call(serde_json::json!(1).into()), outcome);
    let ok = || echo(Outcome::Ok(echo::Answer(serde_json::json!(1).into())));
    let open = || echo(Outcome::Indeterminate(String::from("timeout")));
    for (history, expected) in [
        (
            vec![ok(), open()],
            "valid: nothing is wrong with this run\n",
        ),
        (
            vec![ok(), open(), open()],
            "valid: no answer is wrong, but only 1 of 3 operations succeeded\n",
        ),
    ] {
        let printed = report(Echo, history, false).to_string();
        assert!(printed.starts_with(expected), "{printed}");
    }
}

#[test]
fn each_type_of_operation_that_succeeded_has_a_line_for_its_latency_if_there_are_several() {
    let add = || {
        let added = Outcome::Ok(set::Answer::Added);
        operation(0, 0..7, set::Call::Add(1), added)
    };
    let read = |outcome| finally(operation(0, 8..11, set::Call::Read, outcome));
    let elements = serde_json::from_str("[1]").expect("a list");
    let succeeded = read(Outcome::Ok(set::Answer::Elements(elements)));
    let each_line = |kind, ms: u64| {
        format!("\n  {kind:<9} p50 {ms}.00 ms, p95 {ms}.00 ms, p99 {ms}.00 ms, max {ms}.00 ms")
    };
    let lines = each_line("add", 7) + &each_line("read", 3) + "\n";
    for (history, expected) in [
        (vec![add(), succeeded], true),
        (vec![add(), read(failed())], false),
    ] {
        let printed = report(GSet::default(), history, false).to_string();
        assert_eq!(printed.contains(&lines), expected, "{printed}");
        assert_eq!(printed.contains("\n  add "), expected, "{printed}");
    }
}

#[test]
fn quantiles_are_of_those_that_succeeded() {
    let operation = |latency_ms: u64, outcome| Operation {
        client: 0,
        node: Node::new(0, "n0"),
        call: (),
        is_final: false,
        invoked_at: Duration::from_secs(1),
        completed_at: Duration::from_secs(1) + Duration::from_millis(latency_ms),
        outcome,
    };
    let mut history: Vec<Operation<(), ()>> = (1..=200)
        .map(|latency_ms| operation(latency_ms, Outcome::Ok(())))
        .collect();
    history.push(operation(5000, Outcome::Indeterminate(String::new())));
    let quantiles = Quantiles::of(&mut figures::latencies(&history));
    let Quantiles { p50, p95, p99, max } = quantiles.expect("operations that succeeded");
    let rounded = [p50, p95, p99, max].map(|quantile| quantile.round() as u64);
    assert_eq!(rounded, [100, 190, 198, 200]);
    assert_eq!(Quantiles::of(&mut []), None);
}
