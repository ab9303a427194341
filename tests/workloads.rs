//! Every workload from end to end: a node that does as it should is valid, and each that is wrong on purpose is caught
//! and named.
#![cfg(feature = "workbench")]

mod command;

use command::{assert_ends_with, eddy, program, stderr, stdout};
use serde_json::Value;

/// A node in Python. It begins with `state`; for each message, `kind` and `body` say what was asked, and what it does
/// first is `wrong`, which may `continue`, then `right`.
fn node(state: &str, wrong: &str, right: &str) -> String {
    let indented = |text: &str| text.replace('\n', "\n    ");
    format!(
        r#"#!/usr/bin/env python3
import json, sys
def say(dest, body):
    print(json.dumps({{"src": me, "dest": dest, "body": body}}), flush=True)
def reply(**fields):
    say(message["src"], dict(fields, in_reply_to=body["msg_id"]))
def refuse(code):
    reply(type="error", code=code, text="no")
def share(**fields):
    for peer in peers: say(peer, dict(fields, type="share"))
count = 0
{state}
for line in sys.stdin:
    message = json.loads(line)
    body = message["body"]
    kind = body["type"]
    if kind == "init":
        me = body["node_id"]
        peers = [other for other in body["node_ids"] if other != me]
        reply(type="init_ok")
        continue
    count += 1
    {}
    {}
"#,
        indented(wrong),
        indented(right)
    )
}

/// A kind of node to be tested.
struct Kind {
    workload: &'static str,
    state: &'static str,
    right: &'static str,
    flags: &'static str,
}

impl Kind {
    /// Runs a node that is wrong in that way, and gives its exit code and what was said.
    fn run(&self, name: &str, wrong: &str, more: &str) -> (i32, String) {
        let name = format!("{}-{name}.py", self.workload);
        let path = program(&name, &node(self.state, wrong, self.right));
        let flags = format!("{} --recovery 0 {more}", self.flags);
        let output = eddy(self.workload, &path, &flags).output();
        let output = output.expect("eddy is built");
        assert_eq!(stderr(&output), "");
        (output.status.code().expect("a code"), stdout(&output))
    }

    #[track_caller]
    fn assert_valid(&self, name: &str, more: &str) {
        let (code, said) = self.run(name, "pass", more);
        assert_eq!(code, 0, "{said}");
    }

    #[track_caller]
    fn assert_caught(&self, name: &str, wrong: &str, words: &str) {
        let (code, said) = self.run(name, wrong, "");
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(words), "no {words:?} in: {said}");
    }
}

const BROADCAST: Kind = Kind {
    workload: "broadcast",
    state: "seen = []",
    right: r#"
if kind == "topology":
    neighbors = body["topology"][me]
    reply(type="topology_ok")
elif kind == "read":
    reply(type="read_ok", messages=seen)
else:
    if body["message"] not in seen: seen.append(body["message"])
    if kind == "broadcast":
        share(message=body["message"])
        reply(type="broadcast_ok")"#,
    flags: "--nodes a,b,c --rate 100 --time-limit 1",
};

#[test]
fn broadcast_on_every_topology_is_valid() {
    for topology in ["grid", "line", "total", "tree2", "tree3", "tree4"] {
        BROADCAST.assert_valid("right", &format!("--time-limit 0.3 --topology {topology}"));
    }
}

#[test]
fn broadcast_tells_how_long_messages_took_to_reach_all() {
    let (_, said) = BROADCAST.run("timed", "pass", "--json");
    let report: Value = serde_json::from_str(&said).expect("one JSON object");
    assert_eq!(report["facts"]["stable"], report["facts"]["attempts"]);
    assert!(report["facts"]["stable_latencies_ms"]["0.5"].is_number());
    // Each message goes to two others.
    let messages = &report["messages"];
    let broadcasts = &report["operations_by_type"]["broadcast"]["ok"];
    assert_eq!(
        messages["servers"].as_u64(),
        broadcasts.as_u64().map(|count| 2 * count)
    );
    assert_eq!(messages["servers"], messages["servers_received"]);
}

