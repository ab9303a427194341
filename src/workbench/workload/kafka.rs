mod processes;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::time::Duration;

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::event::{Event, unknown};
use super::keys::{Access, Keys};
use super::reply::{Unread, fields};
use super::{FollowUp, KeyLimits, Reply, Turn, Workload, json_error};
use crate::workbench::body::BodyWriter;
use crate::workbench::check::Verdict;
use crate::workbench::check::kafka::{self, AllMessages, Answer, Call, Key, Messages, Offsets};
use crate::workbench::history::{Operation, Outcome};
use crate::workbench::json::Json;
use crate::workbench::random::Random;
use processes::Processes;

/// One in this many turns of a client chooses logs to read.
const ASSIGN_EVERY: u32 = 64;

/// One in this many choices of logs includes all logs with messages that nobody has polled.
const CATCH_UP_EVERY: u32 = 3;

/// The mean lifetime of a consumer, in seconds.
const LIFETIME_S: f64 = 30.0;

/// The time that a client waits in the last phase before it polls again after an empty reply.
const LAST_POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The maximum number of logs in a repeated poll of the last phase. If a node returns a few messages at a time, polls
/// of all logs would have a total size quadratic in the number of logs.
const LAST_POLL_LOGS: usize = 256;

/// Kafka-style logs, named by their keys.
///
/// Every client sends to logs and is a consumer of some. Now and then it chooses new ones: it requests their committed
/// offsets, and polls from there. It commits polled messages at once. Consumers have a limited lifetime, after which
/// the client continues as a new consumer without logs. In the last phase, every client polls all logs from their
/// beginnings, and repeats the poll for logs of which it has not reached the highest offset in any reply.
pub struct Kafka {
    keys: Keys,
    consumers: HashMap<usize, Consumer>,
    /// For logs with messages that nobody has polled, the highest sent offset; and the highest polled offset of each
    /// log.
    unseen: Offsets,
    polled: Offsets,
    /// The highest offset of each log in any reply.
    highest: Offsets,
    /// In the last phase, the offset up to which each log must be polled.
    goals: Option<Offsets>,
    messages: AllMessages,
    /// The processes of an imported history.
    processes: Processes,
}

struct Consumer {
    /// The next offset to poll of each chosen log. In the last phase, only logs that are not complete.
    offsets: Offsets,
    dies_at: Duration,
    /// The last log of its last poll in the last phase.
    last_polled: Key,
}

impl Consumer {
    fn new(now: Duration, random: &mut Random) -> Self {
        let lifetime_s = random.random_range(0.0..2.0 * LIFETIME_S);
        Consumer {
            offsets: BTreeMap::new(),
            dies_at: now + Duration::from_secs_f64(lifetime_s),
            last_polled: Key::default(),
        }
    }

    /// A consumer of the last phase, which has polled nothing.
    fn of_all<'a>(keys: impl Iterator<Item = &'a Key>) -> Self {
        Consumer {
            offsets: keys.map(|key| (key.clone(), 0)).collect(),
            dies_at: Duration::MAX,
            last_polled: Key::default(),
        }
    }

    /// The next few incomplete logs, in turn.
    fn next_logs(&mut self) -> Offsets {
        let turn = (Bound::Excluded(&*self.last_polled), Bound::Unbounded);
        let logs = self.offsets.range::<str, _>(turn).chain(&self.offsets);
        let logs = logs.take(LAST_POLL_LOGS.min(self.offsets.len()));
        let logs: Vec<_> = logs.map(|(key, at)| (key.clone(), *at)).collect();
        if let Some((last, _)) = logs.last() {
            self.last_polled.clone_from(last);
        }
        logs.into_iter().collect()
    }
}

impl Kafka {
    /// Logs without messages.
    pub fn new(limits: KeyLimits) -> Self {
        Kafka {
            keys: Keys::new(limits),
            consumers: HashMap::new(),
            unseen: BTreeMap::new(),
            polled: BTreeMap::new(),
            highest: BTreeMap::new(),
            goals: None,
            messages: AllMessages::default(),
            processes: Processes::default(),
        }
    }

