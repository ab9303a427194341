//! Framing, parsing and encoding.

use std::time::Duration;

use eddy::node::Node;
use eddy::protocol::{LineError, LineReader, Message, MessageWriter, Sender, to_json};
use eddy::workload::{Echo, GCounter, UniqueIds, g_counter::Options};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value;

/// A line, or the reason why there is none.
type Line = Result<String, String>;

fn owned(line: Result<&str, LineError<'_>>) -> Line {
    line.map(String::from).map_err(|error| format!("{error:?}"))
}

/// The lines as a reader would see them that has all bytes at once.
fn lines_of(bytes: &[u8], line_bytes_max: usize) -> Vec<Line> {
    let mut pieces: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    // The bytes after the last newline are a line only if there are any.
    if pieces.last().is_some_and(|last| last.is_empty()) {
        pieces.pop();
    }
    let check = |line| match str::from_utf8(line) {
        _ if line.len() > line_bytes_max => Err(LineError::TooLong(line_bytes_max)),
        Ok(line) => Ok(line),
        Err(_) => Err(LineError::NotUtf8(line)),
    };
    pieces.into_iter().map(|line| owned(check(line))).collect()
}

/// The lines as a [`LineReader`] cuts them, from reads of these sizes.
fn lines_read(bytes: &[u8], line_bytes_max: usize, reads: &[usize]) -> Vec<Line> {
    let mut reader = LineReader::new(line_bytes_max);
    let mut lines = Vec::new();
    let mut rest = bytes;
    let mut reads = reads.iter().cycle();
    while !rest.is_empty() {
        let space = reader.space();
        assert!(!space.is_empty(), "there is always room to go on");
        let count = rest
            .len()
            .min(space.len())
            .min(*reads.next().expect("it is a cycle"));
        space[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        reader.filled(count);
        lines.extend(reader.lines().map(owned));
    }
    reader.end();
    lines.extend(reader.lines().map(owned));
    lines
}

/// Bytes with many newlines, much invalid UTF-8, and lines on both sides of a limit of 20 bytes.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => vec(prop_oneof![Just(b'x'), Just(b'\r'), Just(0xff), any::<u8>()], 0..30),
        4 => "[a-zé☃😀]{0,12}".prop_map(String::into_bytes),
        2 => (18usize..23).prop_map(|count| vec![b'x'; count]),
        1 => (1usize..200).prop_map(|count| vec![0xf0; count]),
        6 => Just(b"\n".to_vec()),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A message, whole or with a few bytes exchanged.
fn messages() -> impl Strategy<Value = String> {
    let value = || {
        prop_oneof![
            Just("null".to_string()),
            Just("1e400".into()),
            Just("-0".into()),
            Just("[]".into()),
            Just("{}".into()),
            Just("\"\"".into()),
            Just("\"c1\"".into()),
            Just("\"n0\"".into()),
            Just(r#""\ud800""#.into()),
            any::<i64>().prop_map(|number| number.to_string()),
            any::<f64>().prop_map(|number| number.to_string()),
            any::<String>().prop_map(|text| Value::from(text).to_string()),
            Just(r#""init""#.into()),
            Just(r#""add""#.into()),
            Just(r#""read""#.into()),
            Just(r#""echo""#.into()),
            Just(r#""generate""#.into()),
            Just(r#""error""#.into()),
            Just(r#"["n0","n1"]"#.into()),
        ]
    };
    let name = prop_oneof![
        Just("type"),
        Just("msg_id"),
        Just("in_reply_to"),
        Just("code"),
        Just("delta"),
        Just("value"),
        Just("echo"),
        Just("node_id"),
        Just("node_ids"),
        Just("odd"),
    ];
    let field = (name, value()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
    let body = prop_oneof![
        6 => vec(field, 0..6).prop_map(|fields| format!("{{{}}}", fields.join(","))),
        1 => value(),
    ];
    let whole = (
        prop_oneof![4 => Just("\"c1\"".to_string()), 1 => value()],
        value(),
        body,
    )
        .prop_map(|(src, dest, body)| format!(r#"{{"src":{src},"dest":{dest},"body":{body}}}"#));
    let changes = vec((any::<prop::sample::Index>(), any::<char>()), 0..3);
    (whole, changes).prop_map(|(whole, changes)| {
        let mut characters: Vec<char> = whole.chars().collect();
        for (index, character) in changes {
            *index.get_mut(&mut characters) = character;
        }
        characters.into_iter().collect()
    })
}

/// Every line that a node writes is one JSON object with sender, destination and body.
fn assert_says_messages<W: eddy::node::Workload>(node: &mut Node<W>) -> Result<(), TestCaseError> {
    let output = node.output().to_vec();
    node.written(output.len());
    let output = String::from_utf8(output).expect("nodes write UTF-8");
    prop_assert!(output.is_empty() || output.ends_with('\n'));
    for line in output.lines() {
        // The payload of an echo may be valid JSON and yet no Unicode text, such as a lone surrogate.
        let message = Message::<IgnoredAny>::parse(line);
        let message = message.map_err(|error| TestCaseError::fail(format!("{error}: {line}")))?;
        prop_assert!(!message.body.kind.is_empty(), "{line}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn however_bytes_are_split_into_reads_the_lines_are_the_same(
        bytes in bytes(),
        reads in vec(1usize..40, 1..10),
    ) {
        prop_assert_eq!(lines_read(&bytes, 20, &reads), lines_of(&bytes, 20));
    }

    #[test]
    fn no_line_makes_a_node_panic_or_say_what_is_no_message(lines in vec(prop_oneof![4 => messages(), 1 => any::<String>()], 1..10)) {
        let init = r#"{"src":"c0","dest":"n0","body":{"type":"init","node_id":"n0","node_ids":["n0"],"msg_id":1}}"#;
        let mut echo = Node::new(Echo);
        let mut unique_ids = Node::new(UniqueIds::new(1));
        let mut counter = Node::new(GCounter::new(Options::default(), 1));
        for (index, line) in lines.iter().enumerate() {
            // This property does not require that the node accepts the line.
            let _ = echo.receive(line, Duration::ZERO);
            let _ = unique_ids.receive(line, Duration::ZERO);
            let _ = counter.receive(line, Duration::ZERO);
            if index == lines.len() / 2 {
                echo.receive(init, Duration::ZERO).expect("init is a message");
                unique_ids.receive(init, Duration::ZERO).expect("init is a message");
                counter.receive(init, Duration::ZERO).expect("init is a message");
            }
        }
        assert_says_messages(&mut echo)?;
        assert_says_messages(&mut unique_ids)?;
        assert_says_messages(&mut counter)?;
    }

    #[test]
    fn a_malformed_line_that_is_answered_has_a_sender(line in messages()) {
        if Message::<IgnoredAny>::parse(&line).is_err()
            && let Some(unanswered) = Message::unanswered(&line)
        {
            let value: Value = serde_json::from_str(&line).unwrap_or_default();
            // If a general parser finds no message either, the reason is a lone surrogate or a number that is too
            // large.
            if !value.is_null() {
                prop_assert_eq!(&value["src"], &*unanswered.src);
                let msg_id = to_json(&unanswered.body.msg_id.expect("it can be answered"));
                let msg_id: Value = serde_json::from_str(&msg_id).expect("JSON");
                prop_assert_eq!(&value["body"]["msg_id"], &msg_id);
                prop_assert!(value["body"]["in_reply_to"].is_null());
            }
        }
    }

    #[test]
    fn what_goes_out_parses_back(
        src in any::<String>(), dest in any::<String>(), text in any::<String>(),
        small in any::<i64>(), large in any::<u64>(), list in vec(any::<i64>(), 0..5), truth in any::<bool>(),
    ) {
        let mut out = Vec::new();
        drop(
            MessageWriter::new(&mut out, &Sender::new(&src), &dest, "kind")
                .field("text", text.as_str())
                .field("small", small)
                .field("large", large)
                .field("larger", i128::from(large) + i128::from(u64::MAX))
                .field("list", &list[..])
                .field("truth", truth),
        );
        let line = String::from_utf8(out).expect("messages are UTF-8");
        prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
        let value: Value = serde_json::from_str(&line).expect("messages are JSON");
        let expected = serde_json::json!({"src": src, "dest": dest, "body": {
            "type": "kind", "text": text, "small": small, "large": large, "larger": value["body"]["larger"].clone(),
            "list": list, "truth": truth,
        }});
        prop_assert_eq!(value, expected);
        let larger = (u128::from(large) + u128::from(u64::MAX)).to_string();
        let larger = format!("\"larger\":{larger},");
        prop_assert!(line.contains(&larger), "{}", line);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    #[test]
    fn lines_far_longer_than_a_read_are_the_same_too(
        lengths in vec(0usize..400_000, 1..5),
        reads in vec(1usize..200_000, 1..5),
        line_bytes_max in 0usize..300_000,
        ends_in_newline in any::<bool>(),
    ) {
        let mut bytes: Vec<u8> = lengths.iter().flat_map(|length| "x".repeat(*length).into_bytes().into_iter().chain([b'\n'])).collect();
        if !ends_in_newline {
            bytes.pop();
        }
        let read = lines_read(&bytes, line_bytes_max, &reads);
        prop_assert!(read == lines_of(&bytes, line_bytes_max));
    }
}

#[test]
fn a_mebibyte_that_arrives_byte_by_byte_is_scanned_once() {
    let mut line = vec![b'x'; 1 << 20];
    line.push(b'\n');
    let lines = lines_read(&line, 1 << 20, &[1]);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].as_ref().is_ok_and(|line| line.len() == 1 << 20));
}
