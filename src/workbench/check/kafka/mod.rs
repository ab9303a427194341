//! The checker for `kafka`: logs lose no message, repeat none, and are read in order.
//!
//! The content of a log is known from the offsets in acknowledged sends and polls. A log may have gaps: an offset
//! without a message is no fault. The names of the faults are upstream's:
//!
//! - *lost write*: a message that no poll returned, although a poll returned a higher offset;
//! - *inconsistent offset*: an offset that held two messages; *duplicate*: a message at two offsets;
//! - *nonmonotonic poll*: an offset lower than the requested one or than the one before it; *poll skip*: a poll that
//!   skips a message. *External* means between the requested offset and the first returned one, *internal* means
//!   within a reply;
//! - *nonmonotonic send*: a later send of a client got a lower offset in the same log;
//! - *aborted read*: a poll returned a message whose send failed with a definite error, or that nobody had sent
//!   by then.
//!
//! A poll names the offsets from which it reads, so the checks do not depend on when clients chose new logs. An
//! acknowledged message above all polled offsets is *unobserved*. That is no fault during a run, because the protocol
//! promises nothing about time. It is a fault, *unseen*, if the last polls did not return it either: clients repeat
//! those until they have every message or their time is over.
//!
//! Upstream does not check committed offsets. Here, a consumer that begins at a committed offset must not skip a
//! message that nobody has committed. A node that reports a lower committed offset than before makes consumers read
//! messages again, be it that a commit overwrites a higher offset, or that the node reports no committed offset of a log
//! after it has reported one or has acknowledged a commit. All these are warnings.

mod entries;
mod log;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::monotone::falls;
use super::{Finding, Verdict};
use crate::workbench::history::{Node, Operation};
use crate::workbench::json::Json;
use log::{Logs, Unobserved};

pub use entries::{AllMessages, Messages};

/// The key of a log. Copies share the text: a history has each key thousands of times.
pub type Key = Arc<str>;

/// One offset for each of some logs.
pub type Offsets = BTreeMap<Key, i64>;

/// A request of a client. Logs are named by their keys.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Append a message to a log.
    Send {
        /// The log.
        key: Key,
        /// The message: any JSON, never sent to this log before.
        message: Json,
    },
    /// Return the messages of these logs from these offsets on.
    Poll(Offsets),
    /// Record that all messages up to and including these offsets are processed.
    CommitOffsets(Offsets),
    /// Return the committed offsets of these logs.
    ListCommittedOffsets(Vec<Key>),
}

/// A successful reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To a send: the message's offset.
    Sent(i64),
    /// To a poll: the messages of each log.
    Messages(Messages),
    /// To a commit.
    Committed,
    /// To a request for committed offsets. A log without one may be missing.
    Offsets(Offsets),
}

/// A history of logs.
pub type History = [Operation<Call, Answer>];

/// Checks a history for the faults that the module documentation lists.
pub fn check(history: &History) -> Verdict {
    let logs = Logs::of(history);
    let mut verdict = Verdict::valid();
    verdict.add_all("lost_write", logs.lost_writes());
    verdict.add_all("inconsistent_offset", logs.inconsistent_offsets());
    verdict.add_all("duplicate", logs.duplicates());
    verdict.add_all("aborted_read", logs.aborted_reads(history));
    let polls = polls_out_of_order(history, &logs);
    verdict.add_all("external_nonmonotonic_poll", polls.external_nonmonotonic);
    verdict.add_all("internal_nonmonotonic_poll", polls.internal_nonmonotonic);
    verdict.add_all("external_poll_skip", polls.external_skip);
    verdict.add_all("internal_poll_skip", polls.internal_skip);
    verdict.add_all("nonmonotonic_send", nonmonotonic_sends(history));
    let (mut gone_back, too_high) = wrong_committed_offsets(history, &logs);
    gone_back.extend(lost_committed_offsets(history));
    verdict.add_all("committed_offset_gone_back", gone_back);
    verdict.add_all("committed_offset_too_high", too_high);
    let unobserved = logs.unobserved();
    verdict.fact("unobserved", unobserved.len());
    verdict.add_all("unseen", unseen(history, &unobserved));
    verdict
}