#[test]
fn a_lost_message_is_caught() {
    let wrong =
        "if kind == 'broadcast' and body['message'] == 3: reply(type='broadcast_ok'); continue";
    BROADCAST.assert_caught("loses", wrong, "3 was lost: it was acknowledged");
}

#[test]
fn a_message_that_a_partition_kept_from_a_node_is_caught() {
    let (code, said) = BROADCAST.run(
        "does-not-repeat",
        "pass",
        "--nemesis partition --nemesis-interval 0.2",
    );
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("never reached node"), "{said}");
}

#[test]
fn a_message_that_one_node_dropped_is_caught_and_the_node_is_named() {
    let wrong = "if kind == 'share' and me == 'b' and body['message'] == 3: continue";
    BROADCAST.assert_caught("drops", wrong, "3 never reached node b");
}

#[test]
fn a_message_that_is_told_twice_is_caught() {
    let wrong =
        "if kind == 'read' and seen: reply(type='read_ok', messages=seen + seen[:1]); continue";
    BROADCAST.assert_caught("doubles", wrong, "more than once");
}

#[test]
fn a_message_out_of_nowhere_is_caught() {
    let wrong = "if kind == 'read': reply(type='read_ok', messages=seen + ['hello']); continue";
    BROADCAST.assert_caught("invents", wrong, "which nobody ever sent");
}

#[test]
fn a_node_that_refuses_its_topology_is_told_what_is_right() {
    let refuses = node(BROADCAST.state, "refuse(10)\ncontinue", "");
    let path = program("refuses-topology.py", &refuses);
    let output = eddy("broadcast", &path, "--node-count 1").output();
    let output = output.expect("eddy is built");
    assert_ends_with(3, &output);
    let said = stderr(&output);
    assert!(said.contains("only topology_ok is an answer"), "{said}");
}

const G_SET: Kind = Kind {
    workload: "g-set",
    state: "elements = []",
    right: r#"
if kind == "read":
    reply(type="read_ok", value=elements)
else:
    elements.append(body["element"])
    if kind == "add":
        share(element=body["element"])
        reply(type="add_ok")"#,
    flags: "--nodes a,b,c --rate 100 --time-limit 1",
};

#[test]
fn a_right_set_is_valid() {
    G_SET.assert_valid("right", "");
}

#[test]
fn an_element_that_was_dropped_is_caught() {
    let wrong = "if kind == 'add' and body['element'] == 3: reply(type='add_ok'); continue";
    G_SET.assert_caught("drops", wrong, "3 was lost");
}

const COUNTER_RIGHT: &str = r#"
if kind == "read":
    reply(type="read_ok", value=total)
else:
    total += body["delta"]
    if kind == "add":
        share(delta=body["delta"])
        reply(type="add_ok")"#;

const PN_COUNTER: Kind = Kind {
    workload: "pn-counter",
    state: "total = 0; done = False",
    right: COUNTER_RIGHT,
    flags: "--nodes a,b,c --rate 100 --time-limit 1",
};

const G_COUNTER: Kind = Kind {
    workload: "g-counter",
    ..PN_COUNTER
};

#[test]
fn a_right_counter_is_valid() {
    PN_COUNTER.assert_valid("right", "");
    G_COUNTER.assert_valid("right", "--consistency-models eventual");
}

#[test]
fn an_add_that_was_counted_twice_is_caught() {
    let wrong = "if kind == 'add' and body['delta'] > 0 and not done:\n    done = True\n    total += body['delta']";
    PN_COUNTER.assert_caught("doubles", wrong, "was counted twice or out of nowhere");
}

#[test]
fn an_add_that_was_dropped_is_caught() {
    let wrong = "if kind == 'add' and body['delta'] > 0 and not done:\n    done = True\n    reply(type='add_ok')\n    continue";
    G_COUNTER.assert_caught("drops", wrong, "is missing");
}

#[test]
fn a_stale_read_of_a_counter_is_caught_at_the_levels_that_forbid_it() {
    let stale = "if kind == 'read' and count < 60: reply(type='read_ok', value=0); continue";
    for (models, expected) in [("eventual", 0), ("regular", 1), ("linearizable", 1)] {
        let flags = format!("--node-count 1 --consistency-models {models}");
        let (code, said) = G_COUNTER.run(&format!("stale-{models}"), stale, &flags);
        assert_eq!(code, expected, "{models}: {said}");
    }
}

