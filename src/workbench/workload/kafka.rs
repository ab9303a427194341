use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::keys::{Access, Keys};
use super::{FollowUp, KeyLimits, Reply, Turn, Workload, json_error};
use crate::workbench::body::BodyWriter;
use crate::workbench::check::Judgement;
use crate::workbench::check::kafka::{self, AllEntries, Answer, Call, Entries};
use crate::workbench::history::{Operation, Outcome};
use crate::workbench::random::Random;

/// One in so many turns is spent on choosing logs to read.
const ASSIGN_EVERY: u32 = 64;

/// One choice of logs in so many takes in all logs that hold messages nobody has polled.
const CATCH_UP_EVERY: u32 = 3;

/// How long a consumer lives on average, in seconds.
const LIFETIME_S: f64 = 30.0;

/// How long a client waits in the last phase before it polls again where there was nothing to be had.
const LAST_POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Nodes keep logs, which are known by their keys.
///
/// Every client sends to logs and is a consumer of some, which it chooses anew now and then: it asks for their committed
/// offsets, and polls from there. What it has polled it commits at once. A consumer dies now and then, and its client
/// goes on as a new one that has chosen nothing. Last, every client polls all logs from their beginnings, each until it
/// has seen the highest offset that anyone has been told.
pub struct Kafka {
    keys: Keys,
    consumers: HashMap<usize, Consumer>,
    /// The highest offset sent to each log that nobody has polled up to, and how far that log has been polled.
    unseen: BTreeMap<String, i64>,
    polled: BTreeMap<String, i64>,
    /// The highest offset of each log that any client was told.
    highest: BTreeMap<String, i64>,
    /// How far every log is to be polled in the last phase, once that has begun.
    goals: Option<BTreeMap<String, i64>>,
    entries: AllEntries,
}

struct Consumer {
    /// From where each log that it has chosen is polled next.
    offsets: BTreeMap<String, i64>,
    dies_at: Duration,
}

impl Consumer {
    fn new(now: Duration, random: &mut Random) -> Self {
        let lifetime_s = random.random_range(0.0..2.0 * LIFETIME_S);
        Consumer {
            offsets: BTreeMap::new(),
            dies_at: now + Duration::from_secs_f64(lifetime_s),
        }
    }
}

impl Kafka {
    /// Logs that nobody has sent to.
    pub fn new(limits: KeyLimits) -> Self {
        Kafka {
            keys: Keys::new(limits),
            consumers: HashMap::new(),
            unseen: BTreeMap::new(),
            polled: BTreeMap::new(),
            highest: BTreeMap::new(),
            goals: None,
            entries: AllEntries::default(),
        }
    }

    /// Which logs a client chooses to read.
    fn choice(&mut self, random: &mut Random) -> Vec<String> {
        let key = self.keys.any(random).to_string();
        let mut keys = vec![key];
        if random.random_range(0..CATCH_UP_EVERY) == 0 {
            let unseen = self.unseen.keys().filter(|&unseen| *unseen != keys[0]);
            let unseen: Vec<_> = unseen.cloned().collect();
            keys.extend(unseen);
        }
        keys
    }

    fn note_sent(&mut self, key: &str, offset: i64) {
        raise(&mut self.highest, key, offset);
        if self.polled.get(key).is_none_or(|&polled| polled < offset) {
            raise(&mut self.unseen, key, offset);
        }
    }

    fn note_polled(&mut self, offsets: &BTreeMap<String, i64>) {
        for (key, &offset) in offsets {
            raise(&mut self.highest, key, offset);
            raise(&mut self.polled, key, offset);
            if self.unseen.get(key).is_some_and(|&sent| sent <= offset) {
                self.unseen.remove(key);
            }
        }
    }

    /// A client has learned committed offsets of the logs that it chose: it reads on where it was, else after those.
    fn assign(&mut self, client: usize, keys: &[String], committed: &BTreeMap<String, i64>) {
        let Some(consumer) = self.consumers.get_mut(&client) else {
            return;
        };
        let from = |key: &String| {
            let after = committed.get(key).map(|offset| offset + 1);
            consumer.offsets.get(key).copied().or(after).unwrap_or(0)
        };
        consumer.offsets = keys.iter().map(|key| (key.clone(), from(key))).collect();
    }

    /// Polls the logs of which a client in the last phase has not seen all; nothing if it has.
    fn last_poll(&mut self, client: usize, after: Duration) -> Option<FollowUp<Call>> {
        let offsets = &mut self.consumers.get_mut(&client)?.offsets;
        let goals = self.goals.as_ref()?;
        offsets.retain(|key, at| goals.get(key).is_some_and(|goal| *at <= *goal));
        (!offsets.is_empty()).then(|| FollowUp {
            call: Call::Poll(offsets.clone()),
            after,
        })
    }
}

fn raise(offsets: &mut BTreeMap<String, i64>, key: &str, offset: i64) {
    match offsets.get_mut(key) {
        Some(highest) => *highest = offset.max(*highest),
        None => {
            offsets.insert(String::from(key), offset);
        }
    }
}

/// The highest offset of each log in an answer to a poll.
fn highest_polled(messages: &BTreeMap<String, Entries>) -> BTreeMap<String, i64> {
    let highest = messages.iter().filter_map(|(key, messages)| {
        let offsets = messages.iter().map(|(offset, _)| *offset);
        Some((key.clone(), offsets.max()?))
    });
    highest.collect()
}

#[derive(Deserialize)]
struct SendOk {
    offset: i64,
}

