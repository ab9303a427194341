//! Files, pipes and terminals as input and output of a node, and how the node ends.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write, pipe};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use serde_json::{Value, json};

use crate::process::{ECHO, G_COUNTER, NODES, Process, request};

/// A file of its own for each test, in cargo's folder for tests.
fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn init() -> String {
    request(
        "c0",
        json!({"type": "init", "node_id": "n0", "node_ids": ["n0"], "msg_id": 0}),
    ) + "\n"
}

fn echo(msg_id: usize, payload: &str) -> String {
    request(
        "c1",
        json!({"type": "echo", "echo": payload, "msg_id": msg_id}),
    )
}

/// Input for `echo`, and the number of replies to it, including that to `init`.
fn many_echoes(count: usize) -> String {
    (1..count).fold(init(), |lines, msg_id| lines + &echo(msg_id, "x") + "\n")
}

/// Asserts that every request was answered, in order.
fn assert_answered<'a>(lines: impl Iterator<Item = &'a str>, count: usize) {
    let ids: Vec<u64> = lines
        .map(|line| {
            let message: Value = serde_json::from_str(line).expect("what is written is JSON");
            message["body"]["in_reply_to"]
                .as_u64()
                .expect("it is a reply")
        })
        .collect();
    assert_eq!(ids, (0..count as u64).collect::<Vec<_>>());
}

#[test]
fn files_are_read_and_written() {
    let (input, output) = (file("files.in.jsonl"), file("files.out.jsonl"));
    fs::write(&input, many_echoes(5_000)).expect("the folder can be written to");
    let mut command = Command::new(ECHO);
    command
        .stdin(File::open(&input).expect("it has just been written"))
        .stdout(File::create(&output).expect("the folder can be written to"))
        .stderr(Stdio::piped());
    let ended = Process::adopt(&mut command).wait();
    assert_eq!((ended.exit_code, ended.errors.as_str()), (Some(0), ""));
    let written = fs::read_to_string(&output).expect("it has been written");
    assert_answered(written.lines(), 5_000);
}

#[test]
fn an_empty_input_is_the_end() {
    for program in [ECHO, G_COUNTER] {
        let mut command = Command::new(program);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let ended = Process::adopt(&mut command).wait();
        assert_eq!(
            (ended.exit_code, ended.lines.len(), ended.errors.as_str()),
            (Some(0), 0, "")
        );
    }
}

#[test]
fn output_to_nowhere_is_no_trouble() {
    let mut command = Command::new(ECHO);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut node = Process::adopt(&mut command);
    node.send(&many_echoes(1_000));
    assert_eq!(node.end().exit_code, Some(0));
}

