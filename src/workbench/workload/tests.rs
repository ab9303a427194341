//! Requests as nodes see them: the fields and types of upstream's.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::workbench::check::{
    broadcast, counter, g_set, kafka as kafka_judge, lin_kv as lin_kv_judge, txn as txn_judge,
};

fn request<W: Workload>(call: &W::Call) -> String {
    let mut body = Vec::new();
    let writer = BodyWriter::new(&mut body, W::request_kind(call));
    drop(W::write_request(call, writer));
    String::from_utf8(body).expect("JSON")
}

fn answer<W: Workload>(call: &W::Call, kind: &str, body: Value) -> Result<W::Answer, String> {
    let body = body.to_string();
    let body = body.as_bytes();
    W::read_answer(call, &Reply { kind, body })
}

#[test]
fn a_broadcast_is_a_message_and_a_topology_names_every_neighbour() {
    let call = broadcast::Call::Broadcast(json!(3));
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
    let call = g_set::Call::Add(json!(3));
    assert_eq!(request::<GSet>(&call), r#"{"type":"add","element":3}"#);
    assert_eq!(
        answer::<GSet>(&g_set::Call::Read, "read_ok", json!({"value": [1]})),
        Ok(g_set::Answer::Elements(vec![json!(1)]))
    );
}

#[test]
fn a_counter_is_added_to_by_delta() {
    let call = counter::Call::Add(-3);
    assert_eq!(request::<PnCounter>(&call), r#"{"type":"add","delta":-3}"#);
}

#[test]
fn logs_have_strings_for_keys() {
    let offsets = BTreeMap::from([(String::from("9"), 3)]);
    for (call, expected) in [
        (
            kafka_judge::Call::Send {
                key: String::from("9"),
                message: json!(1),
            },
            r#"{"type":"send","key":"9","msg":1}"#,
        ),
        (
            kafka_judge::Call::Poll(BTreeMap::new()),
            r#"{"type":"poll","offsets":{}}"#,
        ),
        (
            kafka_judge::Call::CommitOffsets(offsets),
            r#"{"type":"commit_offsets","offsets":{"9":3}}"#,
        ),
        (
            kafka_judge::Call::ListCommittedOffsets(vec![String::from("9")]),
            r#"{"type":"list_committed_offsets","keys":["9"]}"#,
        ),
    ] {
        assert_eq!(request::<Kafka>(&call), expected);
    }
    let call = kafka_judge::Call::Poll(BTreeMap::new());
    assert_eq!(
        answer::<Kafka>(&call, "poll_ok", json!({"msgs": {"9": [[0, 1], [1, 2]]}})),
        Ok(kafka_judge::Answer::Messages(BTreeMap::from([(
            String::from("9"),
            vec![(0, json!(1)), (1, json!(2))]
        )])))
    );
}

#[test]
fn a_store_has_numbers_for_keys_and_tells_by_errors_what_it_holds() {
    let cas = lin_kv_judge::Call::Cas {
        key: json!(0),
        from: json!(2),
        to: json!(4),
    };
    assert_eq!(
        request::<LinKv>(&cas),
        r#"{"type":"cas","key":0,"from":2,"to":4}"#
    );
    let write = lin_kv_judge::Call::Write(json!(0), json!(3));
    assert_eq!(
        request::<LinKv>(&write),
        r#"{"type":"write","key":0,"value":3}"#
    );
    let different = LinKv::answer_in_error(&cas, 22).expect("an answer");
    assert_eq!(different, lin_kv_judge::Answer::Different);
    assert!(!LinKv::is_success(&different));
    assert_eq!(LinKv::answer_in_error(&write, 22), None);
}

#[test]
fn a_transaction_is_a_list_of_steps() {
    let read = |value| txn_judge::Step::Read {
        key: json!(9),
        value,
    };
    let write = txn_judge::Step::Write {
        key: json!(8),
        value: json!(1),
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
        answer::<TxnListAppend>(&call, "txn_ok", body.clone()),
        Ok(vec![read(json!([1, 2])), write])
    );
    let error = answer::<TxnRwRegister>(&call, "txn_ok", body).expect_err("no such step");
    assert!(error.contains(r#"a step "append""#), "{error}");
}
