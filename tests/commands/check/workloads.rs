//! A right and a wrong history of each workload in Jepsen's format.

use std::thread;

use super::{check, code_and_words, file};

/// Events as `process type f value`, one per line.
fn edn(events: &str) -> String {
    let event = |line: &str| {
        let mut words = line.trim().splitn(4, ' ');
        let mut next = || words.next().unwrap_or_default();
        let (process, kind) = (next(), next());
        format!(
            "{{:process {process}, :type :{kind}, :f :{}, :value {}}}\n",
            next(),
            next()
        )
    };
    events.trim().lines().map(event).collect()
}

/// Asserts that a history is valid, and that with `from` replaced by `to` it is invalid for a reason that contains
/// `words`.
#[track_caller]
fn assert_tells(workload: &str, more: &str, events: &str, [from, to]: [&str; 2], words: &str) {
    // Each test runs in a thread that has its name.
    let test = thread::current();
    let test = test.name().expect("a test has a name").replace(':', "-");
    let right = edn(events);
    let path = file(&format!("{test}-right.edn"), &right);
    let output = check(workload, &path, more);
    let (code, printed) = code_and_words(&output);
    assert_eq!(code, Some(0), "{printed}");
    assert!(
        printed.starts_with("valid: nothing is wrong with this history"),
        "{printed}"
    );

    let wrong = edn(&events.replace(from, to));
    assert_ne!(wrong, right);
    let path = file(&format!("{test}-wrong.edn"), &wrong);
    let output = check(workload, &path, more);
    let (code, printed) = code_and_words(&output);
    assert_eq!(code, Some(1), "{printed}");
    assert!(
        printed.starts_with("INVALID: this history shows what must not happen"),
        "{printed}"
    );
    assert!(printed.contains(words), "no {words:?} in: {printed}");
}

#[test]
fn broadcast() {
    let events = "
        0 invoke broadcast 7
        0 ok broadcast 7
        1 invoke read nil
        1 ok read [7]
        0 invoke read nil
        0 ok read [7]";
    let words = "7 was lost: a read of node p1 returned it, and";
    let lost = [
        "0 ok read [7]",
        "0 ok read []\n1 invoke read nil\n1 ok read []",
    ];
    assert_tells("broadcast", "", events, lost, words);
}

#[test]
fn g_set() {
    let events = "
        0 invoke add 7
        0 ok add 7
        1 invoke add 8
        1 info add 8
        0 invoke read nil
        0 ok read #{8 7}";
    let words = "7 was lost: it was acknowledged, but no read ever returned it.";
    assert_tells("g-set", "", events, ["#{8 7}", "#{8}"], words);
}

#[test]
fn counters() {
    let events = "
        0 invoke add 3
        0 ok add 3
        1 invoke add 4
        1 info add 4
        0 invoke read nil
        0 ok read 7";
    let wrong = ["ok read 7", "ok read 5"];
    let level = "--consistency-models linearizable";
    assert_tells("g-counter", level, events, wrong, "Client c0 read 5");
    let falls = events
        .replace("add 4", "add -4")
        .replace("read 7", "read -1");
    assert_tells(
        "pn-counter",
        level,
        &falls,
        ["ok read -1", "ok read -2"],
        "Client c0 read -2",
    );
}

#[test]
fn counters_are_held_to_reads_that_are_marked_as_the_last() {
    let history = "
        {:process 0, :type :invoke, :f :add, :value 3}
        {:process 0, :type :ok, :f :add, :value 3}
        {:process 0, :type :invoke, :f :read, :value nil, :final? true}
        {:process 0, :type :ok, :f :read, :value 2, :final? true}";
    let output = check("g-counter", &file("final.edn", history), "");
    let (code, printed) = code_and_words(&output);
    assert_eq!(code, Some(1), "{printed}");
    assert!(
        printed.contains("The final read of client c0 on node p0 says 2"),
        "{printed}"
    );
}

#[test]
fn a_counter_of_which_no_read_is_the_last_could_not_be_decided_unless_all_reads_count() {
    let history = edn("
        0 invoke add 3
        0 ok add 3
        0 invoke read nil
        0 ok read 3");
    let path = file("no-final.edn", history);
    let (code, printed) = code_and_words(&check("g-counter", &path, ""));
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains(":final? true"), "{printed}");
    let (code, printed) =
        code_and_words(&check("g-counter", &path, "--consistency-models regular"));
    assert_eq!(code, Some(0), "{printed}");
}

