//! Every kind of bad input, and the reply to it.

use serde_json::{Value, json};

use crate::process::{
    ALL_LEVELS, BROADCAST, ECHO, G_COUNTER, G_SET, KAFKA, LIN_KV, NODES, PN_COUNTER, Process,
    TXN_LIST_APPEND, TXN_RW_REGISTER, request,
};

/// The reaction to a bad line.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// An error with this code, in reply to this message id.
    Error(i64, i64),
    /// No reply, because there is nobody to reply to, and one line on standard error.
    Complaint,
    /// No reply and no line on standard error, because the line is not wrong.
    Silence,
}

use Outcome::{Complaint, Error, Silence};

const MALFORMED: i64 = 12;
const UNKNOWN: i64 = 10;
const TOO_EARLY: i64 = 11;

/// Lines, with the reaction of any kind of node after its `init`.
const LINES: &[(&[u8], Outcome)] = &[
    // Not JSON, or not a JSON object.
    (b"hello", Complaint),
    (b"{", Complaint),
    (b"}", Complaint),
    (b"null", Complaint),
    (b"5", Complaint),
    (b"1e400", Complaint),
    (b"NaN", Complaint),
    (b"\"text\"", Complaint),
    (b"[]", Complaint),
    (br#"["c1","n0",{"type":"x","msg_id":1}]"#, Complaint),
    (b"\x00", Complaint),
    (b"\xff\xfe", Complaint),
    (b"\x1b[31mred\x1b[0m", Complaint),
    (br#"{"src":"c1","dest":"n0","body":{"type":"x","msg_id":1}} {}"#, Complaint),
    (br#"{'src':'c1','dest':'n0','body':{'type':'x','msg_id':1}}"#, Complaint),
    (b"\xef\xbb\xbf{\"src\":\"c1\",\"dest\":\"n0\",\"body\":{\"type\":\"x\",\"msg_id\":1}}", Complaint),
    (b"{\"src\":\"c\x001\",\"dest\":\"n0\",\"body\":{\"type\":\"x\",\"msg_id\":1}}", Complaint),
    (b"{\"src\":\"c\xff1\",\"dest\":\"n0\",\"body\":{\"type\":\"x\",\"msg_id\":1}}", Complaint),
    // Empty lines.
    (b"", Silence),
    (b" \t\r", Silence),
    // Without a sender.
    (b"{}", Complaint),
    (br#"{"dest":"n0","body":{"type":"x","msg_id":1}}"#, Complaint),
    (br#"{"src":null,"dest":"n0","body":{"type":"x","msg_id":1}}"#, Complaint),
    (br#"{"src":5,"dest":"n0","body":{"type":"x","msg_id":1}}"#, Complaint),
    (br#"{"src":["c1"],"dest":"n0","body":{"type":"x","msg_id":1}}"#, Complaint),
    (br#"{"src":"\ud800","dest":"n0","body":{"type":"x","msg_id":1}}"#, Complaint),
    (br#"{"src":"c1","src":"c2","dest":"n0","body":{"type":"x","msg_id":1}}"#, Complaint),
    (br#"{"src":"","src":"c1","dest":"n0","body":{"type":"x","msg_id":1}}"#, Complaint),
    (br#"{"src":"c1","dest":"n0","dest":"n1","body":{"type":"x","msg_id":1}}"#, Complaint),
    (br#"{"src":"","dest":"n0","body":{"type":"x","msg_id":1}}"#, Complaint),
    // Without a body, or with one that has no message id.
    (br#"{"src":"c1","dest":"n0"}"#, Complaint),
    (br#"{"src":"c1","dest":"n0","body":null}"#, Complaint),
    (br#"{"src":"c1","dest":"n0","body":"add"}"#, Complaint),
    (br#"{"src":"c1","dest":"n0","body":[]}"#, Complaint),
    (br#"{"src":"c1","dest":"n0","body":{"type":"x","msg_id":1},"body":{"type":"x","msg_id":2}}"#, Complaint),
    (br#"{"src":"c1","dest":"n0","body":[{"type":"x","msg_id":1}]}"#, Complaint),
    (br#"{"src":"c1","dest":"n0","body":{"type":"x","msg_id":[1]}}"#, Complaint),
    // Without a message id, so no reply is requested.
    (br#"{"src":"c1","dest":"n0","body":{"type":"x"}}"#, Silence),
    (br#"{"src":"c1","dest":"n0","body":{"type":"x","msg_id":null}}"#, Silence),
    (br#"{"src":"c1","dest":"n0","body":{}}"#, Silence),
    // Replies, which are never answered.
    (br#"{"src":"c1","dest":"n0","body":{"type":"x_ok","in_reply_to":1}}"#, Silence),
    (br#"{"src":"seq-kv","dest":"n0","body":{"type":"cas_ok","in_reply_to":1,"msg_id":2}}"#, Silence),
    (br#"{"src":"seq-kv","dest":"n0","body":{"type":"error","in_reply_to":-1,"code":13}}"#, Silence),
    (br#"{"src":"c1","dest":"n0","body":{"type":"x","msg_id":1,"in_reply_to":"x"}}"#, Silence),
    (br#"{"src":"c1","dest":"n0","body":{"type":5,"msg_id":1,"in_reply_to":1}}"#, Complaint),
    // Wrong, with a sender and a message id.
    (br#"{"src":"c1","dest":"n0","body":{"msg_id":1}}"#, Error(MALFORMED, 1)),
    (br#"{"src":"c1","dest":"n0","body":{"type":"","msg_id":1}}"#, Error(MALFORMED, 1)),
    (br#"{"src":"c1","dest":"n0","body":{"type":5,"msg_id":1}}"#, Error(MALFORMED, 1)),
    (br#"{"src":"c1","dest":"n0","body":{"type":null,"msg_id":1}}"#, Error(MALFORMED, 1)),
    (br#"{"src":"c1","dest":"n0","body":{"type":["x"],"msg_id":1}}"#, Error(MALFORMED, 1)),
    (br#"{"src":"c1","dest":"n0","body":{"type":"\ud800","msg_id":1}}"#, Error(MALFORMED, 1)),
    (br#"{"src":"c1","dest":"n0","body":{"type":"x","code":"0","msg_id":1}}"#, Error(MALFORMED, 1)),
    (br#"{"src":"c1","dest":5,"body":{"type":"x","msg_id":1}}"#, Error(MALFORMED, 1)),
    (br#"{"src":"c1","dest":"n0","body":{"type":"init","msg_id":1}}"#, Error(MALFORMED, 1)),
    (br#"{"src":"c1","dest":"n0","body":{"type":"init","node_id":"","node_ids":[],"msg_id":1}}"#, Error(MALFORMED, 1)),
    (br#"{"src":"c1","dest":"n0","body":{"type":"init","node_id":0,"node_ids":[],"msg_id":1}}"#, Error(MALFORMED, 1)),
    (br#"{"src":"c1","dest":"n0","body":{"type":"init","node_id":"n0","node_ids":[0],"msg_id":1}}"#, Error(MALFORMED, 1)),
    // Of an unknown type, and odd in harmless ways.
    (br#"{"src":"c1","dest":"n0","body":{"type":"x","msg_id":1}}"#, Error(UNKNOWN, 1)),
    (br#"{"src":"c1","dest":"n0","body":{"type":"ADD","msg_id":1}}"#, Error(UNKNOWN, 1)),
    (br#"{"src":"c1","dest":"n0","body":{"type":"error","code":13,"msg_id":1}}"#, Error(UNKNOWN, 1)),
    (br#"{"src":"c1","body":{"type":"x","msg_id":1}}"#, Error(UNKNOWN, 1)),
    (br#"{"src":"c1","dest":"n9","body":{"type":"x","msg_id":1}}"#, Error(UNKNOWN, 1)),
    (br#"{"body":{"msg_id":1,"type":"x"},"dest":"n0","extra":[{}],"src":"c1","id":1e400}"#, Error(UNKNOWN, 1)),
    (br#"{"src":"c1","dest":"n0","body":{"type":"x","msg_id":9223372036854775807}}"#, Error(UNKNOWN, i64::MAX)),
    (br#"{"src":"c1","dest":"n0","body":{"type":"x","msg_id":-9223372036854775808}}"#, Error(UNKNOWN, i64::MIN)),
    (br#"{"src":"c1","dest":"n0","body":{"type":"x","msg_id":0}}"#, Error(UNKNOWN, 0)),
    (br#"{"src":"c1","dest":"n0","body":{"type":"y","type":"x","msg_id":1,"msg_id":2}}"#, Error(UNKNOWN, 2)),
    (br#"{"src":"c1","dest":"n0","body":{"type":"x","odd":"\ud800\u0000","odd":-0.0,"msg_id":1}}"#, Error(UNKNOWN, 1)),
    (br#"{"s\u0072c":"c\u0031","dest":"n0","body":{"t\u0079pe":"x","msg\u005fid":1}}"#, Error(UNKNOWN, 1)),
    (b"{\"src\":\"c1\",\"dest\":\"n0\",\"body\":{\"type\":\"x\",\"msg_id\":1}}\r", Error(UNKNOWN, 1)),
    (b" \t{ \"src\" : \"c1\" , \"body\" : { \"type\" : \"x\" , \"msg_id\" : 1 } } \t", Error(UNKNOWN, 1)),
];

/// Sends one line to a new program and returns its reaction. The program must answer the next request, and end well.
fn outcome(program: &str, arguments: &[&str], is_initialised: bool, line: &[u8]) -> Outcome {
    let mut process = match is_initialised {
        true => Process::initialised(program, arguments),
        false => Process::start(program, arguments),
    };
    process.send_bytes(line);
    process.send_bytes(b"\n");
    process.send(&request(
        "c9",
        json!({"type": "still there?", "msg_id": 99}),
    ));
    let ended = process.end();
    let context = format!(
        "{program} {arguments:?}: {:?}",
        String::from_utf8_lossy(line)
    );
    assert_eq!(ended.exit_code, Some(0), "{context}");
    let mut answers: Vec<Value> = ended
        .lines
        .iter()
        .map(|line| serde_json::from_str(line).expect("what is written is JSON"))
        .filter(is_to_a_client)
        .collect();
    let last = answers.pop().expect("it goes on serving");
    assert_eq!(
        (&last["dest"], &last["body"]["in_reply_to"]),
        (&json!("c9"), &json!(99)),
        "{context}"
    );
    let errors: Vec<&str> = ended.errors.lines().collect();
    assert!(
        !ended.errors.contains('\x1b'),
        "{context}: {:?}",
        ended.errors
    );
    match (&answers[..], &errors[..]) {
        ([], []) => Silence,
        ([], [_]) => Complaint,
        ([answer], []) => {
            let body = &answer["body"];
            assert_eq!(answer["src"], "n0", "{context}");
            assert_eq!(answer["dest"], "c1", "{context}");
            assert_eq!(body["type"], "error", "{context}");
            assert!(
                body["text"].as_str().is_some_and(|text| !text.is_empty()),
                "{context}"
            );
            let number = |name: &str| body[name].as_i64().expect("it is a number");
            Error(number("code"), number("in_reply_to"))
        }
        _ => panic!("{context}: {answers:?}, {errors:?}"),
    }
}

#[test]
fn a_request_whose_id_is_any_number_or_string_is_answered_with_it() {
    for (program, arguments) in NODES {
        let mut node = Process::initialised(program, arguments);
        for id in [
            "-0",
            "1.5",
            "1e400",
            "9223372036854775808",
            r#""""#,
            r#""\u0031\n""#,
        ] {
            let body = format!(r#"{{"type":"x","msg_id":{id}}}"#);
            node.send(&format!(r#"{{"src":"c1","dest":"n0","body":{body}}}"#));
            let answer = std::iter::repeat_with(|| node.line());
            let answer = answer
                .into_iter()
                .find(|line| line.contains(r#""dest":"c1""#));
            let answer = answer.expect("lines go on for ever");
            let reply = format!(r#""type":"error","in_reply_to":{id},"code":10,"#);
            assert!(answer.contains(&reply), "{program} {arguments:?}: {answer}");
        }
    }
}

/// The messages between nodes and to the store are ignored here.
fn is_to_a_client(message: &Value) -> bool {
    message["dest"]
        .as_str()
        .is_some_and(|dest| dest.starts_with('c'))
}

#[test]
fn every_kind_of_bad_line_gets_a_true_answer_from_every_node() {
    for (line, expected) in LINES {
        for (program, arguments) in NODES {
            let outcome = outcome(program, arguments, true, line);
            assert_eq!(
                outcome,
                *expected,
                "{program}: {:?}",
                String::from_utf8_lossy(line)
            );
        }
    }
}

#[test]
fn before_init_requests_are_refused_for_now_under_the_name_that_was_called() {
    let body = |body: Value| request("c1", body).into_bytes();
    for (line, expected) in [
        (body(json!({"type": "x", "msg_id": 1})), Error(TOO_EARLY, 1)),
        (
            body(json!({"type": "add", "delta": 1, "msg_id": 1})),
            Error(TOO_EARLY, 1),
        ),
        (
            body(json!({"type": "read", "msg_id": 1})),
            Error(TOO_EARLY, 1),
        ),
        (
            body(json!({"type": "init", "msg_id": 1})),
            Error(MALFORMED, 1),
        ),
        (
            body(json!({"type": "init", "node_id": "", "node_ids": [], "msg_id": 1})),
            Error(MALFORMED, 1),
        ),
        (body(json!({"type": "x_ok", "in_reply_to": 1})), Silence),
        (body(json!({"type": "add", "delta": 1})), Silence),
        (
            br#"{"src":"c1","body":{"type":"x","msg_id":1}}"#.to_vec(),
            Silence,
        ),
        (b"hello".to_vec(), Complaint),
    ] {
        let line_text = String::from_utf8_lossy(&line).into_owned();
        for (program, arguments) in NODES {
            assert_eq!(
                outcome(program, arguments, false, &line),
                expected,
                "{program}: {line_text}"
            );
        }
    }
}

#[test]
fn before_init_a_counter_refuses_a_malformed_add_as_malformed() {
    let line = request("c1", json!({"type": "add", "delta": "1", "msg_id": 1}));
    for level in ALL_LEVELS {
        let outcome = outcome(G_COUNTER, &["--consistency", level], false, line.as_bytes());
        assert_eq!(outcome, Error(MALFORMED, 1), "{level}");
    }
}

#[test]
fn a_delta_that_is_no_count_is_refused_at_every_level() {
    for level in ALL_LEVELS {
        for delta in [
            "-1",
            "-0.5",
            "1.5",
            "3.0",
            "1e3",
            "1e400",
            "\"3\"",
            "null",
            "true",
            "[]",
            "[3]",
            "{}",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999999999",
        ] {
            let line = format!(
                r#"{{"src":"c1","dest":"n0","body":{{"type":"add","delta":{delta},"msg_id":1}}}}"#
            );
            let outcome = outcome(G_COUNTER, &["--consistency", level], true, line.as_bytes());
            assert_eq!(outcome, Error(MALFORMED, 1), "{level}, delta {delta}");
        }
        let line = request("c1", json!({"type": "add", "msg_id": 1}));
        let outcome = outcome(G_COUNTER, &["--consistency", level], true, line.as_bytes());
        assert_eq!(outcome, Error(MALFORMED, 1), "{level}, no delta");
    }
}

/// Requests that lack a field, or have a field of another type.
const REQUESTS: &[(&str, &[&str])] = &[
    (ECHO, &[r#""type":"echo""#]),
    (
        BROADCAST,
        &[
            r#""type":"broadcast""#,
            r#""type":"topology""#,
            r#""type":"topology","topology":["n1"]"#,
            r#""type":"topology","topology":{"n0":"n1"}"#,
        ],
    ),
    (G_SET, &[r#""type":"add""#]),
    (
        PN_COUNTER,
        &[
            r#""type":"add""#,
            r#""type":"add","delta":"1""#,
            r#""type":"add","delta":-1.5"#,
            r#""type":"add","delta":-9223372036854775809"#,
        ],
    ),
    (
        KAFKA,
        &[
            r#""type":"send""#,
            r#""type":"send","key":"k""#,
            r#""type":"send","msg":1"#,
            r#""type":"send","key":1,"msg":1"#,
            r#""type":"poll""#,
            r#""type":"poll","offsets":["k"]"#,
            r#""type":"poll","offsets":{"k":"0"}"#,
            r#""type":"poll","offsets":{"k":1.5}"#,
            r#""type":"commit_offsets""#,
            r#""type":"commit_offsets","offsets":{"k":null}"#,
            r#""type":"list_committed_offsets""#,
            r#""type":"list_committed_offsets","keys":"k""#,
            r#""type":"list_committed_offsets","keys":[1]"#,
        ],
    ),
    (
        LIN_KV,
        &[
            r#""type":"read""#,
            r#""type":"write","key":0"#,
            r#""type":"write","value":1"#,
            r#""type":"cas","key":0,"from":1"#,
            r#""type":"cas","key":0,"to":1"#,
        ],
    ),
    (TXN_RW_REGISTER, TRANSACTIONS),
    (TXN_RW_REGISTER, &[r#""type":"txn","txn":[["append",1,2]]"#]),
    (TXN_LIST_APPEND, TRANSACTIONS),
    (TXN_LIST_APPEND, &[r#""type":"txn","txn":[["w",1,2]]"#]),
];

const TRANSACTIONS: &[&str] = &[
    r#""type":"txn""#,
    r#""type":"txn","txn":"r""#,
    r#""type":"txn","txn":{"r":1}"#,
    r#""type":"txn","txn":["r"]"#,
    r#""type":"txn","txn":[[]]"#,
    r#""type":"txn","txn":[["r"]]"#,
    r#""type":"txn","txn":[["q",1,2]]"#,
    r#""type":"txn","txn":[["r",1,null,0]]"#,
];

#[test]
fn a_request_that_lacks_something_is_malformed_and_without_a_message_id_not_answered() {
    for (program, bodies) in REQUESTS {
        for body in *bodies {
            let asked = format!(r#"{{"src":"c1","dest":"n0","body":{{{body},"msg_id":1}}}}"#);
            let unasked = format!(r#"{{"src":"c1","dest":"n0","body":{{{body}}}}}"#);
            let [asked_led_to, unasked_led_to] =
                [&asked, &unasked].map(|line| outcome(program, &[], true, line.as_bytes()));
            assert_eq!(asked_led_to, Error(MALFORMED, 1), "{program}: {asked}");
            // There is no message id; a field of the wrong type gives a line on standard error.
            assert!(
                matches!(unasked_led_to, Silence | Complaint),
                "{program}: {unasked}: {unasked_led_to:?}"
            );
        }
    }
}

/// Messages of other nodes, or of a sender that has a node's name, for which a node has no use.
const GOSSIP: &[&str] = &[
    r#""type":"gossip""#,
    r#""type":"gossip","gossip":null"#,
    r#""type":"gossip","gossip":"x""#,
    r#""type":"gossip","gossip":[[[]]]"#,
    r#""type":"gossip","gossip":{"n0":[9223372036854775807,-1]}"#,
    r#""type":"gossip_ok","in_reply_to":0"#,
    r#""type":"forward""#,
    r#""type":"forward","value":["x",1]"#,
    r#""type":"forward_ok","in_reply_to":0,"value":"x","next":5"#,
    r#""type":"error","code":14,"in_reply_to":1"#,
];

#[test]
fn what_other_nodes_say_amiss_is_harmless_before_init_and_after_it() {
    for (program, arguments) in NODES {
        for is_initialised in [false, true] {
            for body in GOSSIP {
                for src in ["n1", "n0", "n7"] {
                    let line = format!(r#"{{"src":"{src}","dest":"n0","body":{{{body}}}}}"#);
                    // No reply was requested, so the node may write to standard error but must not reply.
                    let outcome = outcome(program, arguments, is_initialised, line.as_bytes());
                    assert!(
                        matches!(outcome, Silence | Complaint),
                        "{program} {arguments:?}: {line}: {outcome:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_proposal_that_no_node_makes_is_not_taken() {
    let proposals = [
        r#""value":[0,1],"msg_id":0"#,
        r#""value":[7,1],"msg_id":7"#,
        r#""value":[-7,1],"msg_id":7"#,
        r#""value":[0,1],"msg_id":-7"#,
        r#""value":[0,9223372036854775807],"msg_id":-9223372036854775808"#,
        r#""value":[-9223372036854775808,0],"msg_id":-9223372036854775808"#,
        r#""value":[0,-1],"msg_id":7"#,
        r#""value":[0],"msg_id":7"#,
        r#""value":[0,1,1],"msg_id":7"#,
        r#""value":[0,1.5],"msg_id":7"#,
        r#""value":{},"msg_id":7"#,
        r#""value":[0,1],"msg_id":"x""#,
        r#""msg_id":7"#,
    ];
    let mut node = Process::initialised(G_COUNTER, &["--consistency", "linearizable"]);
    for proposal in proposals {
        let body = format!(r#"{{"type":"forward",{proposal}}}"#);
        node.send(&format!(r#"{{"src":"n1","dest":"n0","body":{body}}}"#));
        let answer = node.message();
        assert_eq!(answer["dest"], "n1", "{proposal}");
        assert_eq!(answer["body"]["code"], MALFORMED, "{proposal}");
    }
}

#[test]
fn nesting_of_any_depth_is_no_trouble() {
    let depth = 200_000;
    for odd in [
        "[".repeat(depth) + &"]".repeat(depth),
        "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth),
    ] {
        let line =
            format!(r#"{{"src":"c1","dest":"n0","body":{{"odd":{odd},"type":"x","msg_id":1}}}}"#);
        for (program, arguments) in NODES {
            let arguments = [arguments, &["--max-line", "2000000"][..]].concat();
            assert_eq!(
                outcome(program, &arguments, true, line.as_bytes()),
                Error(UNKNOWN, 1)
            );
        }
        let open = "[".repeat(depth);
        assert_eq!(outcome(ECHO, &[], true, open.as_bytes()), Complaint);
    }
}

#[test]
fn a_line_over_the_limit_is_skipped_to_its_end() {
    let line = |bytes: usize| {
        let request = request("c1", json!({"type": "x", "msg_id": 1}));
        let blanks = " ".repeat(bytes - request.len());
        request + &blanks
    };
    for limit in [200, 70_000, 1 << 20] {
        let limit_text = limit.to_string();
        let arguments = ["--max-line", limit_text.as_str()];
        assert_eq!(
            outcome(G_COUNTER, &arguments, true, line(limit).as_bytes()),
            Error(UNKNOWN, 1)
        );
        for bytes in [limit + 1, limit + 70_000, 3 * limit, 3_000_000] {
            assert_eq!(
                outcome(G_COUNTER, &arguments, true, line(bytes).as_bytes()),
                Complaint,
                "{bytes} bytes"
            );
        }
    }
}

#[test]
fn an_error_quotes_no_more_than_a_little_of_what_was_sent() {
    let long = "\u{7f}".repeat(1_000_000);
    for body in [
        json!({"type": long, "msg_id": 1}),
        json!({"type": "add", "delta": long, "msg_id": 1}),
    ] {
        let mut node = Process::initialised(G_COUNTER, &[]);
        node.send(&request("c1", body));
        let answer = node.line();
        assert!(answer.len() < 2000, "{} bytes", answer.len());
    }
}

#[test]
fn a_flood_of_bad_lines_makes_a_few_complaints_and_a_count() {
    let mut node = Process::initialised(ECHO, &[]);
    node.send_bytes(&b"hello\n".repeat(100_000));
    let errors = node.end().errors;
    let left_out: u64 = errors
        .lines()
        .filter_map(|line| {
            line.strip_prefix("and ")?
                .split(' ')
                .next()?
                .parse::<u64>()
                .ok()
        })
        .sum();
    let reported = errors
        .lines()
        .filter(|line| line.starts_with("not a message"))
        .count();
    assert_eq!(reported as u64 + left_out, 100_000);
    assert!(reported < 1000, "{reported} complaints");
}
