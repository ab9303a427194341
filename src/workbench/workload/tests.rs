//! Requests as nodes receive them, with the fields and types of upstream's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;
use crate::workbench::check::{
    counter, kafka as kafka_checker, lin_kv as lin_kv_checker, set, txn as txn_checker,
};
use crate::workbench::json::Json;
use crate::workbench::random::Stream;

fn request<W: Workload>(call: &W::Call) -> String {
    let mut body = Vec::new();
    let writer = BodyWriter::new(&mut body, W::request_kind(call));
    drop(W::write_request(call, writer));
    String::from_utf8(body).expect("JSON")
}

fn answer<W: Workload>(
    workload: &mut W,
    call: &W::Call,
    kind: &str,
    mut body: Value,
) -> Result<W::Answer, String> {
    body["type"] = kind.into();
    let body = body.to_string();
    workload.read_answer(call, &Reply::read(&body).expect("an object"))
}

const KEY_LIMITS: KeyLimits = KeyLimits {
    key_count: 10,
    max_writes_per_key: 16,
};

const TXN_LIMITS: TxnLimits = TxnLimits {
    keys: KEY_LIMITS,
    max_txn_length: 4,
};

fn messages(json: &str) -> kafka_checker::Messages {
    let messages =
        kafka_checker::AllMessages::default().read(serde_json::from_str(json).expect("JSON"));
    messages.expect("lists of pairs")
}

#[test]
fn a_broadcast_is_a_message_and_a_topology_names_every_neighbour() {
    let call = set::Call::Add(3);
    assert_eq!(
        request::<Broadcast>(&call),
        r#"{"type":"broadcast","message":3}"#
    );
    let nodes = ["a", "b"].map(String::from);
    let broadcast = Broadcast::new(Topology::Line, &nodes);
    let introduction = broadcast.introduction().expect("a topology");
    assert_eq!(
        introduction.field,
        ("topology", json!({"a": ["b"], "b": ["a"]}))
    );
}

