use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::event::{self, Event, unknown};
use super::reply::fields;
use super::{Reply, Turn, Workload};
use crate::protocol::ErrorCode;
use crate::workbench::body::BodyWriter;
use crate::workbench::check::Verdict;
use crate::workbench::check::lin_kv::{self, Answer, Call};
use crate::workbench::history::Operation;
use crate::workbench::json::Json;
use crate::workbench::random::Random;

/// A key-value store in which each key is linearizable.
///
/// As upstream, groups of two clients per node share a key: one half reads, the other half writes and does cas. A group
/// changes to the next key when 20 clients have used it, the replaced ones among them. If there are too few clients for a
/// group, or some are left over, those do all kinds of operations; upstream does not run with such numbers.
pub struct LinKv {
    group_size: usize,
    client_count: usize,
    /// The state of each group.
    groups: HashMap<usize, Group>,
    next_key: u64,
}

struct Group {
    key: u64,
    /// The clients that have used the key.
    clients: BTreeSet<usize>,
}

/// So many clients use a key at most, unless a group has more: those that were replaced count, too.
const CLIENTS_MAX: usize = 20;

impl LinKv {
    /// A store on `node_count` nodes, for `client_count` clients.
    pub fn new(node_count: usize, client_count: usize) -> Self {
        LinKv {
            group_size: 2 * node_count,
            client_count,
            groups: HashMap::new(),
            next_key: 0,
        }
    }

    /// The key of a client's group.
    fn key(&mut self, group: usize, client: usize) -> Json {
        let clients_max = CLIENTS_MAX.max(self.group_size);
        let next_key = &mut self.next_key;
        let mut fresh = || {
            *next_key += 1;
            Group {
                key: *next_key - 1,
                clients: BTreeSet::new(),
            }
        };
        let group = self.groups.entry(group).or_insert_with(&mut fresh);
        if group.clients.len() >= clients_max && !group.clients.contains(&client) {
            *group = fresh();
        }
        group.clients.insert(client);
        Json::from(group.key)
    }
}

/// The codes of errors that show something about a key.
const MISSING: i64 = ErrorCode::KEY_DOES_NOT_EXIST.0;
const DIFFERENT: i64 = ErrorCode::PRECONDITION_FAILED.0;

/// A random value: one of few, so that a cas often succeeds.
fn value(random: &mut Random) -> Json {
    Json::Whole(random.random_range(0..5))
}

#[derive(Deserialize)]
struct Read {
    key: Json,
}

#[derive(Deserialize)]
struct Write {
    key: Json,
    value: Json,
}

#[derive(Deserialize)]
struct Cas {
    key: Json,
    from: Json,
    to: Json,
}

/// The key and the rest of a value `[key rest]` in Jepsen's histories; `None` for any other value.
fn keyed(value: &str) -> Option<(Json, &str)> {
    let (key, rest): (Json, &RawValue) = serde_json::from_str(value).ok()?;
    Some((key, rest.get()))
}

