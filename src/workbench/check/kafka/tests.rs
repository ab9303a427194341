//! Correct logs, and each kind of fault.

use std::ops::Range;

use serde_json::json;

use super::*;
use crate::workbench::check::Subject;
use crate::workbench::check::testing::*;
use crate::workbench::history::Outcome;

type LogOperation = Operation<Call, Answer>;

fn send(client: usize, time: Range<u64>, message: u32, offset: i64) -> LogOperation {
    let call = Call::Send {
        key: "k".into(),
        message: json!(message).into(),
    };
    operation(client, time, call, Outcome::Ok(Answer::Sent(offset)))
}

fn poll(client: usize, time: Range<u64>, from: i64, messages: &[(i64, u32)]) -> LogOperation {
    let call = Call::Poll(BTreeMap::from([("k".into(), from)]));
    let reply = serde_json::value::to_raw_value(&json!({"k": messages})).expect("JSON");
    let messages = AllMessages::default().read(&reply).expect("pairs");
    operation(client, time, call, Outcome::Ok(Answer::Messages(messages)))
}

fn commit(client: usize, time: Range<u64>, offset: i64) -> LogOperation {
    let call = Call::CommitOffsets(BTreeMap::from([("k".into(), offset)]));
    operation(client, time, call, Outcome::Ok(Answer::Committed))
}

fn committed(client: usize, time: Range<u64>, offset: i64) -> LogOperation {
    let answer = Answer::Offsets(BTreeMap::from([("k".into(), offset)]));
    operation(
        client,
        time,
        Call::ListCommittedOffsets(vec!["k".into()]),
        Outcome::Ok(answer),
    )
}

/// Messages 10, 11 and 12 at the offsets 0, 1 and 3, with a gap.
fn log() -> Vec<LogOperation> {
    vec![
        send(0, 0..1, 10, 0),
        send(0, 2..3, 11, 1),
        send(1, 4..5, 12, 3),
    ]
}

fn log_and(operations: impl IntoIterator<Item = LogOperation>) -> Verdict {
    let mut history = log();
    history.extend(operations);
    check(&history)
}

#[test]
fn accepts_logs_with_gaps_read_in_order() {
    let verdict = log_and([
        poll(0, 6..7, 0, &[(0, 10), (1, 11)]),
        commit(0, 8..9, 1),
        committed(1, 10..11, 1),
        poll(1, 12..13, 2, &[(3, 12)]),
        commit(1, 14..15, 3),
        committed(1, 16..17, 3),
        send(1, 18..19, 13, 4),
    ]);
    assert_valid(&verdict);
    assert_eq!(verdict.facts["unobserved"], 1);
}

#[test]
fn catches_a_lost_write() {
    let verdict = log_and([poll(0, 6..7, 0, &[(0, 10), (3, 12)])]);
    assert_invalid(
        &verdict,
        "Message 11 at offset 1 of log \"k\" was lost: offset 3 was polled",
        &[1, 3],
    );
    let subject = Subject::Log {
        key: String::from("k"),
        offset: 1,
    };
    assert_eq!(verdict.findings[0].subject, Some(subject));
    assert_eq!(
        log_and([poll(0, 6..7, 0, &[(0, 10)])]).facts["unobserved"],
        2
    );
}

#[test]
fn catches_what_the_last_polls_do_not_return() {
    let last = |messages: &[(i64, u32)]| {
        let mut last = poll(0, 6..7, 0, messages);
        last.is_final = true;
        last
    };
    let verdict = log_and([last(&[(0, 10), (1, 11)])]);
    assert_invalid(
        &verdict,
        "Message 12 was acknowledged at offset 3 of log \"k\", but no poll ever returned it",
        &[2, 3],
    );
    assert_eq!(verdict.facts["unseen"], 1);
    let mut refused = last(&[]);
    refused.outcome = failed();
    assert_invalid(
        &log_and([refused]),
        "no last poll of that log was answered",
        &[0, 3],
    );
    assert_valid(&log_and([last(&[(0, 10), (1, 11), (3, 12)])]));
}