#[test]
fn an_input_that_can_not_be_read_ends_the_node_in_good_order() {
    let mut command = Command::new(ECHO);
    command
        .stdin(File::open("/").expect("there is a root folder"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let ended = Process::adopt(&mut command).wait();
    assert_eq!(
        (ended.exit_code, ended.errors.lines().count()),
        (Some(1), 1),
        "{}",
        ended.errors
    );
    assert!(ended.errors.contains("standard input"), "{}", ended.errors);
}

#[test]
fn an_output_that_is_closed_or_full_ends_the_node_in_good_order() {
    let (reader, writer) = pipe().expect("there are pipes");
    drop(reader);
    let full = OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("Linux has /dev/full");
    for (program, arguments) in NODES {
        let twin = "there are descriptors left";
        for output in [
            Stdio::from(writer.try_clone().expect(twin)),
            Stdio::from(full.try_clone().expect(twin)),
        ] {
            let mut command = Command::new(program);
            command
                .args(*arguments)
                .stdin(Stdio::piped())
                .stdout(output)
                .stderr(Stdio::piped());
            let mut node = Process::adopt(&mut command);
            node.send(init().trim_end());
            let ended = node.wait();
            assert_eq!(
                (ended.exit_code, ended.errors.lines().count()),
                (Some(1), 1),
                "{program}: {}",
                ended.errors
            );
            assert!(ended.errors.contains("standard output"), "{}", ended.errors);
        }
    }
}

#[test]
fn a_reader_that_goes_away_after_one_line_ends_the_node_in_good_order() {
    let mut node = Process::start(ECHO, &[]);
    let mut input = node.take_input();
    let feeder = std::thread::spawn(move || {
        // Until the node has ended.
        while input.write_all(many_echoes(100).as_bytes()).is_ok() {}
    });
    let mut output = BufReader::new(node.take_output());
    let mut line = String::new();
    output.read_line(&mut line).expect("it answers");
    assert!(line.contains("init_ok"));
    drop(output);
    let ended = node.wait();
    assert_eq!(
        (ended.exit_code, ended.errors.lines().count()),
        (Some(1), 1),
        "{}",
        ended.errors
    );
    feeder.join().expect("the feeder doesn't panic");
}

#[test]
fn a_last_line_without_a_newline_is_a_line() {
    let mut node = Process::start(ECHO, &[]);
    node.send_bytes((init() + &echo(1, "x")).as_bytes());
    let ended = node.end();
    assert_eq!(ended.exit_code, Some(0));
    assert_answered(ended.lines.iter().map(String::as_str), 2);
}

#[test]
fn a_last_line_that_is_cut_off_blank_or_too_long_does_no_harm() {
    for (rest, complaints) in [
        ("{\"src\":\"c1\",\"bo", 1),
        (" ", 0),
        ("\r", 0),
        (&*"x".repeat(2_000_000), 1),
    ] {
        let mut node = Process::start(ECHO, &[]);
        node.send_bytes((init() + rest).as_bytes());
        let ended = node.end();
        assert_eq!((ended.exit_code, ended.lines.len()), (Some(0), 1));
        assert_eq!(ended.errors.lines().count(), complaints, "{}", ended.errors);
    }
}

#[test]
fn at_the_end_of_input_what_waits_for_the_store_is_answered_truly() {
    let mut node = Process::initialised(G_COUNTER, &[]);
    for msg_id in 1..=3 {
        node.send(&request(
            "c1",
            json!({"type": "add", "delta": 1, "msg_id": msg_id}),
        ));
        node.send(&request(
            "c1",
            json!({"type": "read", "msg_id": 10 + msg_id}),
        ));
    }
    // The first request to the store is never answered: no request that could add anything was sent.
    let ended = node.end();
    assert_eq!((ended.exit_code, ended.errors.as_str()), (Some(0), ""));
    let mut answered: Vec<(i64, i64)> = ended
        .lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).expect("what is written is JSON"))
        .filter(|message| message["dest"] == "c1")
        .map(|message| {
            let number = |name: &str| message["body"][name].as_i64().expect("it is a number");
            (number("in_reply_to"), number("code"))
        })
        .collect();
    answered.sort_unstable();
    assert_eq!(
        answered,
        [(1, 11), (2, 11), (3, 11), (11, 11), (12, 11), (13, 11)]
    );
}

#[test]
fn the_end_of_input_is_seen_together_with_the_last_bytes() {
    for _ in 0..20 {
        let mut node = Process::initialised(ECHO, &[]);
        // While the node is stopped, data and end of input become one event.
        node.stop();
        node.send(&echo(1, "x"));
        drop(node.take_input());
        node.go_on();
        let ended = node.wait();
        assert_eq!((ended.exit_code, ended.lines.len()), (Some(0), 1));
    }
}

#[test]
fn input_may_come_a_byte_at_a_time_and_output_go_a_byte_at_a_time() {
    let mut node = Process::start(ECHO, &[]);
    let (mut input, mut output) = (node.take_input(), node.take_output());
    let lines = many_echoes(300);
    let feeder = std::thread::spawn(move || {
        for byte in lines.bytes() {
            input.write_all(&[byte]).expect("the node reads");
        }
    });
    let (mut text, mut byte) = (Vec::new(), [0]);
    while output.read(&mut byte).expect("the node writes") == 1 {
        text.push(byte[0]);
    }
    feeder.join().expect("the feeder doesn't panic");
    assert_answered(str::from_utf8(&text).expect("it is UTF-8").lines(), 300);
    assert_eq!(node.wait().exit_code, Some(0));
}

