//! Input at each limit, and one above it.

use serde_json::{Value, json};

use crate::process::{ECHO, KAFKA, NODES, Process, TXN_LIST_APPEND, request};

/// The code of the error that a request gets; `None` if it succeeds, or waits for the store.
fn code(program: &str, client: &str, mut body: Value) -> Option<i64> {
    let mut node = Process::initialised(program, &[]);
    body["msg_id"] = json!(1);
    node.send(&request(client, body));
    let ended = node.end();
    assert_eq!(ended.exit_code, Some(0), "{program}: {}", ended.errors);
    let lines = ended.lines.iter();
    let mut messages = lines.map(|line| serde_json::from_str(line).expect("nodes write JSON"));
    let answer = messages
        .find(|message: &Value| message["dest"] == client)
        .expect("it is answered");
    // Operations that wait for the store at the end of the input can't complete.
    answer["body"]["code"].as_i64().filter(|code| *code != 11)
}

#[test]
fn a_sender_may_have_a_name_of_a_kibibyte() {
    let name = |bytes| "c".repeat(bytes);
    let echo = || json!({"type": "echo", "echo": 1});
    assert_eq!(code(ECHO, &name(1 << 10), echo()), None);
    for (program, _) in NODES {
        assert_eq!(code(program, &name((1 << 10) + 1), echo()), Some(12));
    }
}

#[test]
fn a_request_to_a_log_may_name_1024_keys_of_128_bytes() {
    let keys = |count: usize| (0..count).map(|key| format!("k{key}"));
    let list =
        |count| json!({"type": "list_committed_offsets", "keys": keys(count).collect::<Vec<_>>()});
    let send = |bytes| json!({"type": "send", "key": "k".repeat(bytes), "msg": 1});
    for (allowed, over) in [(list(1024), list(1025)), (send(128), send(129))] {
        assert_eq!(code(KAFKA, "c1", allowed), None);
        assert_eq!(code(KAFKA, "c1", over), Some(12));
    }
}

#[test]
fn an_entry_of_a_log_may_have_8_kibibytes() {
    // The limit includes the quotation marks.
    let text = |bytes: usize| "x".repeat(bytes - 2);
    let send = |bytes| json!({"type": "send", "key": "k", "msg": text(bytes)});
    assert_eq!(code(KAFKA, "c1", send(8 << 10)), None);
    assert_eq!(code(KAFKA, "c1", send((8 << 10) + 1)), Some(12));
    let append = |bytes| json!({"type": "txn", "txn": [["append", 1, text(bytes)]]});
    assert_eq!(code(TXN_LIST_APPEND, "c1", append(7 << 10)), None);
    assert_eq!(code(TXN_LIST_APPEND, "c1", append(9 << 10)), Some(12));
}
