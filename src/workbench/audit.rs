//! What is checked in every run, whatever the workload.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::check::availability::Availability;
use super::check::limits::Limits;
use super::check::{Finding, Severity};
use super::client::CLIENT_TIMEOUT;
use super::history::{Node, Operation, Outcome};
use super::nemesis::FaultWindow;
use super::words::counted;
use super::workload::Workload;
use super::world::{LastOutput, Record, shown};
use crate::protocol::ErrorCode;

/// What is demanded of a run besides what its workload promises.
#[derive(Clone, Copy, Default, Debug)]
pub struct Demands {
    /// How many operations must succeed.
    pub availability: Option<Availability>,
    /// The limits on its messages, and on the time in which values reach every node.
    pub limits: Limits,
    /// Whether warnings make a run invalid.
    pub is_strict: bool,
}

/// The number of operations by outcome.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Operations that took effect.
    pub ok: usize,
    /// Operations that certainly did not take effect.
    pub failed: usize,
    /// Operations that may have taken effect.
    pub indeterminate: usize,
}

impl Counts {
    /// All operations.
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

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            ok,
            failed,
            indeterminate,
        } = self;
        let total = self.total();
        write!(
            f,
            "{total}: ok {ok}, failed {failed}, indeterminate {indeterminate}"
        )
    }
}

/// A finding if there were no operations but the final reads, which then show nothing.
pub fn nothing_asked<C, A>(history: &[Operation<C, A>]) -> Option<Finding> {
    let is_empty = history.iter().all(|operation| operation.is_final);
    let what = "Nothing was asked before the final reads, so there is nothing to check. Test for longer, or at a higher \
                --rate.";
    is_empty.then(|| Finding::undecided(what, []))
}

/// Messages between servers, those of services included, are a storm if there are more than this number for each operation,
/// and more than the second number a second for each node, on average. Nodes that gossip by the clock between few operations
/// stay below the second.
const STORM_MESSAGES_PER_OPERATION: u64 = 1000;
const STORM_MESSAGES_PER_NODE_S: f64 = 500.0;

/// A warning if there were so many messages between servers that they, and not the operations, are what nodes work on.
pub fn message_storm<W: Workload>(record: &Record<W>) -> Option<Finding> {
    let (servers, history) = (record.sent.servers, &record.history);
    let ended_at = history
        .iter()
        .map(|operation| operation.completed_at)
        .max()?;
    let per_operation = servers / history.len() as u64;
    let node_count = record.last_output.len();
    let per_node_s = servers as f64 / ended_at.as_secs_f64() / node_count as f64;
    let is_storm =
        per_operation > STORM_MESSAGES_PER_OPERATION && per_node_s > STORM_MESSAGES_PER_NODE_S;
    let what = || {
        format!(
            "There were {servers} messages between servers, {per_operation} for each operation: {per_node_s:.0} a second \
             for each node. Does a node pass on what it has passed on before, or ask a store again and again?"
        )
    };
    is_storm.then(|| Finding::warning(what(), []))
}

/// How many operations are shown of those that did not succeed.
const EXAMPLES_MAX: usize = 3;

