//! The replies of a service on etcd.

use serde_json::{Value, json};

use super::real::{Real, etcd};
use super::service::Service;

fn connect(etcd: &Real) -> Service {
    Service::etcd(&[&etcd.url]).expect("it serves")
}

fn read(key: Value) -> Value {
    json!({"type": "read", "key": key})
}

fn write(key: Value, value: Value) -> Value {
    json!({"type": "write", "key": key, "value": value})
}

fn cas(key: Value, from: Value, to: Value) -> Value {
    json!({"type": "cas", "key": key, "from": from, "to": to})
}

fn create(key: Value, from: Value, to: Value) -> Value {
    json!({"type": "cas", "key": key, "from": from, "to": to, "create_if_not_exists": true})
}

#[test]
fn every_request_is_answered_as_by_this_crates_own_store() {
    let Some(etcd) = etcd("answers") else { return };
    let (mut service, mut own) = (connect(&etcd), Service::own());
    let value = json!({"list": [1, null, "ü\n\u{0}"], "big": 9007199254740993_u64});
    let requests = [
        read(json!("missing")),
        cas(json!("missing"), json!(1), json!(2)),
        read(json!("missing")),
        write(json!("a"), json!(1)),
        read(json!("a")),
        cas(json!("a"), json!(2), json!(3)),
        cas(json!("a"), json!(1), json!(1)),
        cas(json!("a"), json!(1), json!("1")),
        cas(json!("a"), json!(1), json!(2)),
        read(json!("a")),
        create(json!("b"), json!("other"), json!([0])),
        read(json!("b")),
        create(json!("b"), json!("other"), json!([1])),
        create(json!("b"), json!([0]), json!([1])),
        read(json!("b")),
        write(json!("c"), value.clone()),
        read(json!("c")),
        cas(json!("c"), value, json!(null)),
        read(json!("c")),
        cas(json!("c"), json!(false), json!(0)),
        write(json!(["any", {"json": 1}]), json!("value")),
        read(json!(["any", {"json": 1}])),
        write(json!(""), json!("")),
        read(json!("")),
        json!({"type": "write"}),
        json!({"type": "read"}),
        json!({"type": "delete", "key": "a"}),
    ];
    for (id, mut request) in requests.into_iter().enumerate() {
        request["msg_id"] = json!(id);
        let request = request.to_string();
        assert_eq!(service.ask(&request), own.ask(&request), "{request}");
    }
}

#[test]
fn values_are_compared_as_json_and_not_as_text() {
    let Some(etcd) = etcd("values") else { return };
    let mut service = connect(&etcd);
    let pairs = [
        (r#"{"a":1,"b":[2]}"#, r#"{"b": [2], "a": 1}"#, true),
        (r#""a""#, r#""\u0061""#, true),
        ("10.0", "1e1", true),
        ("1", "1.0", false),
        ("9007199254740992", "9007199254740993", false),
        (r#""\ud800""#, r#""\ud800""#, true),
        (r#""\ud800""#, r#""\ud801""#, false),
        ("[1,2]", "[2,1]", false),
    ];
    for (value, from, are_same) in pairs {
        let write = format!(r#"{{"type":"write","key":"k","value":{value},"msg_id":1}}"#);
        assert_eq!(service.ask(&write)["type"], "write_ok");
        let cas = format!(r#"{{"type":"cas","key":"k","from":{from},"to":0,"msg_id":2}}"#);
        let answer = service.ask(&cas);
        let wanted = if are_same { json!(null) } else { json!(22) };
        assert_eq!(answer["code"], wanted, "{value} {from}: {answer}");
    }
}

#[test]
fn a_run_begins_without_keys_and_leaves_none() {
    let Some(etcd) = etcd("keys") else { return };
    let mut service = connect(&etcd);
    let read = read(json!("k")).to_string();
    service.ask(&write(json!("k"), json!(1)).to_string());
    assert_eq!(service.ask(&read)["value"], 1);
    let mut other = connect(&etcd);
    assert_eq!(other.ask(&read)["code"], 20, "another run has other keys");
    let keys = all_keys(&etcd);
    assert_eq!(keys["count"], "1");
    let lease = &keys["kvs"][0]["lease"];
    assert!(lease.is_string(), "the key goes with its lease: {keys}");
    drop(service);
    assert_eq!(
        all_keys(&etcd)["count"],
        json!(null),
        "what is zero is left out"
    );
}

/// All keys in etcd.
fn all_keys(etcd: &Real) -> Value {
    let range = json!({"key": "AA==", "range_end": "AA=="}).to_string();
    let mut response = ureq::post(format!("{}/v3/kv/range", etcd.url)).send(range);
    let response = response.as_mut().expect("etcd responds").body_mut();
    let text = response.read_to_string().expect("text");
    serde_json::from_str(&text).expect("JSON")
}