#[test]
fn catches_an_internal_and_an_external_skip() {
    let verdict = log_and([
        poll(0, 6..7, 0, &[(0, 10), (3, 12)]),
        poll(1, 6..7, 0, &[(1, 11)]),
    ]);
    assert_invalid(
        &verdict,
        "goes from offset 0 to 3 within one answer: it skips the message at 1",
        &[1, 3],
    );
    assert_invalid(
        &verdict,
        "was to begin at offset 0 and begins at 1: it skips the message at 0",
        &[0, 4],
    );
    assert_eq!(
        (
            &verdict.facts["internal_poll_skip"],
            &verdict.facts["external_poll_skip"]
        ),
        (&json!(1), &json!(1))
    );
}

#[test]
fn catches_polls_that_go_back() {
    let verdict = log_and([
        poll(0, 6..7, 0, &[(0, 10), (1, 11), (1, 11)]),
        poll(0, 8..9, 2, &[(1, 11)]),
    ]);
    assert_invalid(&verdict, "goes from offset 1 to 1 within one answer", &[3]);
    assert_invalid(&verdict, "was to begin at offset 2 and begins at 1", &[4]);
    let facts = &verdict.facts;
    assert_eq!(
        (
            &facts["internal_nonmonotonic_poll"],
            &facts["external_nonmonotonic_poll"]
        ),
        (&json!(1), &json!(1))
    );
}

#[test]
fn offsets_at_the_end_of_the_range_are_offsets() {
    let end = i64::MAX;
    let verdict = check(&[
        send(0, 0..1, 10, end),
        poll(0, 2..3, 0, &[(end, 10)]),
        commit(0, 4..5, end),
        committed(0, 6..7, end),
        poll(0, 8..9, end, &[(end, 10)]),
    ]);
    assert_valid(&verdict);
}

#[test]
fn catches_a_send_that_goes_back() {
    assert_invalid(
        &log_and([send(1, 6..7, 13, 2)]),
        "got offset 2, after offset 3",
        &[2, 3],
    );
    assert_valid(&log_and([send(0, 6..7, 13, 2)]));
}

#[test]
fn catches_two_messages_at_one_offset_and_one_message_at_two() {
    let verdict = log_and([poll(0, 6..7, 0, &[(0, 10), (1, 12)])]);
    assert_invalid(
        &verdict,
        "Offset 1 of log \"k\" held both 11 and 12",
        &[1, 3],
    );
    assert_invalid(
        &verdict,
        "Message 12 is in log \"k\" twice: at 3 and at 1",
        &[2, 3],
    );
}

#[test]
fn catches_messages_that_were_refused_or_never_sent() {
    let mut history = log();
    history[0].outcome = failed();
    history.push(poll(0, 6..7, 0, &[(0, 10), (1, 11), (2, 99)]));
    let verdict = check(&history);
    assert_invalid(
        &verdict,
        "Message 10 of log \"k\" was polled, but its send was refused",
        &[0, 3],
    );
    assert_invalid(
        &verdict,
        "Message 99 of log \"k\" was polled, but nobody ever sent it",
        &[3],
    );
    history[0].outcome = indeterminate();
    assert_eq!(check(&history).facts["aborted_read"], 1);
}

#[test]
fn catches_a_message_that_was_polled_before_it_was_sent() {
    let early = |time| poll(0, time, 0, &[(0, 10), (1, 11), (3, 12)]);
    let what = "Message 12 of log \"k\" was polled, but it was sent only after that";
    assert_invalid(&log_and([early(2..3)]), what, &[3, 2]);
    // It began later, but it was answered earlier.
    assert_invalid(&log_and([early(1..9), early(2..3)]), what, &[4, 2]);
    assert_valid(&log_and([early(3..4)]));
}

#[test]
fn a_committed_offset_without_a_commit_is_valid_at_or_before_the_first_message() {
    for (first, reported) in [(0, 0), (1, 0), (1, 1), (0, -1)] {
        let history = [send(0, 0..1, 10, first), committed(0, 2..3, reported)];
        assert_valid(&check(&history));
    }
    let nobody_sent = [committed(0, 2..3, 7)];
    assert_valid(&check(&nobody_sent));
}

