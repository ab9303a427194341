use serde_json::json;

use super::*;
use crate::workbench::check::{counter, echo, kafka, lin_kv, set, txn, unique_ids};
use crate::workbench::history::Outcome;
use crate::workbench::json::Json;
use crate::workbench::workload::{
    Broadcast, Echo, GCounter, GSet, Kafka, KeyLimits, LinKv, PnCounter, Topology, TxnLimits,
    TxnListAppend, TxnRwRegister, UniqueIds,
};

fn import<W: Workload>(mut workload: W, text: &str) -> Result<Import<W>, ImportError> {
    read(text.as_bytes(), &mut workload, |_| {})
}

/// The operations and their outcomes.
type Asked<W> = Vec<(<W as Workload>::Call, Outcome<<W as Workload>::Answer>)>;

#[track_caller]
fn asked<W: Workload>(workload: W, text: &str) -> Asked<W> {
    let import = import(workload, text).unwrap_or_else(|error| panic!("{error}"));
    let operations = import.operations.into_iter();
    operations
        .map(|operation| (operation.call, operation.outcome))
        .collect()
}

/// Reads events of one process, one per line, as `:type :f value`.
fn history(events: &str) -> String {
    let event = |line: &str| {
        let mut words = line.trim().splitn(3, ' ');
        let mut next = || words.next().unwrap_or_default();
        format!(
            "{{:process 0, :type {}, :f {}, :value {}}}\n",
            next(),
            next(),
            next()
        )
    };
    events.trim().lines().map(event).collect()
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).expect("JSON")
}

const KEYS: KeyLimits = KeyLimits {
    key_count: 1,
    max_writes_per_key: 1,
};

const TXN: TxnLimits = TxnLimits {
    keys: KEYS,
    max_txn_length: 1,
};

#[test]
fn a_set_is_read_with_its_elements_in_any_kind_of_list() {
    use set::{Answer, Call};
    let elements = |text: &str| -> set::Elements { serde_json::from_str(text).expect("a list") };
    let text = history(
        ":invoke :add 7
         :ok :add 7
         :invoke :read nil
         :ok :read #{7 8}
         :invoke :read nil
         :ok :read nil",
    );
    let expected = vec![
        (Call::Add(7), Outcome::Ok(Answer::Added)),
        (
            Call::Read,
            Outcome::Ok(Answer::Elements(elements("[7, 8]"))),
        ),
        (Call::Read, Outcome::Ok(Answer::Elements(elements("[]")))),
    ];
    assert_eq!(asked(GSet::default(), &text), expected);
}

