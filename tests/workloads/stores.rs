//! `lin-kv` and transactions.

use crate::Kind;

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
        let (code, printed) = TXN_RW_REGISTER.run(&format!("dirty-{models}"), dirty, &flags);
        assert_eq!(code, expected, "{models}: {printed}");
        assert_eq!(printed.contains("was aborted"), expected == 1, "{printed}");
    }
}

#[test]
fn transactions_that_are_not_stored_are_warnings_where_the_model_permits_them() {
    let wrong = "reply(type='txn_ok', txn=body['txn']); continue";
    for kind in [TXN_RW_REGISTER, TXN_LIST_APPEND] {
        let (code, printed) = kind.run("empty", wrong, "--consistency-models read-committed");
        assert_eq!(code, 1, "{printed}");
        let (violations, warnings) = printed.split_once("\nWarnings:").expect("warnings");
        assert!(!violations.contains("  - "), "{printed}");
        for words in [
            "No read returned any of the ",
            "Contradiction within a transaction",
        ] {
            assert!(warnings.contains(words), "{printed}");
        }
    }
}

#[test]
fn refused_transactions_count_against_availability() {
    let conflicts = "if count % 5 == 0: refuse(30); continue";
    let (code, printed) = TXN_RW_REGISTER.run("conflicts", conflicts, "--availability total");
    assert_eq!(code, 1, "{printed}");
    assert!(
        printed.contains("Total availability is demanded (--availability total)"),
        "{printed}"
    );
    let (code, printed) = TXN_RW_REGISTER.run("conflicts-less", conflicts, "--availability 0.5");
    assert_eq!(code, 0, "{printed}");
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
    TXN_LIST_APPEND.assert_caught("stale", wrong, "read key");
}