/// The key of the only register in a history without keys.
fn only_key() -> Json {
    Json::from("register")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadOk {
    value: Json,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum AnswerBody<'a> {
    ReadOk { value: &'a Json },
    WriteOk,
    CasOk,
    Error { code: i64 },
}

impl Workload for LinKv {
    type Call = Call;
    type Answer = Answer;

    const NAME: &'static str = "lin-kv";
    const HAS_LAST_PHASE: bool = false;
    const CLIENTS_STAY: bool = true;
    const REPLIES: &'static [&'static str] = &[
        r#"{"type":"read_ok","value":3}"#,
        r#"{"type":"write_ok"}"#,
        r#"{"type":"cas_ok"}"#,
    ];

    fn client_timeout(latency: Duration) -> Duration {
        (10 * latency).max(Duration::from_secs(1))
    }

    fn next_call(&mut self, turn: Turn<'_>) -> Call {
        let group = turn.place / self.group_size;
        let is_full = (group + 1) * self.group_size <= self.client_count;
        let key = self.key(group, turn.client);
        let reads = if is_full {
            turn.place % self.group_size < self.group_size / 2
        } else {
            turn.random.random()
        };
        if reads {
            return Call::Read(key);
        }
        if turn.random.random_range(0..3) == 0 {
            return Call::Write(key, value(turn.random));
        }
        let from = value(turn.random);
        let to = value(turn.random);
        Call::Cas { key, from, to }
    }

    fn request_kind(call: &Call) -> &'static str {
        match call {
            Call::Read(_) => "read",
            Call::Write(..) => "write",
            Call::Cas { .. } => "cas",
        }
    }

    fn write_request<'o>(call: &Call, body: BodyWriter<'o>) -> BodyWriter<'o> {
        let body = body.json_field("key", call.key());
        match call {
            Call::Read(_) => body,
            Call::Write(_, value) => body.json_field("value", value),
            Call::Cas { from, to, .. } => body.json_field("from", from).json_field("to", to),
        }
    }

    fn read_request(kind: &str, body: &str) -> Result<Call, String> {
        match kind {
            "read" => fields(body).map(|Read { key }| Call::Read(key)),
            "write" => fields(body).map(|Write { key, value }| Call::Write(key, value)),
            "cas" => fields(body).map(|Cas { key, from, to }| Call::Cas { key, from, to }),
            _ => Err(unknown::<Self>(kind)),
        }
    }

    fn read_invocation(&mut self, event: &mut Event<'_>) -> Result<Option<Call>, String> {
        let (key, rest) = match keyed(event.value) {
            // A cas of the only register: [from to].
            Some((_, to)) if event.function == "cas" && keyed(to).is_none() => {
                (only_key(), event.value)
            }
            Some(keyed) => keyed,
            None => (only_key(), event.value),
        };
        let call = match event.function {
            "read" => Call::Read(key),
            "write" => Call::Write(key, event::value(rest)?),
            "cas" => {
                let (from, to) = event::value(rest)?;
                Call::Cas { key, from, to }
            }
            _ => return Err(unknown::<Self>(event.function)),
        };
        Ok(Some(call))
    }

    fn read_completion(&mut self, call: &Call, event: &Event<'_>) -> Result<Answer, String> {
        if !matches!(call, Call::Read(_)) {
            return Ok(Answer::Done);
        }
        let rest = keyed(event.value).filter(|(key, _)| key == call.key());
        event::value(rest.map_or(event.value, |(_, rest)| rest)).map(Answer::Value)
    }

    fn read_answer(&mut self, call: &Call, reply: &Reply<'_>) -> Result<Answer, String> {
        match call {
            Call::Read(_) => reply
                .fields("read_ok")
                .map(|ReadOk { value }| Answer::Value(value)),
            Call::Write(..) => reply.done("write_ok", Answer::Done),
            Call::Cas { .. } => reply.done("cas_ok", Answer::Done),
        }
    }

    fn answer_in_error(call: &Call, code: i64) -> Option<Answer> {
        match (call, code) {
            (Call::Read(_) | Call::Cas { .. }, MISSING) => Some(Answer::Missing),
            (Call::Cas { .. }, DIFFERENT) => Some(Answer::Different),
            _ => None,
        }
    }

    fn answer_body(call: &Call, answer: &Answer) -> impl Serialize {
        match (answer, call) {
            (Answer::Value(value), _) => AnswerBody::ReadOk { value },
            (Answer::Done, Call::Cas { .. }) => AnswerBody::CasOk,
            (Answer::Done, _) => AnswerBody::WriteOk,
            (Answer::Missing, _) => AnswerBody::Error { code: MISSING },
            (Answer::Different, _) => AnswerBody::Error { code: DIFFERENT },
        }
    }

    fn is_success(answer: &Answer) -> bool {
        matches!(answer, Answer::Value(_) | Answer::Done)
    }

    fn check(&self, history: &[Operation<Call, Answer>]) -> Verdict {
        lin_kv::check(history)
    }
}