    /// The logs that a client chooses to read.
    fn choice(&mut self, random: &mut Random) -> Vec<Key> {
        let key = self.keys.any(random).to_string().into();
        let mut keys = vec![key];
        if random.random_range(0..CATCH_UP_EVERY) == 0 {
            let unseen = self.unseen.keys().filter(|&unseen| *unseen != keys[0]);
            let unseen: Vec<_> = unseen.cloned().collect();
            keys.extend(unseen);
        }
        keys
    }

    fn note_sent(&mut self, key: &Key, offset: i64) {
        raise(&mut self.highest, key, offset);
        if self.polled.get(key).is_none_or(|&polled| polled < offset) {
            raise(&mut self.unseen, key, offset);
        }
    }

    fn note_polled(&mut self, offsets: &Offsets) {
        for (key, &offset) in offsets {
            raise(&mut self.highest, key, offset);
            raise(&mut self.polled, key, offset);
            if self.unseen.get(key).is_some_and(|&sent| sent <= offset) {
                self.unseen.remove(key);
            }
        }
    }

    /// A client has got the committed offsets of the logs that it chose. It continues at its own offset if it has one, and
    /// else begins at the committed one, as upstream's means to: that one looks for it in the wrong place, and begins at 0.
    fn assign(&mut self, client: usize, keys: &[Key], committed: &Offsets) {
        let Some(consumer) = self.consumers.get_mut(&client) else {
            return;
        };
        let from = |key: &Key| {
            let own = consumer.offsets.get(key);
            own.or(committed.get(key)).copied().unwrap_or(0)
        };
        consumer.offsets = keys.iter().map(|key| (key.clone(), from(key))).collect();
    }

    /// A consumer has polled up to these offsets.
    fn advance(&mut self, client: usize, polled: &Offsets) {
        let Some(Consumer { offsets, .. }) = self.consumers.get_mut(&client) else {
            return;
        };
        for (key, &offset) in polled {
            let goal = self.goals.as_ref().map(|goals| goals.get(key));
            match goal {
                // In the last phase, this log is complete. A log without a goal has no messages that must be polled.
                Some(goal) if goal.is_none_or(|&goal| goal <= offset) => {
                    offsets.remove(key);
                }
                _ => raise(offsets, key, offset.saturating_add(1)),
            }
        }
    }

    /// The next request of a client in the last phase; `None` if its logs are complete.
    fn last_follow_up(&mut self, answered: &Operation<Call, Answer>) -> Option<FollowUp<Call>> {
        let consumer = self.consumers.get_mut(&answered.client)?;
        if consumer.offsets.is_empty() {
            return None;
        }
        let (call, after) = match (&answered.call, &answered.outcome) {
            // A poll without a reply is repeated unchanged: a node must be able to answer a poll of all logs.
            (Call::Poll(_), Outcome::Ok(_)) => {
                (Call::Poll(consumer.next_logs()), LAST_POLL_INTERVAL)
            }
            (Call::Poll(_), _) => (answered.call.clone(), LAST_POLL_INTERVAL),
            _ => (Call::Poll(consumer.next_logs()), Duration::ZERO),
        };
        Some(FollowUp { call, after })
    }
}

fn raise(offsets: &mut Offsets, key: &Key, offset: i64) {
    match offsets.get_mut(key) {
        Some(highest) => *highest = offset.max(*highest),
        None => {
            offsets.insert(key.clone(), offset);
        }
    }
}

#[derive(Deserialize)]
struct Send {
    key: Key,
    msg: Json,
}

#[derive(Deserialize)]
struct OffsetsField {
    offsets: Offsets,
}

#[derive(Deserialize)]
struct Logs {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SendOk {
    offset: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PollOk {
    msgs: Unread,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListCommittedOffsetsOk {
    offsets: Offsets,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum AnswerBody<'a> {
    #[serde(rename = "send_ok")]
    Sent { offset: i64 },
    #[serde(rename = "poll_ok")]
    Messages { msgs: &'a Messages },
    #[serde(rename = "commit_offsets_ok")]
    Committed,
    #[serde(rename = "list_committed_offsets_ok")]
    Offsets { offsets: &'a Offsets },
}

impl Workload for Kafka {
    type Call = Call;
    type Answer = Answer;

    const NAME: &'static str = "kafka";
    const HAS_LAST_PHASE: bool = true;
    const DISPENSABLE: &'static [&'static str] = &["list_committed_offsets"];
    const REPLIES: &'static [&'static str] = &[
        r#"{"type":"send_ok","offset":0}"#,
        r#"{"type":"poll_ok","msgs":{"k1":[[0,9],[1,5]]}}"#,
        r#"{"type":"commit_offsets_ok"}"#,
        r#"{"type":"list_committed_offsets_ok","offsets":{"k1":1}}"#,
    ];

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
                key: key.to_string().into(),
                message: Json::from(value),
            },
        }
    }