#[test]
fn a_node_without_a_client_is_no_fault() {
    PN_COUNTER.assert_valid("few-clients", "--concurrency 1");
}

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
    let (code, said) = KAFKA.run("right", "pass", "--json");
    assert_eq!(code, 0, "{said}");
    let report: Value = serde_json::from_str(&said).expect("one JSON object");
    assert_eq!(report["facts"]["unobserved"], 0);
    for kind in ["send", "poll", "commit_offsets", "list_committed_offsets"] {
        let ok = &report["operations_by_type"][kind]["ok"];
        assert!(ok.as_u64() > Some(3), "{kind}: {report}");
    }
}

#[test]
fn a_message_that_no_poll_tells_is_caught() {
    let wrong = "if kind == 'send' and body['msg'] == 3:\n    logs.setdefault(body['key'], []).append(None)\n    reply(type='send_ok', offset=len(logs[body['key']]) - 1)\n    continue\nif kind == 'poll':\n    msgs = {key: [[o, m] for o, m in enumerate(logs.get(key, [])) if o >= first and m] for key, first in body['offsets'].items()}\n    reply(type='poll_ok', msgs=msgs)\n    continue";
    KAFKA.assert_caught("loses", wrong, "lost");
}

#[test]
fn a_poll_that_skips_an_offset_is_caught() {
    let wrong = "if kind == 'poll' and count % 2:\n    msgs = {key: [[o, m] for o, m in enumerate(logs.get(key, [])) if o >= first and o != 3] for key, first in body['offsets'].items()}\n    reply(type='poll_ok', msgs=msgs)\n    continue";
    KAFKA.assert_caught("skips", wrong, "skips the message at 3");
}

#[test]
fn an_offset_that_is_given_out_twice_is_caught() {
    let wrong = "if kind == 'send' and body['msg'] == 3:\n    log = logs.setdefault(body['key'], [0])\n    log[-1] = body['msg']\n    reply(type='send_ok', offset=len(log) - 1)\n    continue";
    KAFKA.assert_caught("reuses", wrong, "offset");
}

#[test]
fn a_committed_offset_that_nobody_committed_is_caught() {
    let wrong = "if kind == 'list_committed_offsets': reply(type='list_committed_offsets_ok', offsets={key: 1000 for key in body['keys']}); continue";
    KAFKA.assert_caught("commits", wrong, "Node n0 told 1000 as committed");
}

const LIN_KV: Kind = Kind {
    workload: "lin-kv",
    state: "store = {}; last = {}",
    right: r#"
key = body["key"]
if kind == "write":
    last[key] = store.get(key)
    store[key] = body["value"]
    reply(type="write_ok")
elif key not in store:
    refuse(20)
elif kind == "read":
    reply(type="read_ok", value=store[key])
elif store[key] != body["from"]:
    refuse(22)
else:
    last[key] = store[key]
    store[key] = body["to"]
    reply(type="cas_ok")"#,
    flags: "--node-count 1 --concurrency 4 --rate 500 --time-limit 1",
};

#[test]
fn a_right_store_is_valid() {
    LIN_KV.assert_valid("right", "");
}

#[test]
fn a_stale_copy_is_caught() {
    let wrong = "if kind == 'read' and last.get(body['key']) is not None: reply(type='read_ok', value=last[body['key']]); continue";
    LIN_KV.assert_caught("stale", wrong, "linearizable");
}

#[test]
fn a_cas_that_ignores_what_it_should_compare_is_caught() {
    let wrong = "if kind == 'cas' and body['key'] in store: body['from'] = store[body['key']]";
    LIN_KV.assert_caught("careless", wrong, "linearizable");
}

const TXN_RW_REGISTER: Kind = Kind {
    workload: "txn-rw-register",
    state: r#"
db = {}
def run(txn):
    done = []
    for f, key, value in txn:
        if f == "w": db[key] = value
        done.append([f, key, db.get(key)])
    return done"#,
    right: r#"reply(type="txn_ok", txn=run(body["txn"]))"#,
    flags: "--node-count 1 --concurrency 4 --rate 500 --time-limit 1",
};

