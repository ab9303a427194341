//! The content of the logs, as far as a history shows it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::entries::Entries;
use super::{Answer, Call, History};
use crate::workbench::check::Finding;
use crate::workbench::json::Json;

/// All logs, by key.
pub struct Logs<'a>(BTreeMap<&'a str, Log<'a>>);

#[derive(Default)]
struct Log<'a> {
    /// For each offset, the messages that were at it (exactly one, if the nodes are right).
    offsets: BTreeMap<i64, Vec<Placed<'a>>>,
    /// For each message, where it was.
    messages: HashMap<&'a Json, Seen>,
    /// The lists of entries from polls that were already added.
    polled: HashSet<usize>,
}

/// An acknowledged message above all polled offsets of its log.
pub struct Unobserved<'a> {
    pub key: &'a str,
    pub offset: i64,
    pub message: &'a Json,
    /// The operation that sent it.
    pub send: usize,
}

/// A message at an offset.
struct Placed<'a> {
    message: &'a Json,
    witness: usize,
    /// Whether a poll returned it there.
    is_polled: bool,
}

#[derive(Default)]
struct Seen {
    /// Its offsets (exactly one, if the nodes are right), each with an operation that shows it.
    offsets: Vec<(i64, usize)>,
    /// The operation that sent it.
    send: Option<usize>,
    /// The first poll that returned it, by when polls were answered.
    poll: Option<usize>,
}

impl<'a> Log<'a> {
    fn place(&mut self, offset: i64, message: &'a Json, witness: usize) {
        let here = self.offsets.entry(offset).or_default();
        if here.iter().all(|other| other.message != message) {
            here.push(Placed {
                message,
                witness,
                is_polled: false,
            });
        }
        let seen = self.messages.entry(message).or_default();
        if seen.offsets.iter().all(|(other, _)| *other != offset) {
            seen.offsets.push((offset, witness));
        }
    }

    /// Adds the entries in a reply to a poll. Every client polls every message in the end, so known lists are skipped
    /// quickly.
    fn poll(&mut self, entries: &'a Entries, poll: usize) {
        if self.polled.insert(entries.id()) {
            for (offset, message) in &entries.list {
                self.poll_one(*offset, message, poll);
            }
        }
    }

    fn poll_one(&mut self, offset: i64, message: &'a Json, poll: usize) {
        let mut here = self.offsets.get(&offset).into_iter().flatten();
        if here.any(|placed| placed.is_polled && placed.message == message) {
            return;
        }
        self.place(offset, message, poll);
        let seen = self.messages.entry(message).or_default();
        seen.poll.get_or_insert(poll);
        let here = self.offsets.get_mut(&offset).into_iter().flatten();
        for placed in here.filter(|placed| placed.message == message) {
            placed.is_polled = true;
        }
    }

    /// The highest polled offset, and the poll.
    fn highest_polled(&self) -> Option<(i64, usize)> {
        let polled = self.messages.values().filter_map(|seen| {
            Some((
                seen.offsets.iter().map(|(offset, _)| *offset).max()?,
                seen.poll?,
            ))
        });
        polled.max_by_key(|(offset, _)| *offset)
    }

    /// Messages that have an offset but that no poll returned, with their lowest offset and the operation that sent
    /// them.
    fn unpolled(&self) -> impl Iterator<Item = (i64, &'a Json, usize)> + '_ {
        self.messages
            .iter()
            .filter(|(_, seen)| seen.poll.is_none())
            .filter_map(|(message, seen)| {
                let (offset, witness) = seen.offsets.iter().min()?;
                Some((*offset, *message, *witness))
            })
    }
}

impl<'a> Logs<'a> {
    /// Reads a history.
    pub fn of(history: &'a History) -> Self {
        let mut logs: HashMap<&str, Log<'_>> = HashMap::new();
        let mut polled = HashSet::new();
        // So the first poll that returned a message is the one that was answered first.
        let mut completed: Vec<usize> = (0..history.len()).collect();
        completed.sort_by_key(|index| history[*index].completed_at);
        for index in completed {
            let operation = &history[index];
            match (&operation.call, operation.outcome.answer()) {
                (Call::Send { key, message }, answer) => {
                    let log = logs.entry(key).or_default();
                    log.messages
                        .entry(message)
                        .or_default()
                        .send
                        .get_or_insert(index);
                    if let Some(Answer::Sent(offset)) = answer {
                        log.place(*offset, message, index);
                    }
                }
                // An equal reply shows nothing else.
                (Call::Poll(_), Some(Answer::Messages(answered)))
                    if polled.insert(answered.id()) =>
                {
                    for (key, entries) in &answered.logs {
                        logs.entry(key).or_default().poll(entries, index);
                    }
                }
                _ => {}
            }
        }
        Logs(logs.into_iter().collect())
    }