#[test]
fn kafka() {
    let events = "
        0 invoke send [[:send 9 :a]]
        0 ok send [[:send 9 [0 :a]]]
        0 invoke send [[:send 9 :b]]
        0 ok send [[:send 9 [1 :b]]]
        1 invoke assign [9]
        1 ok assign [9]
        1 invoke poll [[:poll]]
        1 ok poll [[:poll {9 [[0 :a] [1 :b]]}]]
        2 invoke crash nil
        2 info crash nil";
    let words = "Offset 0 of log \"9\" held both \"a\" and \"c\"";
    let wrong = ["[0 :a] [1 :b]", "[0 :c] [1 :b]"];
    assert_tells("kafka", "", events, wrong, words);
}

#[test]
fn lin_kv_of_one_register() {
    let events = "
        0 invoke read nil
        0 ok read nil
        0 invoke write 1
        0 ok write 1
        1 invoke cas [1 2]
        0 invoke cas [5 6]
        0 fail cas [5 6]
        1 ok cas [1 2]
        0 invoke read nil
        0 ok read 2";
    let words = "Key \"register\" is not linearizable";
    assert_tells("lin-kv", "", events, ["ok read 2", "ok read 1"], words);
}

#[test]
fn lin_kv_of_independent_registers() {
    let events = "
        0 invoke write [:x 1]
        0 ok write [:x 1]
        1 invoke cas [:x [1 2]]
        0 invoke write [:y 1]
        1 ok cas [:x [1 2]]
        0 ok write [:y 1]
        0 invoke read [:x nil]
        0 ok read [:x 2]";
    let words = "Key \"x\" is not linearizable";
    assert_tells(
        "lin-kv",
        "",
        events,
        ["ok read [:x 2]", "ok read [:x 1]"],
        words,
    );
}

#[test]
fn txn_list_append() {
    let events = "
        0 invoke txn [[:append 255 8] [:r 253 nil]]
        1 invoke txn [[:append 253 3] [:r 255 nil]]
        0 ok txn [[:append 255 8] [:r 253 [3]]]
        1 ok txn [[:append 253 3] [:r 255 nil]]
        1 invoke txn [[:r 253 nil] [:r 255 nil]]
        1 ok txn [[:r 253 [3]] [:r 255 [8]]]";
    let words = "Write skew (G2-item)";
    let wrong = [
        "[:append 255 8] [:r 253 [3]]",
        "[:append 255 8] [:r 253 nil]",
    ];
    assert_tells(
        "txn-list-append",
        "--consistency-models serializable",
        events,
        wrong,
        words,
    );
}

#[test]
fn txn_rw_register() {
    let events = "
        0 invoke txn [[:w :x 2]]
        0 ok txn [[:w :x 2]]
        0 invoke txn [[:r :x nil]]
        0 ok txn [[:r :x 2]]";
    let words = "Out of nowhere: T1 read 3 in key \"x\"";
    assert_tells(
        "txn-rw-register",
        "",
        events,
        ["[:r :x 2]", "[:r :x 3]"],
        words,
    );
}

#[test]
fn echo_and_unique_ids() {
    let events = "
        0 invoke echo \"a\"
        0 ok echo {:type \"echo_ok\", :echo \"a\"}";
    assert_tells(
        "echo",
        "",
        events,
        [":echo \"a\"}", ":echo \"b\"}"],
        "got back \"b\"",
    );
    let events = "
        0 invoke generate nil
        0 ok generate \"n0-1\"
        1 invoke generate nil
        1 ok generate \"n1-1\"";
    assert_tells(
        "unique-ids",
        "",
        events,
        ["n1-1", "n0-1"],
        "The id \"n0-1\" was given out 2 times",
    );
}

#[test]
fn evidence_names_the_line_of_the_invocation_in_the_file() {
    let history = edn("
        0 invoke txn [[:w :x 2]]
        0 ok txn [[:w :x 2]]
        3 invoke txn [[:r :x nil]]
        3 ok txn [[:r :x 3]]");
    let output = check("txn-rw-register", &file("lines.edn", history), "");
    let (_, printed) = code_and_words(&output);
    assert!(printed.contains("#1 (line 3), c3 to p3: txn"), "{printed}");
}