/// The unobserved messages of logs that were polled in the final phase.
fn unseen(history: &History, unobserved: &[Unobserved<'_>]) -> Vec<Finding> {
    let last_polls =
        history
            .iter()
            .enumerate()
            .filter_map(|(index, operation)| match &operation.call {
                Call::Poll(asked) if operation.is_final => Some((index, asked)),
                _ => None,
            });
    let (answered, others): (Vec<_>, Vec<_>) =
        last_polls.partition(|(index, _)| history[*index].outcome.is_ok());
    let last_of = |polls: &[(usize, &Offsets)], key: &str| {
        let asking = polls.iter().rfind(|(_, asked)| asked.contains_key(key));
        asking.map(|(index, _)| *index)
    };
    let findings = unobserved.iter().filter_map(|unobserved| {
        let Unobserved {
            key,
            offset,
            message,
            send,
        } = unobserved;
        let (poll, why) = match last_of(&answered, key) {
            Some(poll) => (poll, "no poll ever returned it, not even the last ones"),
            None => (
                last_of(&others, key)?,
                "no last poll of that log was answered",
            ),
        };
        let what = format!(
            "Message {message} was acknowledged at offset {offset} of log {key:?}, but {why}."
        );
        Some(Finding::violation(what, [*send, poll]).of_log(key, *offset))
    });
    findings.collect()
}

#[derive(Default)]
struct PollsOutOfOrder {
    external_nonmonotonic: Vec<Finding>,
    internal_nonmonotonic: Vec<Finding>,
    external_skip: Vec<Finding>,
    internal_skip: Vec<Finding>,
}

/// Polls that return lower offsets or skip messages, relative to the requested offset and within one reply.
fn polls_out_of_order(history: &History, logs: &Logs<'_>) -> PollsOutOfOrder {
    let mut found = PollsOutOfOrder::default();
    for (index, operation) in history.iter().enumerate() {
        let (Call::Poll(asked), Some(Answer::Messages(answered))) =
            (&operation.call, operation.outcome.answer())
        else {
            continue;
        };
        for (key, messages) in &answered.logs {
            // The lowest offset that may come next; any offset for a log that was not requested.
            let mut next = asked.get(key).copied();
            // Behind the first entry of a list without gaps nothing is out of order.
            let checked = match messages.is_gapless {
                true => &messages.list[..1],
                false => &messages.list,
            };
            for (position, &(offset, _)) in checked.iter().enumerate() {
                // Nearly all offsets are in order.
                let Some(expected) = next
                    .replace(offset.saturating_add(1))
                    .filter(|next| *next != offset)
                else {
                    continue;
                };
                let poll = format!(
                    "Client c{}'s poll of log {key:?} at node {}",
                    operation.client, operation.node
                );
                let (nonmonotonic, skip, how) = if position == 0 {
                    (
                        &mut found.external_nonmonotonic,
                        &mut found.external_skip,
                        format!("was to begin at offset {expected} and begins at {offset}"),
                    )
                } else {
                    let before = expected - 1;
                    (
                        &mut found.internal_nonmonotonic,
                        &mut found.internal_skip,
                        format!("goes from offset {before} to {offset} within one answer"),
                    )
                };
                if offset < expected {
                    let finding = Finding::violation(format!("{poll} {how}."), [index]);
                    nonmonotonic.push(finding.of_log(key, offset));
                } else if let Some((skipped, witness)) = logs.first_between(key, expected, offset) {
                    let what = format!("{poll} {how}: it skips the message at {skipped}.");
                    skip.push(Finding::violation(what, [witness, index]).of_log(key, skipped));
                }
            }
        }
    }
    found
}

/// Sends that got a lower offset than an earlier send of the same client to the same log.
fn nonmonotonic_sends(history: &History) -> Vec<Finding> {
    let mut last: HashMap<(usize, &str), (i64, usize)> = HashMap::new();
    let mut findings = Vec::new();
    for (index, operation) in history.iter().enumerate() {
        let (Call::Send { key, message }, Some(Answer::Sent(offset))) =
            (&operation.call, operation.outcome.answer())
        else {
            continue;
        };
        let earlier = last.insert((operation.client, key), (*offset, index));
        if let Some((before, earlier)) = earlier.filter(|(before, _)| offset <= before) {
            let what = format!(
                "Client c{} sent {message} to log {key:?} and got offset {offset}, after offset {before} for its \
                 message before.",
                operation.client
            );
            findings.push(Finding::violation(what, [earlier, index]));
        }
    }
    findings
}

/// Committed offsets that are lower than one the same node reported before, or than one it acknowledged and nobody has
/// committed, and those that skip a message that nobody has committed.
fn wrong_committed_offsets(history: &History, logs: &Logs<'_>) -> (Vec<Finding>, Vec<Finding>) {
    let (mut gone_back, mut too_high) = (Vec::new(), Vec::new());
    let mut reported: BTreeMap<(&Node, &str), Vec<(usize, i64)>> = BTreeMap::new();
    let mut last_report_at = Duration::ZERO;
    for (index, operation) in history.iter().enumerate() {
        if let Some(Answer::Offsets(offsets)) = operation.outcome.answer() {
            last_report_at = last_report_at.max(operation.completed_at);
            for (key, offset) in offsets {
                let reported = reported.entry((&operation.node, key)).or_default();
                reported.push((index, *offset));
            }
        }
    }
    let mut commits: HashMap<&str, Vec<(Duration, i64)>> = HashMap::new();
    let mut acknowledged: HashMap<(&Node, &str), Vec<(usize, i64)>> = HashMap::new();
    for (index, operation) in history.iter().enumerate() {
        if let Call::CommitOffsets(offsets) = &operation.call
            && !operation.outcome.is_failed()
            // The last phase has commits of all logs, and nobody asks for them.
            && operation.invoked_at <= last_report_at
        {
            for (key, offset) in offsets {
                let commits = commits.entry(key).or_default();
                commits.push((operation.invoked_at, *offset));
                if operation.outcome.answer().is_some() {
                    let acknowledged = acknowledged.entry((&operation.node, key)).or_default();
                    acknowledged.push((index, *offset));
                }
            }
        }
    }
    for ((node, key), reported) in reported {
        for &(index, offset) in &reported {
            let committed = commits.get(key).into_iter().flatten();
            let before =
                committed.filter(|(invoked_at, _)| *invoked_at <= history[index].completed_at);
            let highest = before.map(|(_, offset)| *offset).max();
            let uncommitted = highest.map_or(i64::MIN, |highest| highest.saturating_add(1));
            let passed =
                (uncommitted < offset).then(|| logs.first_between(key, uncommitted, offset));
            if let Some((skipped, witness)) = passed.flatten() {
                let most =
                    highest.map_or_else(|| "nothing".to_owned(), |highest| highest.to_string());
                let what = format!(
                    "Node {node} reported {offset} as committed in log {key:?}, where the highest commit was {most}: \
                     a consumer that begins there skips the message at {skipped}."
                );
                too_high.push(Finding::warning(what, [witness, index]).of_log(key, skipped));
            }
        }
        let is_report = |index: usize| matches!(history[index].call, Call::ListCommittedOffsets(_));
        // A later commit may overwrite a higher one, and what is stored may be the next offset.
        let is_committed = |reported: i64| {
            let mut commits = commits.get(key).into_iter().flatten();
            commits.any(|(_, offset)| [reported, reported.saturating_sub(1)].contains(offset))
        };
        let acknowledged = acknowledged.remove(&(node, key)).unwrap_or_default();
        let all = [acknowledged, reported.clone()].concat();
        let below_acknowledged =
            falls(history, all)
                .into_iter()
                .filter(|((earlier, _), (later, after))| {
                    !is_report(*earlier) && is_report(*later) && !is_committed(*after)
                });
        let mut fallen = falls(history, reported);
        for fall in below_acknowledged {
            if fallen.iter().all(|(_, later)| *later != fall.1) {
                fallen.push(fall);
            }
        }
        for ((earlier, before), (later, after)) in fallen {
            let (how, later_is) = match is_report(earlier) {
                true => ("reported", format!("{after}")),
                false => (
                    "acknowledged",
                    format!("it reported {after}, which nobody has committed"),
                ),
            };
            let what = format!(
                "Node {node} went back: it {how} {before} as committed in log {key:?}, later {later_is}."
            );
            gone_back.push(Finding::warning(what, [earlier, later]).of_log(key, after));
        }
    }
    (gone_back, too_high)
}

/// Replies without the committed offset of a log that was asked for, by a node that had reported one or acknowledged a
/// commit before.
fn lost_committed_offsets(history: &History) -> Vec<Finding> {
    let mut known: HashMap<(&Node, &str), (usize, i64)> = HashMap::new();
    for (index, operation) in history.iter().enumerate() {
        let offsets = match (&operation.call, operation.outcome.answer()) {
            (Call::CommitOffsets(offsets), Some(_)) | (_, Some(Answer::Offsets(offsets))) => {
                offsets
            }
            _ => continue,
        };
        for (key, offset) in offsets {
            let first = known
                .entry((&operation.node, key))
                .or_insert((index, *offset));
            if operation.completed_at < history[first.0].completed_at {
                *first = (index, *offset);
            }
        }
    }
    let mut findings = Vec::new();
    for (index, operation) in history.iter().enumerate() {
        let (Call::ListCommittedOffsets(keys), Some(Answer::Offsets(offsets))) =
            (&operation.call, operation.outcome.answer())
        else {
            continue;
        };
        let node = &operation.node;
        for key in keys.iter().filter(|key| !offsets.contains_key(*key)) {
            let before = known.get(&(node, &**key)).copied();
            let Some((earlier, offset)) =
                before.filter(|(earlier, _)| history[*earlier].completed_at < operation.invoked_at)
            else {
                continue;
            };
            let how = match history[earlier].call {
                Call::CommitOffsets(_) => "acknowledged",
                _ => "reported",
            };
            let what = format!(
                "Node {node} went back: it {how} {offset} as committed in log {key:?}, later it reported none."
            );
            findings.push(Finding::warning(what, [earlier, index]).of_log(key, offset));
        }
    }
    findings
}