    /// The first message of a log at or after `from` and before `to`, and an operation that shows it.
    pub fn first_between(&self, key: &str, from: i64, to: i64) -> Option<(i64, usize)> {
        let (offset, messages) = self.0.get(key)?.offsets.range(from..to).next()?;
        Some((*offset, messages[0].witness))
    }

    /// Acknowledged messages that no poll returned, below an offset that a poll returned.
    pub fn lost_writes(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (key, log) in &self.0 {
            let Some((highest, poll)) = log.highest_polled() else {
                continue;
            };
            let mut lost: Vec<_> = log
                .unpolled()
                .filter(|(offset, ..)| *offset < highest)
                .collect();
            lost.sort_by_key(|(offset, ..)| *offset);
            findings.extend(lost.into_iter().map(|(offset, message, send)| {
                let what = format!(
                    "Message {message} at offset {offset} of log {key:?} was lost: offset {highest} was polled, but no \
                     poll ever returned this one."
                );
                Finding::violation(what, [send, poll]).of_log(key, offset)
            }));
        }
        findings
    }

    /// Acknowledged messages above all polled offsets, in the order in which they were sent.
    pub fn unobserved(&self) -> Vec<Unobserved<'a>> {
        let mut unobserved = Vec::new();
        for (&key, log) in &self.0 {
            let highest = log.highest_polled().map(|(highest, _)| highest);
            for (offset, message, send) in log.unpolled() {
                if highest.is_none_or(|highest| offset >= highest) {
                    unobserved.push(Unobserved {
                        key,
                        offset,
                        message,
                        send,
                    });
                }
            }
        }
        unobserved.sort_by_key(|message| message.send);
        unobserved
    }

    /// Offsets that held more than one message.
    pub fn inconsistent_offsets(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (key, log) in &self.0 {
            for (offset, messages) in &log.offsets {
                if let [first, second, ..] = &messages[..] {
                    let what = format!(
                        "Offset {offset} of log {key:?} held both {} and {}.",
                        first.message, second.message
                    );
                    let finding = Finding::violation(what, [first.witness, second.witness]);
                    findings.push(finding.of_log(key, *offset));
                }
            }
        }
        findings
    }

    /// Messages at more than one offset.
    pub fn duplicates(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (key, log) in &self.0 {
            let mut doubled: Vec<_> = log
                .messages
                .iter()
                .filter(|(_, seen)| seen.offsets.len() > 1)
                .collect();
            doubled.sort_by_key(|(_, seen)| seen.offsets[0]);
            findings.extend(doubled.into_iter().map(|(message, seen)| {
                let ((first, one), (second, other)) = (seen.offsets[0], seen.offsets[1]);
                let what = format!(
                    "Message {message} is in log {key:?} twice: at {first} and at {second}."
                );
                Finding::violation(what, [one, other]).of_log(key, first)
            }));
        }
        findings
    }

    /// Messages in polls whose send failed with a definite error, or that nobody had sent by then.
    pub fn aborted_reads(&self, history: &History) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (key, log) in &self.0 {
            for (message, seen) in &log.messages {
                let Some(poll) = seen.poll else { continue };
                let (why, proof) = match seen.send {
                    None => ("nobody ever sent it", vec![poll]),
                    Some(send) if history[send].outcome.is_failed() => (
                        "its send was refused with a definite error",
                        vec![send, poll],
                    ),
                    Some(send) if history[poll].completed_at < history[send].invoked_at => {
                        ("it was sent only after that", vec![poll, send])
                    }
                    Some(_) => continue,
                };
                let what = format!("Message {message} of log {key:?} was polled, but {why}.");
                // Each message that was polled has an offset.
                let offset = seen.offsets.first().map_or(0, |(offset, _)| *offset);
                findings.push(Finding::violation(what, proof).of_log(key, offset));
            }
        }
        findings.sort_by(|one, other| one.operations.cmp(&other.operations));
        findings
    }
}