#[test]
fn right_registers_are_valid_even_strictly() {
    TXN_RW_REGISTER.assert_valid("right", "--availability total");
}

#[test]
fn a_dirty_read_is_caught_unless_reads_of_what_is_uncommitted_are_allowed() {
    let dirty = "if count % 5 == 0: run(body['txn']); refuse(30); continue";
    for (models, expected) in [("read-uncommitted", 0), ("read-committed", 1)] {
        let flags = format!("--consistency-models {models}");
        let (code, said) = TXN_RW_REGISTER.run(&format!("dirty-{models}"), dirty, &flags);
        assert_eq!(code, expected, "{models}: {said}");
    }
}

#[test]
fn refused_transactions_count_against_availability() {
    let conflicts = "if count % 5 == 0: refuse(30); continue";
    let (code, said) = TXN_RW_REGISTER.run("conflicts", conflicts, "--availability total");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("--availability total wants all"), "{said}");
    let (code, said) = TXN_RW_REGISTER.run("conflicts-less", conflicts, "--availability 0.5");
    assert_eq!(code, 0, "{said}");
}

const TXN_LIST_APPEND: Kind = Kind {
    workload: "txn-list-append",
    state: r#"
db = {}
def run(txn):
    done = []
    for f, key, value in txn:
        if f == "append":
            db.setdefault(key, []).append(value)
            done.append([f, key, value])
        else:
            done.append([f, key, list(db[key]) if key in db else None])
    return done"#,
    right: r#"reply(type="txn_ok", txn=run(body["txn"]))"#,
    flags: "--node-count 1 --concurrency 4 --rate 500 --time-limit 1",
};

#[test]
fn right_lists_are_valid_even_strictly() {
    TXN_LIST_APPEND.assert_valid("right", "");
}

#[test]
fn a_stale_list_is_caught() {
    let wrong = "txn = run(body['txn'])\nreply(type='txn_ok', txn=[[f, key, value[:-1] if f == 'r' and value else value] for f, key, value in txn])\ncontinue";
    TXN_LIST_APPEND.assert_caught("stale", wrong, "T");
}

#[test]
fn several_runs_have_seeds_of_their_own_and_the_first_wrong_one_is_the_last() {
    let (code, said) = G_SET.run("many", "pass", "--time-limit 0.2 --test-count 3 --json");
    assert_eq!(code, 0, "{said}");
    let reports = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let seeds: Vec<Value> = reports
        .map(|report: Value| report["seed"].clone())
        .collect();
    assert_eq!(seeds, [1, 2, 3]);
    let wrong = "if kind == 'read': reply(type='read_ok', value=[]); continue";
    let (code, said) = G_SET.run("many-wrong", wrong, "--time-limit 0.2 --test-count 3");
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("run 1 of 3") && !said.contains("run 2 of 3"),
        "{said}"
    );
    assert!(
        said.contains("--seed 1") && !said.contains("--test-count"),
        "{said}"
    );
}

#[test]
fn a_model_that_does_not_exist_or_fit_is_told() {
    let path = program("never-run.py", "#!/usr/bin/env python3\n");
    for (workload, flags, words) in [
        (
            "txn-rw-register",
            "--consistency-models strict",
            "read-committed",
        ),
        (
            "g-counter",
            "--consistency-models serializable",
            "linearizable",
        ),
        (
            "echo",
            "--consistency-models serializable",
            "for transactions and counters",
        ),
        ("echo", "--username admin", "nobody logs in"),
    ] {
        let output = eddy(workload, &path, flags).output();
        let output = output.expect("eddy is built");
        assert_ends_with(3, &output);
        let said = stderr(&output);
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn shells_get_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let path = env!("CARGO_BIN_EXE_eddy");
        let output = std::process::Command::new(path)
            .args(["completions", shell])
            .output()
            .expect("eddy is built");
        assert_ends_with(0, &output);
        assert!(stdout(&output).contains("max-writes-per-key"), "{shell}");
    }
}