/// A finding for each type of operation of which none succeeded: a node that refuses everything breaks no other rule.
///
/// If every failure may be due to a fault, the finding is "undecided". It is a violation if an operation failed when
/// there was no fault and had been none for a while. Faults are not named as a possible reason if most operations failed
/// with an error that says something else, or if `found` already has a violation, such as a node that is mute. If
/// `availability` is demanded, faults are no excuse, so the finding does not advise a test with fewer of them. It is a warning
/// if none need succeed.
pub fn never_succeeded<W: Workload>(
    history: &[Operation<W::Call, W::Answer>],
    by_kind: &BTreeMap<&'static str, Counts>,
    faults: &[FaultWindow],
    availability: Option<Availability>,
    found: &[Finding],
) -> Vec<Finding> {
    let hopeless = by_kind.iter().filter(|(_, counts)| counts.ok == 0);
    let findings = hopeless.map(|(kind, counts)| {
        let total = counts.total();
        let mut what = match total {
            1 => format!("The only {kind} did not succeed"),
            _ => format!("Not one of {total} operations of type {kind} succeeded"),
        };
        let new = |severity, what, examples| match W::DISPENSABLE.contains(kind) {
            true => Finding::warning(what, examples),
            false => Finding::new(severity, what, examples),
        };
        let of_kind = |index: &usize| W::request_kind(&history[*index].call) == *kind;
        let all = (0..history.len()).filter(of_kind);
        let calm = |index: &usize| is_calm(&history[*index], faults);
        let examples: Vec<usize> = all.clone().filter(calm).take(EXAMPLES_MAX).collect();
        let reasons = all.clone().filter_map(|index| match &history[index].outcome {
            Outcome::Failed(why) => Some(&**why),
            Outcome::Ok(_) | Outcome::Indeterminate(_) => None,
        });
        let error = most_frequent(reasons.clone()).filter(|_| 2 * reasons.count() > total);
        let has_code = |why: &str, ErrorCode(code)| code_of(why) == format!("error {code}");
        let faults_may_explain =
            error.is_none_or(|(why, _)| has_code(why, ErrorCode::TEMPORARILY_UNAVAILABLE));
        if let Some((why, count)) = error {
            let text = shown(why.trim_end_matches('.'));
            what += &format!("; {count} of {total} failed: {text}");
            if has_code(why, ErrorCode::NOT_SUPPORTED) {
                what += &format!(". Is {} what the node is for? -w names the workload", W::NAME);
            }
        }
        if examples.is_empty() {
            let examples: Vec<usize> = all.take(EXAMPLES_MAX).collect();
            if faults_may_explain && !has_violation(found) {
                let calm_after_s = CLIENT_TIMEOUT.as_secs();
                let each = if total == 1 { "It" } else { "Each" };
                let advice = match availability {
                    None => {
                        "Test with a longer --nemesis-interval, or with a longer --recovery before final requests"
                    }
                    Some(_) => {
                        "Availability is demanded: a node must answer during faults, too, without waiting for other \
                         nodes"
                    }
                };
                what += &format!(
                    ". {each} ran during a fault or within {calm_after_s} s of its end. {advice}"
                );
            }
            return new(Severity::Undecided, what + ".", examples);
        }
        // Each was refused for a reason that may be true, such as another value than a cas expected.
        let has_reasons = all.clone().all(|index| history[index].outcome.is_ok());
        let why = if has_reasons {
            ". Each refusal may be right, but where nothing succeeds nothing is shown: upstream calls that invalid, too. \
             Test for longer, or at a higher --rate"
        } else {
            ""
        };
        new(Severity::Violation, format!("{what}{why}."), examples)
    });
    findings.collect()
}

/// The kind of reason that most operations failed for: the first such reason, and their number.
fn most_frequent<'a>(reasons: impl Iterator<Item = &'a str>) -> Option<(&'a str, usize)> {
    let mut by_code: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for why in reasons {
        by_code.entry(code_of(why)).or_insert((why, 0)).1 += 1;
    }
    by_code.into_values().max_by_key(|(_, count)| *count)
}

/// The part of a reason before its text: "error 20".
fn code_of(why: &str) -> &str {
    why.split_once(':').map_or(why, |(code, _)| code)
}

/// A warning if requests were never answered though there was no fault at the time and had been none for a while. It leaves
/// out types of operation of which none succeeded: [`never_succeeded`] is about them.
pub fn unanswered<W: Workload>(
    record: &Record<W>,
    by_kind: &BTreeMap<&'static str, Counts>,
) -> Option<Finding> {
    let Record {
        history,
        fault_windows,
        ..
    } = record;
    let is_whole = record.cut_short_at.is_none();
    let is_told = |index: &usize| {
        let counts = by_kind[W::request_kind(&history[*index].call)];
        is_whole && counts.ok == 0
    };
    let mut unanswered = record.unanswered.clone();
    unanswered.retain(|index| is_calm(&history[*index], fault_windows) && !is_told(index));
    unanswered.sort_unstable();
    let were = match unanswered.len() {
        0 => return None,
        1 => "was",
        _ => "were",
    };
    let what = format!(
        "{} of {} {were} never answered, though there was no fault at the time, nor in the {} s before.",
        unanswered.len(),
        counted(history.len(), "request"),
        CLIENT_TIMEOUT.as_secs(),
    );
    unanswered.truncate(EXAMPLES_MAX);
    Some(Finding::warning(what, unanswered))
}

/// A node is silent if it has sent nothing for this time when the run ends, which is almost as long as a client waits.
const SILENCE_MIN: Duration = Duration::from_secs(4);