#[test]
fn broadcast_echo_and_ids_are_read() {
    let text = history(
        ":invoke :broadcast 7
         :ok :broadcast 7
         :invoke :read nil
         :ok :read (7)",
    );
    let messages = serde_json::from_str("[7]").expect("a list");
    let expected = vec![
        (set::Call::Add(7), Outcome::Ok(set::Answer::Added)),
        (
            set::Call::Read,
            Outcome::Ok(set::Answer::Elements(messages)),
        ),
    ];
    assert_eq!(asked(Broadcast::new(Topology::Grid, &[]), &text), expected);

    let text = history(
        ":invoke :echo \"a\"
         :ok :echo {:type \"echo_ok\", :in_reply_to 1, :echo \"b\"}",
    );
    let answer = Outcome::Ok(echo::Answer("b".into()));
    assert_eq!(asked(Echo, &text), vec![(echo::Call("a".into()), answer)]);

    let text = history(
        ":invoke :generate nil
         :ok :generate 123456789012345678901N",
    );
    let id = unique_ids::Answer(json("123456789012345678901"));
    assert_eq!(
        asked(UniqueIds, &text),
        vec![(unique_ids::Call, Outcome::Ok(id))]
    );
}

#[test]
fn a_counter_rises_and_falls() {
    use counter::{Answer, Call};
    let text = history(
        ":invoke :add -5
         :ok :add -5
         :invoke :read nil
         :ok :read -5",
    );
    let expected = vec![
        (Call::Add(-5), Outcome::Ok(Answer::Added)),
        (Call::Read, Outcome::Ok(Answer::Value(-5))),
    ];
    assert_eq!(asked(PnCounter::new(vec![]), &text), expected);
    assert_eq!(asked(GCounter::new(vec![]), &text), expected);
}

#[test]
fn registers_are_known_by_keys_or_there_is_but_one() {
    use lin_kv::{Answer, Call};
    let events = |key: &str| {
        let tuple = |rest: &str| {
            if key.is_empty() {
                rest.to_owned()
            } else {
                format!("[{key} {rest}]")
            }
        };
        history(&format!(
            ":invoke :write {1}
             :ok :write {1}
             :invoke :cas {2}
             :ok :cas {2}
             :invoke :read {0}
             :ok :read {3}
             :invoke :read {0}
             :ok :read {0}",
            tuple("nil"),
            tuple("1"),
            tuple("[1 2]"),
            tuple("2"),
        ))
    };
    for (key, name) in [("", json!("register")), (":x", json!("x")), ("7", json!(7))] {
        let key_of = || Json::from(name.clone());
        let expected = vec![
            (
                Call::Write(key_of(), Json::Whole(1)),
                Outcome::Ok(Answer::Done),
            ),
            (
                Call::Cas {
                    key: key_of(),
                    from: Json::Whole(1),
                    to: Json::Whole(2),
                },
                Outcome::Ok(Answer::Done),
            ),
            (
                Call::Read(key_of()),
                Outcome::Ok(Answer::Value(Json::Whole(2))),
            ),
            (Call::Read(key_of()), Outcome::Ok(Answer::Value(Json::Null))),
        ];
        assert_eq!(asked(LinKv::new(1, 1), &events(key)), expected, "{key:?}");
    }
}

#[test]
fn an_error_of_maelstrom_shows_what_a_register_holds() {
    use lin_kv::{Answer, Call};
    let text = r#"
        {:process 0, :type :invoke, :f :cas, :value [0 [1 2]]}
        {:process 0, :type :fail, :f :cas, :value [0 [1 2]], :error [:precondition-failed "no"]}
        {:process 0, :type :invoke, :f :read, :value [0 nil]}
        {:process 0, :type :fail, :f :read, :value [0 nil], :error [:key-does-not-exist nil]}
        {:process 0, :type :invoke, :f :read, :value [0 nil]}
        {:process 0, :type :fail, :f :read, :value [0 nil], :error :went-fishing}"#;
    let key = || Json::Whole(0);
    let cas = Call::Cas {
        key: key(),
        from: Json::Whole(1),
        to: Json::Whole(2),
    };
    let expected = vec![
        (cas, Outcome::Ok(Answer::Different)),
        (Call::Read(key()), Outcome::Ok(Answer::Missing)),
        (
            Call::Read(key()),
            Outcome::Failed(String::from("\"went-fishing\"")),
        ),
    ];
    assert_eq!(asked(LinKv::new(1, 1), text), expected);
}

#[test]
fn transactions_are_read_with_or_without_a_function() {
    use txn::Step;
    let with = history(
        ":invoke :txn [[:r :x nil] [:append :x 9]]
         :ok :txn [[:r :x [7 8]] [:append :x 9]]",
    );
    let without = with.replace(" :f :txn,", "");
    for text in [&with, &without] {
        let asked = asked(TxnListAppend::new(TXN, vec![]), text);
        let [(call, Outcome::Ok(answer))] = &asked[..] else {
            panic!("one transaction: {asked:?}");
        };
        let written = json!([["r", "x", null], ["append", "x", 9]]);
        assert_eq!(steps(call, "append"), written);
        assert_eq!(
            steps(answer, "append"),
            json!([["r", "x", [7, 8]], ["append", "x", 9]])
        );
        assert!(matches!(call[1], Step::Write { .. }));
    }
    let text = with.replace(":append", ":w").replace("[7 8]", "7");
    let asked = asked(TxnRwRegister::new(TXN, vec![]), &text);
    let answer = asked[0].1.answer().expect("it was answered");
    assert_eq!(steps(answer, "w"), json!([["r", "x", 7], ["w", "x", 9]]));
}

/// Steps in the form of a message.
fn steps(steps: &[txn::Step], write: &str) -> serde_json::Value {
    let step = |step: &txn::Step| match step {
        txn::Step::Read { key, value } => json!(["r", key, value]),
        txn::Step::Write { key, value } => json!([write, key, value]),
    };
    steps.iter().map(step).collect()
}

#[test]
fn a_process_goes_on_polling_where_it_was_in_the_logs_that_it_keeps() {
    use kafka::{Answer, Call};
    let text = history(
        ":invoke :send [[:send 9 :a]]
         :ok :send [[:send 9 [0 :a]]]
         :invoke :poll [[:poll]]
         :ok :poll [[:poll {9 [[0 :a] [4 :b]], \"8\" [[1 :c]]}]]
         :invoke :assign [9]
         :ok :assign [9]
         :invoke :poll [[:poll]]
         :ok :poll [[:poll {}]]
         :invoke :poll [[:poll]]
         :fail :poll [[:poll]]
         :invoke :poll [[:poll]]
         :ok :poll [[:poll {}]]
         :invoke :crash nil
         :info :crash nil",
    );
    let import = import(Kafka::new(KEYS), &text).unwrap_or_else(|error| panic!("{error}"));
    let send = Call::Send {
        key: "9".into(),
        message: "a".into(),
    };
    assert_eq!(import.operations[0].call, send);
    assert_eq!(import.operations[0].outcome, Outcome::Ok(Answer::Sent(0)));
    let polls = import.operations[1..]
        .iter()
        .map(|operation| match &operation.call {
            Call::Poll(asked) => asked
                .iter()
                .map(|(key, offset)| (&**key, *offset))
                .collect(),
            other => panic!("no poll: {other:?}"),
        });
    let polls: Vec<Vec<(&str, i64)>> = polls.collect();
    // After a failed poll the offset is unknown.
    assert_eq!(polls, [vec![], vec![("9", 5)], vec![("9", 5)], vec![]]);
    let Some(Answer::Messages(messages)) = import.operations[1].outcome.answer() else {
        panic!("no messages");
    };
    assert_eq!(messages.logs["9"].list, [(0, "a".into()), (4, "b".into())]);
    assert!(!import.operations.iter().any(|operation| operation.is_final));
}

#[test]
fn a_process_that_begins_anew_with_all_logs_is_in_the_last_phase() {
    let text = "
        {:process 0, :type :invoke, :f :assign, :value [\"9\" \"8\"], :seek-to-beginning? true}
        {:process 0, :type :ok, :f :assign, :value [\"9\" \"8\"], :seek-to-beginning? true}
        {:process 0, :type :invoke, :f :poll, :value [[:poll]]}
        {:process 0, :type :ok, :f :poll, :value [[:poll {}]]}";
    let import = import(Kafka::new(KEYS), text).unwrap_or_else(|error| panic!("{error}"));
    let asked = [("8", 0), ("9", 0)].map(|(key, offset)| (key.into(), offset));
    assert_eq!(import.operations[0].call, kafka::Call::Poll(asked.into()));
    assert!(import.operations[0].is_final);
}

#[test]
fn logs_that_a_group_is_given_may_change_at_any_time() {
    let text = history(
        ":invoke :subscribe [9]
         :ok :subscribe [9]
         :invoke :poll [[:poll]]
         :ok :poll [[:poll {9 [[0 1]]}]]
         :invoke :poll [[:poll]]
         :ok :poll [[:poll {9 [[0 1]]}]]",
    );
    let asked = asked(Kafka::new(KEYS), &text);
    assert!(
        asked
            .iter()
            .all(|(call, _)| *call == kafka::Call::Poll(Default::default()))
    );
}

#[test]
fn operations_stand_in_the_order_of_their_invocations_each_with_its_line_and_its_process() {
    let text = "; a comment
        [{:process 4, :type :invoke, :f :add, :value 1, :time 1000}
         {:process :nemesis, :type :info, :f :start-partition, :value nil, :time 1500}
         {:process 3, :type :invoke, :f :read, :value nil, :time 2000, :final? true}
         {:process 3, :type :info, :f :read, :value nil, :time 3000, :error :timeout}
         {:process 4, :type :ok, :f :add, :value 1, :time 3000}
         {:process 7, :type :invoke, :f :add, :value 2, :time 2000}
         {:process :nemesis, :type :info, :f :stop-partition, :value nil, :time 4000}]";
    let import = import(GSet::default(), text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(import.lines, [2, 4, 7]);
    assert_eq!(import.nodes, ["p3", "p4", "p7"]);
    let operations = import.operations.iter();
    let read = operations.map(|operation| {
        let times = [operation.invoked_at, operation.completed_at].map(|at| at.as_nanos());
        (
            operation.client,
            operation.node.to_string(),
            times,
            operation.is_final,
        )
    });
    let read: Vec<_> = read.collect();
    // Time does not go back, and no two events are at the same time. An operation without a completion is under way to
    // the end.
    let expected = [
        (4, String::from("p4"), [0, 2001], false),
        (3, String::from("p3"), [1000, 2000], true),
        (7, String::from("p7"), [2002, 3000], false),
    ];
    assert_eq!(read, expected);
    let why = Outcome::Indeterminate(String::from("\"timeout\""));
    assert_eq!(import.operations[1].outcome, why);
    let is_open = matches!(import.operations[2].outcome, Outcome::Indeterminate(_));
    assert!(is_open);
    let window = &import.fault_windows[..];
    assert_eq!(window.len(), 1);
    let times = [Some(window[0].began_at), window[0].ended_at];
    assert_eq!(
        (&*window[0].what, times.map(|at| at.map(|at| at.as_nanos()))),
        ("partition", [Some(500), Some(3000)])
    );
}

#[test]
fn events_without_times_are_a_millisecond_apart() {
    let text = history(":invoke :add 1\n:ok :add 1\n:invoke :add 2\n:ok :add 2");
    let import = import(GSet::default(), &text).unwrap_or_else(|error| panic!("{error}"));
    let times = import.operations.iter();
    let times: Vec<_> = times
        .map(|operation| {
            (
                operation.invoked_at.as_millis(),
                operation.completed_at.as_millis(),
            )
        })
        .collect();
    assert_eq!(times, [(0, 1), (2, 3)]);
}

#[test]
fn a_fault_lasts_until_what_ends_it() {
    let windows = |functions: &[&str]| {
        let event = |function: &&str| {
            format!("{{:process :nemesis, :type :info, :f {function}, :value nil}}\n")
        };
        let nemesis: String = functions.iter().map(event).collect();
        let text = nemesis + &history(":invoke :read nil\n:ok :read []");
        let import = import(GSet::default(), &text).unwrap_or_else(|error| panic!("{error}"));
        let windows = import.fault_windows.into_iter();
        let windows = windows.map(|window| (window.what, window.ended_at.map(|at| at.as_millis())));
        windows.collect::<Vec<_>>()
    };
    let named = |what: &str, ended_at| (String::from(what), ended_at);
    assert_eq!(
        windows(&[
            ":start-partition",
            ":start-partition",
            ":stop-partition",
            ":stop-partition"
        ]),
        [named("partition", Some(2))]
    );
    assert_eq!(
        windows(&[":start", ":stop", ":start"]),
        [named("fault", Some(1)), named("fault", None)]
    );
    assert_eq!(
        windows(&[":kill", ":pause", ":start", ":resume", ":bump-clock"]),
        [
            named("kill", Some(2)),
            named("pause", Some(3)),
            named("bump-clock", None)
        ]
    );
}

#[test]
fn json_is_read_as_edn_is() {
    let list = r#"[{"process": 0, "type": "invoke", "f": "add", "value": 1, "time": 5},
        {"process": 0, "type": "ok", "f": "add", "value": 1, "time": 6.0}]"#;
    let lines = list.replace(['[', ']'], "").replace("},", "}");
    for text in [list, &lines] {
        let expected = vec![(set::Call::Add(1), Outcome::Ok(set::Answer::Added))];
        assert_eq!(asked(GSet::default(), text), expected);
    }
}

#[test]
fn nodes_of_a_stored_history_are_numbered_by_name() {
    let line = |node: &str, client: usize| {
        format!(
            r#"{{"index":0,"client":"c{client}","node":"{node}","request":{{"type":"read","msg_id":1}},"invoked_us":1,"completed_us":2,"is_final":true,"outcome":"indeterminate","why":"x"}}"#
        )
    };
    let text = ["n10", "n2", "n0", "n2"]
        .map(|node| line(node, 5))
        .join("\n");
    let import = import(GSet::default(), &text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(import.nodes, ["n0", "n2", "n10"]);
    let nodes = import.operations.iter();
    let nodes: Vec<_> = nodes
        .map(|operation| (operation.node.index(), operation.node.to_string()))
        .collect();
    let expected = [(2, "n10"), (1, "n2"), (0, "n0"), (1, "n2")];
    assert_eq!(
        nodes,
        expected.map(|(index, name)| (index, String::from(name)))
    );
    assert_eq!(import.lines, [1, 2, 3, 4]);
    assert_eq!(import.operations[0].client, 5);
}

#[test]
fn a_file_that_is_no_history_is_reported_with_its_place_and_what_to_do() {
    let invoke = "{:process 0, :type :invoke, :f :add, :value 1}\n";
    for (text, expected) in [
        (String::new(), "there is no operation in it"),
        (String::from("[]"), "there is no operation in it"),
        (
            format!("{invoke}{{:process 0, :type :ok, :f"),
            "2:1: what begins here has no end: the file was cut off",
        ),
        (format!("[{invoke}"), "1:1: what begins here has no end"),
        (format!("{invoke}}}"), "2:1: this '}' closes nothing"),
        (
            String::from("Hello, world"),
            "1:1: this is not a map. A history has maps",
        ),
        (String::from("[1 2 3]"), "1:2: this is not a map"),
        (
            String::from("{:valid? true}"),
            "1:1: this map has no type: invoke, ok, fail or info",
        ),
        (
            invoke.replace(":invoke", ":started"),
            "1:1: its type is \"started\", not invoke, ok, fail or info",
        ),
        (
            invoke.replace(":process 0, ", ""),
            "1:1: this event has no process. The number of the process",
        ),
        (
            invoke.replace(":process 0", ":process -1"),
            "1:1: its process is -1. That of a client is a whole number from 0 up",
        ),
        (
            invoke.replace(":type", ":time :late, :type"),
            "1:1: its time is \"late\", which is not a number of nanoseconds",
        ),
        (
            invoke.replace(":f :add", ":f 7"),
            "1:1: this is not an event: invalid type: integer `7`",
        ),
        (
            format!("{invoke}{invoke}"),
            "2:1: process 0 begins \"add\" while its \"add\" is under way: either the completion of that is missing",
        ),
        (
            invoke.replace(":invoke", ":ok"),
            "1:1: process 0 completes \"add\" without an invocation before it",
        ),
        (
            invoke.to_owned() + &invoke.replace(":invoke", ":ok").replace(":add", ":read"),
            "2:1: process 0 completes \"read\" after it began \"add\"",
        ),
        (
            invoke.replace(":add", ":write"),
            "1:1: g-set has no operation \"write\". If this is a history of another workload, name",
        ),
        (
            invoke.replace(":value 1", ":value [0 1]"),
            "1:1: its value is [0,1]: invalid type: list, expected a whole number from 0 up. If this",
        ),
        (
            String::from("{\"request\":{}}"),
            "1:1: this is not an operation of history.jsonl: missing field `client`",
        ),
    ] {
        let error = import(GSet::default(), &text).err();
        let error = error
            .unwrap_or_else(|| panic!("it was read: {text}"))
            .to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
    let error = read(b"{:a \xff}", &mut GSet::default(), |_| {}).err();
    let error = error.expect("it is no text").to_string();
    assert!(
        error.starts_with("it is not text: byte 4 is not UTF-8"),
        "{error}"
    );
}

#[test]
fn a_value_of_another_workload_is_refused() {
    let refused = |result: Result<(), String>, words: &str| {
        let error = result.expect_err(words);
        assert!(error.contains(words) && error.contains("-w"), "{error}");
    };
    let of = |line: &str| history(line);
    fn outcome<W: Workload>(workload: W, text: &str) -> Result<(), String> {
        import(workload, text)
            .map(drop)
            .map_err(|error| error.to_string())
    }
    let append = of(":invoke :txn [[:append 1 2]]");
    refused(
        outcome(TxnRwRegister::new(TXN, vec![]), &append),
        "a step \"append\"; there are only \"r\" and \"w\"",
    );
    let add = of(":invoke :add 1");
    refused(
        outcome(TxnListAppend::new(TXN, vec![]), &add),
        "txn-list-append has no operation \"add\"",
    );
    refused(
        outcome(LinKv::new(1, 1), &add),
        "lin-kv has no operation \"add\"",
    );
    refused(
        outcome(Kafka::new(KEYS), &add),
        "kafka has no operation \"add\"",
    );
    let sends = of(":invoke :txn [[:send 1 2] [:send 1 3]]");
    refused(
        outcome(Kafka::new(KEYS), &sends),
        "it has 2 steps, but a send or poll has one",
    );
    let bank = of(":invoke :read nil\n:ok :read {0 10, 1 20}");
    refused(
        outcome(GSet::default(), &bank),
        "invalid type: object, expected a list",
    );
    refused(
        outcome(GCounter::new(vec![]), &bank),
        "invalid type: object, expected a whole number",
    );
    let long = of(&format!(":invoke :add \"{}\"", "x".repeat(1000)));
    let error = outcome(GSet::default(), &long).expect_err("no number");
    assert!(error.len() < 300, "{error}");
}