    fn last_call(&mut self, client: usize) -> Option<Call> {
        let goals = self.goals.get_or_insert_with(|| self.highest.clone());
        let consumer = Consumer::of_all(goals.keys());
        let offsets = consumer.offsets.clone();
        self.consumers.insert(client, consumer);
        (!offsets.is_empty()).then_some(Call::Poll(offsets))
    }

    fn follow_up(&mut self, answered: &Operation<Call, Answer>) -> Option<FollowUp<Call>> {
        let client = answered.client;
        match (&answered.call, &answered.outcome) {
            (Call::Send { key, .. }, Outcome::Ok(Answer::Sent(offset))) => {
                self.note_sent(key, *offset);
            }
            (Call::ListCommittedOffsets(keys), Outcome::Ok(Answer::Offsets(committed))) => {
                self.assign(client, keys, committed);
            }
            (Call::Poll(_), Outcome::Ok(Answer::Messages(messages))) => {
                let polled = &messages.highest;
                // These are used to choose logs and to set goals, which is over in the last phase.
                if !answered.is_final {
                    self.note_polled(polled);
                }
                self.advance(client, polled);
                if !polled.is_empty() {
                    return Some(FollowUp {
                        call: Call::CommitOffsets(polled.clone()),
                        after: Duration::ZERO,
                    });
                }
            }
            _ => {}
        }
        answered
            .is_final
            .then(|| self.last_follow_up(answered))
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
            Call::Send { key, message } => body.field("key", &**key).json_field("msg", message),
            Call::Poll(offsets) | Call::CommitOffsets(offsets) => {
                body.json_field("offsets", offsets)
            }
            Call::ListCommittedOffsets(keys) => body.json_field("keys", keys),
        }
    }

    fn read_request(kind: &str, body: &str) -> Result<Call, String> {
        match kind {
            "send" => fields(body).map(|Send { key, msg }| Call::Send { key, message: msg }),
            "poll" => fields(body).map(|OffsetsField { offsets }| Call::Poll(offsets)),
            "commit_offsets" => {
                fields(body).map(|OffsetsField { offsets }| Call::CommitOffsets(offsets))
            }
            "list_committed_offsets" => {
                fields(body).map(|Logs { keys }| Call::ListCommittedOffsets(keys))
            }
            _ => Err(unknown::<Self>(kind)),
        }
    }

    fn read_invocation(&mut self, event: &mut Event<'_>) -> Result<Option<Call>, String> {
        self.processes.read_invocation(event)
    }

    fn read_completion(&mut self, call: &Call, event: &Event<'_>) -> Result<Answer, String> {
        self.processes
            .read_completion(call, event, &mut self.messages)
    }

    fn read_answer(&mut self, call: &Call, reply: &Reply<'_>) -> Result<Answer, String> {
        match call {
            Call::Send { .. } => reply
                .fields("send_ok")
                .map(|SendOk { offset }| Answer::Sent(offset)),
            Call::Poll(_) => {
                let PollOk { msgs: Unread } = reply.fields("poll_ok")?;
                let messages = reply.value("msgs").ok_or("missing field `msgs`")?;
                let messages = self.messages.read(messages);
                messages
                    .map(Answer::Messages)
                    .map_err(|error| json_error(&error))
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

    fn check(&self, history: &[Operation<Call, Answer>]) -> Verdict {
        kafka::check(history)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;

    use super::*;
    use crate::workbench::check::testing::{failed, operation};
    use crate::workbench::random::Stream;

    const LOGS: i64 = 3 * LAST_POLL_LOGS as i64;

    /// A workload whose clients know this many logs with one message each.
    fn many_logs() -> Kafka {
        let mut kafka = Kafka::new(KeyLimits {
            key_count: 1,
            max_writes_per_key: 1,
        });
        for log in 0..LOGS {
            kafka.note_sent(&log.to_string().into(), 0);
        }
        kafka
    }

    /// The next request of a client after its last poll had this outcome and its commit was acknowledged.
    fn next(kafka: &mut Kafka, poll: Call, outcome: Outcome<Answer>) -> Option<Call> {
        let mut answered = operation(0, 0..1, poll, outcome);
        answered.is_final = true;
        let mut call = kafka.follow_up(&answered)?.call;
        if matches!(call, Call::CommitOffsets(_)) {
            let mut committed = operation(0, 1..2, call, Outcome::Ok(Answer::Committed));
            committed.is_final = true;
            call = kafka.follow_up(&committed)?.call;
        }
        Some(call)
    }

    fn asked(call: &Call) -> Vec<&Key> {
        match call {
            Call::Poll(offsets) => offsets.keys().collect(),
            _ => panic!("no poll: {call:?}"),
        }
    }

    /// A reply with the message of each of these logs.
    fn polled<'a>(logs: impl IntoIterator<Item = &'a Key>) -> Outcome<Answer> {
        let logs = logs.into_iter().map(|log| (log.clone(), [(0, 1)]));
        let json = to_raw_value(&logs.collect::<BTreeMap<_, _>>()).expect("JSON");
        let messages = AllMessages::default().read(&json).expect("pairs");
        Outcome::Ok(Answer::Messages(messages))
    }

    #[test]
    fn a_consumer_begins_at_the_committed_offset_and_else_continues_where_it_was() {
        let mut kafka = many_logs();
        let mut random = Stream::Generator.seeded(1);
        kafka
            .consumers
            .insert(0, Consumer::new(Duration::ZERO, &mut random));
        let keys = ["1", "2"].map(Key::from);
        let call = Call::ListCommittedOffsets(keys.to_vec());
        let committed = BTreeMap::from([(keys[0].clone(), 7)]);
        let answer = Outcome::Ok(Answer::Offsets(committed));
        kafka.follow_up(&operation(0, 0..1, call.clone(), answer));
        let expected = [(keys[0].clone(), 7), (keys[1].clone(), 0)];
        assert_eq!(kafka.consumers[&0].offsets, BTreeMap::from(expected));

        let committed = keys.clone().map(|key| (key, 2)).into();
        let answer = Outcome::Ok(Answer::Offsets(committed));
        kafka.follow_up(&operation(0, 2..3, call, answer));
        let expected = [(keys[0].clone(), 7), (keys[1].clone(), 0)];
        assert_eq!(kafka.consumers[&0].offsets, BTreeMap::from(expected));
    }

    #[test]
    fn last_a_client_asks_for_all_logs_until_that_is_answered_and_then_for_what_it_lacks_in_turn() {
        let mut kafka = many_logs();
        let all = kafka.last_call(0).expect("there are logs");
        assert_eq!(asked(&all).len(), LOGS as usize);
        let again = next(&mut kafka, all.clone(), failed()).expect("it has seen nothing");
        assert_eq!(again, all);

        let half = asked(&all).into_iter().step_by(2);
        let poll = next(&mut kafka, again, polled(half)).expect("half is left");
        let rest: Vec<_> = asked(&all).into_iter().skip(1).step_by(2).collect();
        assert_eq!(asked(&poll), rest[..LAST_POLL_LOGS]);

        // The reply is empty, so other logs come next.
        let poll = next(&mut kafka, poll, polled([])).expect("all of these are left");
        let (others, first) = (&rest[LAST_POLL_LOGS..], &rest[..LAST_POLL_LOGS / 2]);
        let mut expected = [first, others].concat();
        expected.sort();
        assert_eq!(asked(&poll), expected);

        let all_of_it = polled(asked(&poll));
        let poll = next(&mut kafka, poll, all_of_it).expect("some are left");
        assert_eq!(asked(&poll), rest[LAST_POLL_LOGS / 2..LAST_POLL_LOGS]);
        let all_of_it = polled(asked(&poll));
        assert_eq!(next(&mut kafka, poll, all_of_it), None);
    }
}