#[test]
fn a_set_is_added_to_by_element_and_read_as_value() {
    let call = set::Call::Add(3);
    assert_eq!(request::<GSet>(&call), r#"{"type":"add","element":3}"#);
    assert_eq!(
        answer(
            &mut GSet::default(),
            &set::Call::Read,
            "read_ok",
            json!({"value": [1]})
        ),
        Ok(set::Answer::Elements(
            serde_json::from_str("[1]").expect("a list")
        ))
    );
}

#[test]
fn a_counter_is_added_to_by_delta() {
    let call = counter::Call::Add(-3);
    assert_eq!(request::<PnCounter>(&call), r#"{"type":"add","delta":-3}"#);
}

#[test]
fn logs_have_strings_for_keys() {
    let offsets = BTreeMap::from([("9".into(), 3)]);
    for (call, expected) in [
        (
            kafka_checker::Call::Send {
                key: "9".into(),
                message: json!(1).into(),
            },
            r#"{"type":"send","key":"9","msg":1}"#,
        ),
        (
            kafka_checker::Call::Poll(BTreeMap::new()),
            r#"{"type":"poll","offsets":{}}"#,
        ),
        (
            kafka_checker::Call::CommitOffsets(offsets),
            r#"{"type":"commit_offsets","offsets":{"9":3}}"#,
        ),
        (
            kafka_checker::Call::ListCommittedOffsets(vec!["9".into()]),
            r#"{"type":"list_committed_offsets","keys":["9"]}"#,
        ),
    ] {
        assert_eq!(request::<Kafka>(&call), expected);
    }
    let mut kafka = Kafka::new(KEY_LIMITS);
    let call = kafka_checker::Call::Poll(BTreeMap::new());
    assert_eq!(
        answer(
            &mut kafka,
            &call,
            "poll_ok",
            json!({"msgs": {"9": [[0, 1], [1, 2]]}})
        ),
        Ok(kafka_checker::Answer::Messages(messages(
            r#"{"9":[[0,1],[1,2]]}"#
        )))
    );
}

#[test]
fn a_store_has_numbers_for_keys_and_its_errors_show_its_contents() {
    let cas = lin_kv_checker::Call::Cas {
        key: json!(0).into(),
        from: json!(2).into(),
        to: json!(4).into(),
    };
    assert_eq!(
        request::<LinKv>(&cas),
        r#"{"type":"cas","key":0,"from":2,"to":4}"#
    );
    let write = lin_kv_checker::Call::Write(json!(0).into(), json!(3).into());
    assert_eq!(
        request::<LinKv>(&write),
        r#"{"type":"write","key":0,"value":3}"#
    );
    let different = LinKv::answer_in_error(&cas, 22).expect("an answer");
    assert_eq!(different, lin_kv_checker::Answer::Different);
    assert!(!LinKv::is_success(&different));
    assert_eq!(LinKv::answer_in_error(&write, 22), None);
}

#[test]
fn a_transaction_is_a_list_of_steps() {
    let read = |value: Value| txn_checker::Step::Read {
        key: json!(9).into(),
        value: value.into(),
    };
    let write = txn_checker::Step::Write {
        key: json!(8).into(),
        value: json!(1).into(),
    };
    let call = vec![read(Value::Null), write.clone()];
    assert_eq!(
        request::<TxnRwRegister>(&call),
        r#"{"type":"txn","txn":[["r",9,null],["w",8,1]]}"#
    );
    assert_eq!(
        request::<TxnListAppend>(&call),
        r#"{"type":"txn","txn":[["r",9,null],["append",8,1]]}"#
    );
    let body = json!({"txn": [["r", 9, [1, 2]], ["append", 8, 1]]});
    assert_eq!(
        answer(
            &mut TxnListAppend::new(TXN_LIMITS, Vec::new()),
            &call,
            "txn_ok",
            body.clone()
        ),
        Ok(vec![read(json!([1, 2])), write])
    );
    let read = TxnRwRegister::read_request("txn", &request::<TxnRwRegister>(&call));
    let capacity = read.expect("a transaction").capacity();
    assert_eq!(capacity, call.len(), "a long history has millions of them");
    let error = answer(
        &mut TxnRwRegister::new(TXN_LIMITS, Vec::new()),
        &call,
        "txn_ok",
        body,
    )
    .expect_err("no such step");
    assert!(error.contains(r#"a step "append""#), "{error}");
}

/// Reads the example of a reply to this request, and the same without each of its fields, which are no replies. Returns
/// the type of the request.
fn read_example<W: Workload>(workload: &mut W, call: &W::Call) -> &'static str {
    let kind = W::request_kind(call);
    let example = W::example_reply(kind).expect(kind);
    let reply = Reply::read(example).expect("an object");
    workload.read_answer(call, &reply).expect(kind);
    let fields: serde_json::Map<String, Value> = serde_json::from_str(example).expect("an object");
    for name in fields.keys() {
        let mut others = fields.clone();
        others.remove(name);
        let others = Value::from(others).to_string();
        let reply = Reply::read(&others).expect("an object");
        let Err(error) = workload.read_answer(call, &reply) else {
            panic!("{others} is taken for a reply to {kind}");
        };
        assert!(error.contains(&**name), "{error}");
    }
    kind
}

/// Draws requests until there was one of each type of which there is an example of a reply, and reads the examples.
fn read_examples<W: Workload>(mut workload: W) {
    let mut random = Stream::Generator.seeded(1);
    let mut kinds = BTreeSet::new();
    for _ in 0..1000 {
        let turn = Turn {
            client: 0,
            place: 0,
            at: Duration::ZERO,
            random: &mut random,
        };
        let call = workload.next_call(turn);
        kinds.insert(read_example(&mut workload, &call));
    }
    assert_eq!(kinds.len(), W::REPLIES.len(), "{}", W::NAME);
}

#[test]
fn the_example_of_a_reply_is_a_reply() {
    read_examples(Echo);
    read_examples(UniqueIds);
    read_examples(Broadcast::new(Topology::Line, &[]));
    read_examples(GSet::default());
    read_examples(GCounter::new(Vec::new()));
    read_examples(PnCounter::new(Vec::new()));
    read_examples(LinKv::new(1, 1));
    read_examples(TxnRwRegister::new(TXN_LIMITS, Vec::new()));
    read_examples(TxnListAppend::new(TXN_LIMITS, Vec::new()));
    // Clients of kafka commit only what they have received.
    for call in [
        kafka_checker::Call::Send {
            key: "9".into(),
            message: json!(1).into(),
        },
        kafka_checker::Call::Poll(BTreeMap::new()),
        kafka_checker::Call::CommitOffsets(BTreeMap::new()),
        kafka_checker::Call::ListCommittedOffsets(Vec::new()),
    ] {
        read_example(&mut Kafka::new(KEY_LIMITS), &call);
    }
}

#[test]
fn an_answer_has_the_declared_fields_and_no_other() {
    let mut workload = Broadcast::new(Topology::Line, &[]);
    let call = set::Call::Add(3);
    let good = json!({"type": "broadcast_ok", "in_reply_to": 1, "msg_id": 9});
    assert!(answer(&mut workload, &call, "broadcast_ok", good).is_ok());
    for (field, value) in [
        ("message", json!(3)),
        ("code", json!(3)),
        ("code", json!(null)),
    ] {
        let mut body = json!({"type": "broadcast_ok", "in_reply_to": 1});
        body[field] = value;
        let error = answer(&mut workload, &call, "broadcast_ok", body).expect_err("a copied body");
        let named = format!("a field {field:?}, and Maelstrom refuses broadcast_ok");
        assert!(error.contains(&named), "{error}");
    }
    for msg_id in [json!(null), json!("1"), json!(1.0)] {
        let body = json!({"type": "broadcast_ok", "in_reply_to": 1, "msg_id": msg_id});
        let error = answer(&mut workload, &call, "broadcast_ok", body).expect_err("no number");
        assert!(
            error.contains(&format!("its msg_id is {msg_id}")),
            "{error}"
        );
    }
    let body = json!({"type": "read_ok", "in_reply_to": 1, "key": 0, "value": 3});
    let read = lin_kv_checker::Call::Read(json!(0).into());
    let error = answer(&mut LinKv::new(1, 1), &read, "read_ok", body);
    let error = error.expect_err("a copied body");
    assert!(error.contains(r#"a field "key""#), "{error}");
}

#[test]
fn the_id_of_an_answer_is_a_whole_number_of_any_size() {
    for msg_id in ["9223372036854775808", "-36893488147419103232"] {
        let body = format!(r#"{{"type":"broadcast_ok","in_reply_to":1,"msg_id":{msg_id}}}"#);
        let reply = Reply::read(&body).expect("an object");
        let mut workload = Broadcast::new(Topology::Line, &[]);
        let answer = workload.read_answer(&set::Call::Add(3), &reply);
        assert_eq!(answer, Ok(set::Answer::Added));
    }
}

#[test]
fn a_list_that_is_null_is_empty() {
    let null = json!({"messages": null});
    let mut workload = Broadcast::new(Topology::Line, &[]);
    let read = answer(&mut workload, &set::Call::Read, "read_ok", null);
    assert_eq!(read, Ok(set::Answer::Elements(Default::default())));

    let null = json!({"value": null});
    let read = answer(&mut GSet::default(), &set::Call::Read, "read_ok", null);
    assert_eq!(read, Ok(set::Answer::Elements(Default::default())));

    let null = json!({"msgs": {"9": null}});
    let poll = kafka_checker::Call::Poll(BTreeMap::new());
    let polled = answer(&mut Kafka::new(KEY_LIMITS), &poll, "poll_ok", null);
    let Ok(kafka_checker::Answer::Messages(logs)) = polled else {
        panic!("{polled:?}");
    };
    assert!(logs.logs["9"].list.is_empty());

    let null = json!({"txn": null});
    let mut lists = TxnListAppend::new(TXN_LIMITS, Vec::new());
    let steps = answer(&mut lists, &Vec::new(), "txn_ok", null);
    assert_eq!(steps, Ok(Vec::new()));
}

#[test]
fn a_list_that_is_not_there_is_no_empty_list() {
    let mut workload = Broadcast::new(Topology::Line, &[]);
    let read = answer(&mut workload, &set::Call::Read, "read_ok", json!({}));
    assert_eq!(read, Err(String::from("missing field `messages`")));
}

/// Asserts that an answer is written as it was on the wire.
#[track_caller]
fn assert_written<W: Workload>(workload: &mut W, call: &W::Call, body: Value) {
    let kind = body["type"].as_str().expect("a type");
    let read = if kind == "error" {
        W::answer_in_error(call, body["code"].as_i64().expect("a code"))
    } else {
        answer(workload, call, kind, body.clone()).ok()
    };
    let read = read.expect("an answer");
    let written = serde_json::to_value(W::answer_body(call, &read));
    assert_eq!(written.expect("JSON"), body);
}

#[test]
fn every_answer_is_written_as_it_was_on_the_wire() {
    assert_written(
        &mut Echo,
        &crate::workbench::check::echo::Call(json!(1).into()),
        json!({"type": "echo_ok", "echo": [1, "a"]}),
    );
    assert_written(
        &mut UniqueIds,
        &crate::workbench::check::unique_ids::Call,
        json!({"type": "generate_ok", "id": "n1-7"}),
    );
    let send = set::Call::Add(3);
    assert_written(
        &mut Broadcast::new(Topology::Line, &[]),
        &send,
        json!({"type": "broadcast_ok"}),
    );
    let messages = json!({"type": "read_ok", "messages": [1, 2]});
    assert_written(
        &mut Broadcast::new(Topology::Line, &[]),
        &set::Call::Read,
        messages,
    );
    assert_written(
        &mut GSet::default(),
        &set::Call::Add(3),
        json!({"type": "add_ok"}),
    );
    let elements = json!({"type": "read_ok", "value": [1, 2]});
    assert_written(&mut GSet::default(), &set::Call::Read, elements);
    assert_written(
        &mut GCounter::default(),
        &counter::Call::Add(3),
        json!({"type": "add_ok"}),
    );
    let total = json!({"type": "read_ok", "value": -3});
    assert_written(&mut PnCounter::default(), &counter::Call::Read, total);

    let mut kafka = Kafka::new(KEY_LIMITS);
    use kafka_checker::Call::{CommitOffsets, ListCommittedOffsets, Poll, Send};
    let (key, message) = ("9".into(), json!(5).into());
    let sent = json!({"type": "send_ok", "offset": 7});
    assert_written(&mut kafka, &Send { key, message }, sent);
    let polled = json!({"type": "poll_ok", "msgs": {"9": [[7, 5], [8, 6]]}});
    assert_written(&mut kafka, &Poll(BTreeMap::new()), polled);
    let committed = json!({"type": "commit_offsets_ok"});
    assert_written(&mut kafka, &CommitOffsets(BTreeMap::new()), committed);
    let listed = json!({"type": "list_committed_offsets_ok", "offsets": {"9": 7}});
    assert_written(&mut kafka, &ListCommittedOffsets(Vec::new()), listed);

    let mut lin_kv = LinKv::new(1, 1);
    let cas = lin_kv_checker::Call::Cas {
        key: json!(0).into(),
        from: json!(1).into(),
        to: json!(2).into(),
    };
    let read = lin_kv_checker::Call::Read(json!(0).into());
    let write = lin_kv_checker::Call::Write(json!(0).into(), json!(1).into());
    assert_written(&mut lin_kv, &read, json!({"type": "read_ok", "value": 1}));
    assert_written(&mut lin_kv, &read, json!({"type": "error", "code": 20}));
    assert_written(&mut lin_kv, &write, json!({"type": "write_ok"}));
    assert_written(&mut lin_kv, &cas, json!({"type": "cas_ok"}));
    assert_written(&mut lin_kv, &cas, json!({"type": "error", "code": 22}));

    let registers = json!({"type": "txn_ok", "txn": [["r", 1, null], ["w", 1, 6]]});
    assert_written(
        &mut TxnRwRegister::new(TXN_LIMITS, Vec::new()),
        &Vec::new(),
        registers,
    );
    let lists = json!({"type": "txn_ok", "txn": [["r", 1, [1, 2]], ["append", 1, 3]]});
    assert_written(
        &mut TxnListAppend::new(TXN_LIMITS, Vec::new()),
        &Vec::new(),
        lists,
    );
}

#[test]
fn a_group_of_lin_kv_changes_its_key_when_twenty_clients_have_used_it() {
    let mut lin_kv = LinKv::new(1, 2);
    let mut random = Stream::Generator.seeded(1);
    let mut key_of = |client: usize| {
        let turn = Turn {
            client,
            place: client % 2,
            at: Duration::ZERO,
            random: &mut random,
        };
        lin_kv.next_call(turn).key().clone()
    };
    for client in (0..1000).map(|turn| turn % 2).chain(2..20).chain([0]) {
        assert_eq!(key_of(client), Json::from(0u64), "{client}");
    }
    for client in 20..40 {
        assert_eq!(key_of(client), Json::from(1u64), "{client}");
    }
    assert_eq!(key_of(40), Json::from(2u64));
}