#[test]
fn every_node_takes_its_input_a_byte_at_a_time() {
    for (program, arguments) in NODES {
        let mut node = Process::start(program, arguments);
        let request = request("c1", json!({"type": "x", "msg_id": 2}));
        for byte in (init() + &request).bytes() {
            node.send_bytes(&[byte]);
        }
        // The last line has no newline: it ends with the input.
        let ended = node.end();
        assert_eq!(ended.exit_code, Some(0), "{program}");
        let lines: Vec<Value> = ended
            .lines
            .iter()
            .map(|line| serde_json::from_str(line).expect("what is written is JSON"))
            .collect();
        let code = |line: &&Value| line["body"]["code"] == 10 && line["body"]["in_reply_to"] == 2;
        assert_eq!(lines.iter().filter(code).count(), 1, "{program}: {lines:?}");
    }
}

#[test]
fn lines_of_a_mebibyte_pass_through_a_small_pipe() {
    let mut node = Process::start(ECHO, &[]);
    let payload = "x".repeat((1 << 20) - 200);
    let lines = (1..20).fold(init(), |lines, msg_id| {
        lines + &echo(msg_id, &payload) + "\n"
    });
    let mut input = node.take_input();
    let feeder =
        std::thread::spawn(move || input.write_all(lines.as_bytes()).expect("the node reads"));
    let output = BufReader::new(node.take_output());
    let answers: Vec<String> = output
        .lines()
        .map(|line| line.expect("the node writes"))
        .collect();
    feeder.join().expect("the feeder doesn't panic");
    assert_answered(answers.iter().map(String::as_str), 20);
    assert!(answers[1..].iter().all(|answer| answer.contains(&payload)));
    assert_eq!(node.wait().exit_code, Some(0));
}

#[test]
fn pipes_that_others_share_are_blocking_again_when_the_node_has_ended() {
    let (input, mut feeder) = pipe().expect("there are pipes");
    let (drain, output) = pipe().expect("there are pipes");
    let share =
        |fd: &dyn std::os::fd::AsFd| fd.as_fd().try_clone_to_owned().expect("it can be shared");
    let (shared_input, shared_output) = (share(&input), share(&output));
    let mut command = Command::new(ECHO);
    command.stdin(input).stdout(output).stderr(Stdio::piped());
    let node = Process::adopt(&mut command);
    drop(command);
    feeder.write_all(init().as_bytes()).expect("the node reads");
    let mut line = String::new();
    BufReader::new(drain)
        .read_line(&mut line)
        .expect("the node writes");
    let is_nonblocking = |fd| {
        fcntl_getfl(fd)
            .expect("it is open")
            .contains(OFlags::NONBLOCK)
    };
    // A killed process can't restore anything, so it must change nothing that it need not.
    assert!(!is_nonblocking(&shared_input) && is_nonblocking(&shared_output));
    drop(feeder);
    assert_eq!(node.wait().exit_code, Some(0));
    assert!(!is_nonblocking(&shared_input) && !is_nonblocking(&shared_output));
}

#[test]
fn an_input_that_someone_has_made_nonblocking_is_waited_for_all_the_same() {
    let (input, mut feeder) = pipe().expect("there are pipes");
    fcntl_setfl(&input, OFlags::NONBLOCK).expect("it is open");
    let mut command = Command::new(ECHO);
    command
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut node = Process::adopt(&mut command);
    feeder.write_all(init().as_bytes()).expect("the node reads");
    assert_eq!(node.message()["body"]["type"], "init_ok");
    let calls_before = node.reads_and_writes();
    for msg_id in 1..=100 {
        let line = echo(msg_id, "x") + "\n";
        feeder.write_all(line.as_bytes()).expect("the node reads");
        assert_eq!(node.message()["body"]["in_reply_to"], msg_id);
    }
    // A read and a write for each, and perhaps an empty read.
    let calls = node.reads_and_writes() - calls_before;
    assert!(calls <= 3 * 100 + 1, "{calls} reads and writes");
    drop(feeder);
    assert_eq!(node.wait().exit_code, Some(0));
}