/// For a finding on these operations, which did not succeed: one line for each of their nodes that has closed its
/// stdout, or sent a client that waited a message that answers nothing, or owed replies and was silent to the end; and
/// one with the last line that a node printed on stderr. An exception that a node survives may be why it did not reply.
/// Replies that a fault may have prevented are not owed, but by a node that was replied to itself and said no more.
pub fn about_nodes<W: Workload>(record: &Record<W>, operations: &[usize]) -> String {
    let history = &record.history;
    let ended_at = history.iter().map(|operation| operation.completed_at).max();
    let nodes = operations.iter().map(|&index| &history[index].node);
    let nodes: BTreeSet<&Node> = nodes.collect();
    let was_replied_to = |node: &Node| {
        let output = record.last_output.get(node.index());
        output.is_some_and(|output| output.was_replied_to)
    };
    let owed = history.iter().filter(|operation| {
        matches!(operation.outcome, Outcome::Indeterminate(_))
            && (is_calm(operation, &record.fault_windows) || was_replied_to(&operation.node))
    });
    // For each node that owes replies, when the last client that waited for one gave up.
    let mut owing: BTreeMap<&Node, Duration> = BTreeMap::new();
    for operation in owed {
        let given_up_at = owing.entry(&operation.node).or_default();
        *given_up_at = operation.completed_at.max(*given_up_at);
    }
    let answered_nothing = operations.iter();
    let answered_nothing = answered_nothing.filter(|index| record.answered_nothing.contains(index));
    let answering_nothing: BTreeSet<&Node> = answered_nothing
        .map(|&index| &history[index].node)
        .collect();
    let mut known = String::new();
    for node in nodes {
        let Some(output) = record.last_output.get(node.index()) else {
            continue;
        };
        let LastOutput {
            sent,
            stdout_closed_at,
            answers_nothing,
            logged,
            ..
        } = output;
        if let Some(at) = stdout_closed_at {
            known += &format!(
                "\n{node} closed its stdout at {:.1} s, and messages go there. Does it, or what starts it, close or \
                 redirect it?",
                at.as_secs_f64()
            );
        } else if let Some(what) = answers_nothing
            && answering_nothing.contains(node)
        {
            known += &format!("\n{node} {what}");
        } else if let Some((sent_at, dest)) = sent
            // A node that has sent more after that has left requests unanswered, but was not silent.
            && owing.get(node).is_some_and(|given_up_at| sent_at < given_up_at)
            && Some(*sent_at + SILENCE_MIN) <= ended_at
        {
            let since_s = sent_at.as_secs_f64();
            known += &format!(
                "\n{node} has sent nothing since {since_s:.1} s; its last message went to {dest}"
            );
        }
        if !logged.is_empty() {
            known += &format!("\n{node} printed on stderr: {}", shown(logged));
        }
    }
    known
}

/// For a finding on a read that lacks acknowledged changes: what to know if its node had a stale reply from a service
/// after the read began. Of Maelstrom's services only `seq-kv` gives any.
pub fn about_stale_replies<W: Workload>(record: &Record<W>, finding: &Finding) -> Option<String> {
    let read = &record.history[*finding.operations.first()?];
    let node = &read.node;
    let stale_at = record.last_stale_at.get(node.index()).copied().flatten()?;
    (finding.is_behind && stale_at >= read.invoked_at).then(|| {
        format!(
            "\nAfter that read began, seq-kv answered {node} from the past, as a sequentially consistent store may.\n\
             On Maelstrom's, a node that has just changed something is up to date: write a unique value there, then \
             read."
        )
    })
}

fn has_violation(findings: &[Finding]) -> bool {
    let mut findings = findings.iter();
    findings.any(|finding| finding.severity == Severity::Violation)
}

