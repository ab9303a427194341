//! `kafka`.

use serde_json::Value;

use crate::Kind;

const KAFKA: Kind = Kind {
    workload: "kafka",
    state: "logs = {}; committed = {}",
    right: r#"
if kind == "send":
    log = logs.setdefault(body["key"], [])
    log.append(body["msg"])
    reply(type="send_ok", offset=len(log) - 1)
elif kind == "poll":
    told = {}
    for key, first in body["offsets"].items():
        told[key] = [[offset, msg] for offset, msg in enumerate(logs.get(key, []))][first:]
    reply(type="poll_ok", msgs=told)
elif kind == "commit_offsets":
    for key, offset in body["offsets"].items():
        committed[key] = max(offset, committed.get(key, 0))
    reply(type="commit_offsets_ok")
else:
    offsets = {key: committed[key] for key in body["keys"] if key in committed}
    reply(type="list_committed_offsets_ok", offsets=offsets)"#,
    flags: "--node-count 1 --concurrency 4 --rate 1000 --time-limit 1",
};

#[test]
fn right_logs_are_valid_and_every_message_is_polled_in_the_end() {
    let (code, printed) = KAFKA.run("right", "pass", "--json");
    assert_eq!(code, 0, "{printed}");
    let report: Value = serde_json::from_str(&printed).expect("one JSON object");
    assert_eq!(report["facts"]["unobserved"], 0);
    for kind in ["send", "poll", "commit_offsets", "list_committed_offsets"] {
        let ok = &report["operations_by_type"][kind]["ok"];
        assert!(ok.as_u64() > Some(3), "{kind}: {report}");
    }
}

#[test]
fn a_message_that_no_poll_returns_is_caught() {
    let wrong = "if kind == 'send' and body['msg'] == 3:\n    logs.setdefault(body['key'], []).append(None)\n    reply(type='send_ok', offset=len(logs[body['key']]) - 1)\n    continue\nif kind == 'poll':\n    msgs = {key: [[o, m] for o, m in enumerate(logs.get(key, [])) if o >= first and m] for key, first in body['offsets'].items()}\n    reply(type='poll_ok', msgs=msgs)\n    continue";
    KAFKA.assert_caught("loses", wrong, "was lost: offset");
}

#[test]
fn a_message_that_is_acknowledged_and_never_returned_to_anyone_is_caught() {
    let wrong = "if kind == 'poll': reply(type='poll_ok', msgs={}); continue";
    KAFKA.assert_caught(
        "hides",
        wrong,
        "no poll ever returned it, not even the last ones",
    );
    let wrong = "if kind == 'poll' and len(body['offsets']) > 2: reply(type='error', code=11); continue\nif kind == 'poll': reply(type='poll_ok', msgs={}); continue";
    KAFKA.assert_caught("refuses", wrong, "no last poll of that log was answered");
}

#[test]
fn a_poll_that_skips_an_offset_is_caught() {
    let wrong = "if kind == 'poll' and count % 2:\n    msgs = {key: [[o, m] for o, m in enumerate(logs.get(key, [])) if o >= first and o != 3] for key, first in body['offsets'].items()}\n    reply(type='poll_ok', msgs=msgs)\n    continue";
    KAFKA.assert_caught("skips", wrong, "skips the message at 3");
}

#[test]
fn an_offset_that_is_given_out_twice_is_caught() {
    let wrong = "if kind == 'send' and body['msg'] == 3:\n    log = logs.setdefault(body['key'], [0])\n    log[-1] = body['msg']\n    reply(type='send_ok', offset=len(log) - 1)\n    continue";
    KAFKA.assert_caught("reuses", wrong, "was lost: offset");
}

#[test]
fn a_committed_offset_that_nobody_committed_is_caught() {
    let wrong = "if kind == 'list_committed_offsets': reply(type='list_committed_offsets_ok', offsets={key: 1000 for key in body['keys']}); continue";
    KAFKA.assert_caught("commits", wrong, "Node n0 reported 1000 as committed");
}