#[derive(Deserialize)]
struct PollOk<'a> {
    #[serde(borrow)]
    msgs: BTreeMap<String, &'a RawValue>,
}

#[derive(Deserialize)]
struct ListCommittedOffsetsOk {
    offsets: BTreeMap<String, i64>,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum AnswerBody<'a> {
    #[serde(rename = "send_ok")]
    Sent { offset: i64 },
    #[serde(rename = "poll_ok")]
    Messages { msgs: &'a BTreeMap<String, Entries> },
    #[serde(rename = "commit_offsets_ok")]
    Committed,
    #[serde(rename = "list_committed_offsets_ok")]
    Offsets { offsets: &'a BTreeMap<String, i64> },
}

impl Workload for Kafka {
    type Call = Call;
    type Answer = Answer;

    const NAME: &'static str = "kafka";
    const HAS_LAST_PHASE: bool = true;

    fn next_call(&mut self, turn: Turn<'_>) -> Call {
        let Turn {
            client, at, random, ..
        } = turn;
        let consumer = self.consumers.entry(client);
        let consumer = consumer.or_insert_with(|| Consumer::new(at, random));
        if at >= consumer.dies_at {
            *consumer = Consumer::new(at, random);
        }
        if random.random_range(0..ASSIGN_EVERY) == 0 {
            return Call::ListCommittedOffsets(self.choice(random));
        }
        match self.keys.access(random) {
            Access::Read(_) => Call::Poll(consumer.offsets.clone()),
            Access::Write(key, value) => Call::Send {
                key: key.to_string(),
                message: Value::from(value),
            },
        }
    }

    fn last_call(&mut self, client: usize) -> Option<Call> {
        let goals = self.goals.get_or_insert_with(|| self.highest.clone());
        let offsets: BTreeMap<_, _> = goals.keys().map(|key| (key.clone(), 0)).collect();
        let consumer = Consumer {
            offsets: offsets.clone(),
            dies_at: Duration::MAX,
        };
        self.consumers.insert(client, consumer);
        (!offsets.is_empty()).then_some(Call::Poll(offsets))
    }

    fn follow_up(&mut self, answered: &Operation<Call, Answer>) -> Option<FollowUp<Call>> {
        let client = answered.client;
        let mut polled = BTreeMap::new();
        match (&answered.call, &answered.outcome) {
            (Call::Send { key, .. }, Outcome::Ok(Answer::Sent(offset))) => {
                self.note_sent(key, *offset);
            }
            (Call::ListCommittedOffsets(keys), Outcome::Ok(Answer::Offsets(committed))) => {
                self.assign(client, keys, committed);
            }
            (Call::Poll(_), Outcome::Ok(Answer::Messages(messages))) => {
                polled = highest_polled(messages);
                self.note_polled(&polled);
                if let Some(consumer) = self.consumers.get_mut(&client) {
                    for (key, offset) in &polled {
                        raise(&mut consumer.offsets, key, offset.saturating_add(1));
                    }
                }
            }
            _ => {}
        }
        if !polled.is_empty() {
            return Some(FollowUp {
                call: Call::CommitOffsets(polled),
                after: Duration::ZERO,
            });
        }
        let is_poll = matches!(answered.call, Call::Poll(_));
        let after = if is_poll {
            LAST_POLL_INTERVAL
        } else {
            Duration::ZERO
        };
        answered
            .is_final
            .then(|| self.last_poll(client, after))
            .flatten()
    }

    fn request_kind(call: &Call) -> &'static str {
        match call {
            Call::Send { .. } => "send",
            Call::Poll(_) => "poll",
            Call::CommitOffsets(_) => "commit_offsets",
            Call::ListCommittedOffsets(_) => "list_committed_offsets",
        }
    }

    fn write_request<'o>(call: &Call, body: BodyWriter<'o>) -> BodyWriter<'o> {
        match call {
            Call::Send { key, message } => {
                body.field("key", key.as_str()).json_field("msg", message)
            }
            Call::Poll(offsets) | Call::CommitOffsets(offsets) => {
                body.json_field("offsets", offsets)
            }
            Call::ListCommittedOffsets(keys) => body.json_field("keys", keys),
        }
    }

    fn read_answer(&mut self, call: &Call, reply: &Reply<'_>) -> Result<Answer, String> {
        match call {
            Call::Send { .. } => reply
                .fields("send_ok")
                .map(|SendOk { offset }| Answer::Sent(offset)),
            Call::Poll(_) => {
                let PollOk { msgs } = reply.fields("poll_ok")?;
                let entries = msgs.into_iter();
                let entries = entries.map(|(key, json)| Ok((key, self.entries.read(json)?)));
                let entries: Result<_, serde_json::Error> = entries.collect();
                let entries = entries.map_err(|error| json_error(&error))?;
                Ok(Answer::Messages(entries))
            }
            Call::CommitOffsets(_) => reply.done("commit_offsets_ok", Answer::Committed),
            Call::ListCommittedOffsets(_) => reply
                .fields("list_committed_offsets_ok")
                .map(|ListCommittedOffsetsOk { offsets }| Answer::Offsets(offsets)),
        }
    }

    fn answer_body(_: &Call, answer: &Answer) -> impl Serialize {
        match answer {
            Answer::Sent(offset) => AnswerBody::Sent { offset: *offset },
            Answer::Messages(msgs) => AnswerBody::Messages { msgs },
            Answer::Committed => AnswerBody::Committed,
            Answer::Offsets(offsets) => AnswerBody::Offsets { offsets },
        }
    }

    fn judge(&self, history: &[Operation<Call, Answer>]) -> Judgement {
        kafka::judge(history)
    }
}