#[test]
fn warns_of_committed_offsets_that_pass_over_what_nobody_committed() {
    let poll = || poll(0, 5..6, 0, &[(0, 10), (1, 11), (3, 12)]);
    assert_warned(
        &log_and([poll(), committed(0, 6..7, 1), commit(0, 8..9, 1)]),
        &[(
            "reported 1 as committed in log \"k\", where the highest commit was nothing: a consumer that begins there skips the message at 0",
            &[0, 4],
        )],
    );
    assert_warned(
        &log_and([poll(), commit(0, 6..7, 0), committed(0, 8..9, 3)]),
        &[(
            "reported 3 as committed in log \"k\", where the highest commit was 0: a consumer that begins there skips the message at 1",
            &[1, 5],
        )],
    );
    // The next offset to read skips no message.
    let next = [poll(), commit(0, 6..7, 0), committed(0, 8..9, 1)];
    assert_valid(&log_and(next));
}

#[test]
fn warns_of_a_committed_offset_that_goes_back() {
    let reported = |later: LogOperation| {
        log_and([
            poll(0, 5..6, 0, &[(0, 10), (1, 11), (3, 12)]),
            commit(0, 6..7, 1),
            committed(0, 8..9, 1),
            later,
        ])
    };
    let warning = "reported 1 as committed in log \"k\", later 0";
    assert_warned(&reported(committed(0, 10..11, 0)), &[(warning, &[5, 6])]);
    // Another node need not know the offset yet.
    assert_valid(&reported(committed(1, 10..11, 0)));
}

#[test]
fn warns_of_a_lower_committed_offset_than_was_acknowledged_if_nobody_has_committed_it() {
    let polled = || poll(0, 5..6, 0, &[(0, 10), (1, 11), (3, 12)]);
    let reported = |client, before, offset| {
        log_and([
            polled(),
            before,
            commit(0, 7..8, 3),
            committed(client, 9..10, offset),
        ])
    };
    let other = || commit(1, 20..21, 3);
    for offset in [0, 1, -5] {
        let warning = format!(
            "acknowledged 3 as committed in log \"k\", later it reported {offset}, which nobody has committed"
        );
        assert_warned(&reported(0, other(), offset), &[(&warning, &[5, 6])]);
    }
    // A later commit may overwrite a higher one, and what is stored may be the next offset.
    assert_valid(&reported(0, commit(1, 6..9, 1), 1));
    assert_valid(&reported(0, commit(1, 6..9, 0), 1));
    // Another node need not know the offset yet.
    assert_valid(&reported(1, other(), 0));
}

#[test]
fn warns_of_a_committed_offset_that_is_gone() {
    let none = |client, time| {
        let mut listed = committed(client, time, 0);
        listed.outcome = Outcome::Ok(Answer::Offsets(BTreeMap::new()));
        listed
    };
    let poll = || poll(0, 5..6, 0, &[(0, 10), (1, 11), (3, 12)]);
    let acknowledged = "acknowledged 1 as committed in log \"k\", later it reported none";
    assert_warned(
        &log_and([poll(), commit(0, 6..7, 1), none(0, 8..9)]),
        &[(acknowledged, &[4, 5])],
    );
    let reported = "reported 0 as committed in log \"k\", later it reported none";
    let lists = [
        poll(),
        committed(0, 6..7, 0),
        none(0, 8..9),
        commit(0, 8..9, 1),
    ];
    assert_warned(&log_and(lists), &[(reported, &[4, 5])]);
    // At the same time, at another node, and of a commit of unknown outcome, it need not be known.
    assert_valid(&log_and([poll(), commit(0, 6..8, 1), none(0, 7..9)]));
    assert_valid(&log_and([poll(), commit(0, 6..7, 1), none(1, 8..9)]));
    let mut unknown = commit(0, 6..7, 1);
    unknown.outcome = indeterminate();
    assert_valid(&log_and([poll(), unknown, none(0, 8..9)]));
}