/// Whether there was no fault from a while before an operation to its end.
fn is_calm<C, A>(operation: &Operation<C, A>, faults: &[FaultWindow]) -> bool {
    let disturbs = |fault: &FaultWindow| {
        let mended_at = fault.ended_at.map(|at| at + CLIENT_TIMEOUT);
        fault.began_at <= operation.completed_at
            && mended_at.is_none_or(|at| operation.invoked_at <= at)
    };
    !faults.iter().any(disturbs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::check::counter::{Answer, Call};
    use crate::workbench::check::kafka;
    use crate::workbench::check::testing::*;
    use crate::workbench::workload::{GCounter, Kafka};

    /// The findings for an add and a read that were refused, and another read that was not.
    fn findings(faults: &[FaultWindow]) -> Vec<Finding> {
        let history = [
            operation(0, 9_000..9_001, Call::Add(1), failed()),
            operation(0, 9_002..9_003, Call::Read, failed()),
            operation(0, 9_004..9_005, Call::Read, Outcome::Ok(Answer::Value(0))),
        ];
        let by_kind = Counts::by_kind::<GCounter>(&history);
        never_succeeded::<GCounter>(&history, &by_kind, faults, None, &[])
    }

    #[test]
    fn where_no_list_of_committed_offsets_succeeded_is_a_warning() {
        let list = kafka::Call::ListCommittedOffsets(Vec::new());
        let history = [operation(0, 0..1, list, failed())];
        let by_kind = Counts::by_kind::<Kafka>(&history);
        let found = never_succeeded::<Kafka>(&history, &by_kind, &[], None, &[]);
        let [finding] = &*found else {
            panic!("{found:?}");
        };
        assert_eq!(finding.severity, Severity::Warning);
        let what = "The only list_committed_offsets did not succeed";
        assert!(finding.what.starts_with(what), "{}", finding.what);
    }

    fn fault_until(ended_ms: u64) -> FaultWindow {
        FaultWindow {
            what: String::from("all killed"),
            began_at: Duration::ZERO,
            ended_at: Some(Duration::from_millis(ended_ms)),
        }
    }

    /// What is said of two nodes of which node 0 left a request unanswered until 5 s and sent its last message, to c8, at
    /// `sent_ms`. Node 1 answers until 30 s, and `found` was found in the run.
    fn said_of_silence(sent_ms: u64, first: Outcome<Answer>, found: Vec<Finding>) -> String {
        let sent = |ms| LastOutput {
            sent: Some((Duration::from_millis(ms), String::from("c8."))),
            ..LastOutput::default()
        };
        let history = vec![
            operation(0, 0..5_000, Call::Add(1), first),
            operation(1, 0..30_000, Call::Add(1), Outcome::Ok(Answer::Added)),
        ];
        let record = Record {
            findings: found,
            unanswered: vec![0],
            last_output: vec![sent(sent_ms), sent(30_000)],
            ..Record::of_history(GCounter::default(), history)
        };
        about_nodes(&record, &[0])
    }

    #[test]
    fn a_node_that_goes_on_after_the_requests_that_it_has_left_unanswered_is_not_silent() {
        let silence = "\n0 has sent nothing since 3.2 s; its last message went to c8.";
        assert_eq!(said_of_silence(3_200, indeterminate(), vec![]), silence);
        assert_eq!(said_of_silence(13_700, indeterminate(), vec![]), "");
        // This is the reply to the request itself: an error that leaves its outcome open.
        assert_eq!(said_of_silence(5_000, indeterminate(), vec![]), "");
        assert_eq!(said_of_silence(3_200, failed(), vec![]), "");
    }

    #[test]
    fn a_silent_node_is_named_though_something_else_is_wrong_with_the_run() {
        let found = vec![Finding::violation("1 printed an empty line on stdout.", [])];
        assert!(said_of_silence(3_200, indeterminate(), found).contains("has sent nothing"));
    }

    #[test]
    fn only_a_read_that_is_behind_and_began_before_a_stale_reply_is_told_of_it() {
        let read = |time| {
            finally(operation(
                0,
                time,
                Call::Read,
                Outcome::Ok(Answer::Value(3)),
            ))
        };
        let mut record = Record::of_history(GCounter::default(), vec![read(7..9)]);
        let finding = Finding::violation("3 is missing", [0]);
        let behind = finding.clone().behind();
        for (stale_ms, is_told) in [(None, false), (Some(6), false), (Some(8), true)] {
            record.last_stale_at = vec![stale_ms.map(Duration::from_millis)];
            assert!(about_stale_replies(&record, &finding).is_none());
            let told = about_stale_replies(&record, &behind);
            assert_eq!(told.is_some(), is_told, "{told:?}");
        }
    }

    #[test]
    fn where_nothing_was_asked_but_last_reads_nothing_is_known() {
        let read = operation(0, 0..1, Call::Read, Outcome::Ok(Answer::Value(0)));
        assert!(nothing_asked(std::slice::from_ref(&read)).is_none());
        let nothing: [&[Operation<Call, Answer>]; 2] = [&[], &[finally(read)]];
        for history in nothing {
            let finding = nothing_asked(history).expect("a finding");
            assert_eq!(finding.severity, Severity::Undecided);
            assert!(finding.what.starts_with("Nothing was asked before"));
        }
    }

    #[test]
    fn a_type_that_never_succeeds_is_found_and_shown() {
        let findings = findings(&[fault_until(3_000)]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].what.contains("add"));
        assert_eq!(findings[0].severity, Severity::Violation);
        assert_eq!(findings[0].operations, [0]);
    }

    #[test]
    fn the_finding_on_a_short_run_of_refused_cas_says_what_to_do() {
        use crate::workbench::check::lin_kv::{Answer, Call};
        use crate::workbench::workload::LinKv;

        let call = Call::Cas {
            key: 0.into(),
            from: 1.into(),
            to: 2.into(),
        };
        let history = [operation(0, 0..1, call, Outcome::Ok(Answer::Different))];
        let by_kind = Counts::by_kind::<LinKv>(&history);
        let findings = never_succeeded::<LinKv>(&history, &by_kind, &[], None, &[]);
        assert_eq!(findings[0].severity, Severity::Violation);
        assert!(findings[0].what.contains("higher --rate"));
    }

    #[test]
    fn it_may_not_be_the_nodes_fault_soon_after_a_fault() {
        let findings = findings(&[fault_until(5_000)]);
        assert_eq!(findings[0].severity, Severity::Undecided);
        let what = &findings[0].what;
        assert!(what.contains("within 5 s of its end"), "{what}");
        assert!(what.contains("a longer --recovery"), "{what}");
    }

    /// What is said of adds with these outcomes, all of them during a fault, if `found` was found before.
    fn during_a_fault(outcomes: &[Outcome<Answer>], found: &[Finding]) -> String {
        with_demand(outcomes, None, found)
    }

    fn with_demand(
        outcomes: &[Outcome<Answer>],
        availability: Option<Availability>,
        found: &[Finding],
    ) -> String {
        let adds = outcomes
            .iter()
            .map(|outcome| operation(0, 0..1, Call::Add(1), outcome.clone()));
        let history = Vec::from_iter(adds);
        let by_kind = Counts::by_kind::<GCounter>(&history);
        let faults = [fault_until(3_000)];
        let findings =
            never_succeeded::<GCounter>(&history, &by_kind, &faults, availability, found);
        assert_eq!(findings[0].severity, Severity::Undecided);
        findings[0].what.clone()
    }

    #[test]
    fn the_error_that_most_failed_with_is_named_in_place_of_faults() {
        let error = |why| Outcome::Failed(String::from(why));
        let outcomes = [
            indeterminate(),
            error("error 22: 3 is not 4"),
            error("error 20: no key a"),
            error("error 20: no key b"),
        ];
        assert_eq!(
            during_a_fault(&outcomes, &[]),
            "Not one of 4 operations of type add succeeded; 2 of 4 failed: error 20: no key a."
        );
        let unavailable = error("error 11: no majority");
        let what = during_a_fault(&[unavailable], &[]);
        assert!(
            what.starts_with(
                "The only add did not succeed; 1 of 1 failed: error 11: no majority. It ran during"
            ),
            "{what}"
        );
        let what = during_a_fault(&[indeterminate(), indeterminate()], &[]);
        assert!(
            what.contains("succeeded. Each ran during a fault"),
            "{what}"
        );
    }

    #[test]
    fn a_node_that_does_not_know_the_request_may_be_for_another_workload() {
        let unknown = Outcome::Failed(String::from("error 10: unknown"));
        assert_eq!(
            during_a_fault(&[unknown], &[]),
            "The only add did not succeed; 1 of 1 failed: error 10: unknown. Is g-counter what the node is for? -w names \
             the workload."
        );
    }

    #[test]
    fn where_availability_is_demanded_nodes_have_to_answer_during_faults() {
        for demanded in [Availability::Total, Availability::Fraction(0.9)] {
            let what = with_demand(&[indeterminate(), indeterminate()], Some(demanded), &[]);
            let advice = "must answer during faults, too, without waiting for other nodes.";
            assert!(what.ends_with(advice), "{what}");
            assert!(!what.contains("--nemesis-interval"), "{what}");
        }
    }

    #[test]
    fn faults_are_not_named_where_a_violation_may_be_the_reason() {
        let mute = Finding::violation("n0 is mute", []);
        let what = during_a_fault(&[indeterminate(), indeterminate()], &[mute]);
        assert_eq!(what, "Not one of 2 operations of type add succeeded.");
    }
}
