//! Nodes without I/O: lines and the time go in, bytes and the next deadline come out. In steady state no message
//! allocates memory, and pending operations take little memory.

mod conversation;

use std::time::Duration;

use allocation_counter::measure;
use conversation::{Company, Request, counter, echo};
use eddy::node::{Limits, Node, Workload};
use eddy::protocol::LineReader;
use eddy::workload::GCounter;
use eddy::workload::g_counter::Consistency;
use eddy::workload::g_counter::Options;

/// The number of allocations for a thousand requests of these kinds in equal parts, after the node has served as many
/// before.
fn allocations<W: Workload>(
    node: impl Fn() -> Node<W>,
    requests: &[Request],
    at_once: usize,
) -> u64 {
    let kinds = requests.iter().cycle().take(1000);
    let lines: Vec<String> = kinds
        .enumerate()
        .map(|(number, kind)| kind.line(number))
        .collect();
    let mut company = Company::new(node());
    let scripts = [
        company.init(),
        company.converse(&lines, at_once),
        company.converse(&lines, at_once),
    ];
    let [init, first, second] = &scripts;
    let mut node = node();
    init.play(&mut node);
    first.play(&mut node);
    measure(|| second.play(&mut node)).count_total
}

#[test]
fn an_echo_allocates_nothing() {
    assert_eq!(allocations(echo, &[Request::Echo], 100), 0);
}

#[test]
fn a_counter_of_any_level_allocates_nothing() {
    for (level, consistency) in Consistency::ALL {
        for at_once in [1, 100] {
            let allocations = allocations(
                || counter(consistency),
                &[Request::Add, Request::Read],
                at_once,
            );
            assert_eq!(allocations, 0, "{level}, {at_once} at once");
        }
    }
}

#[test]
fn a_counter_is_driven_by_hand() {
    let options = Options {
        limits: Limits {
            pending_max: 100,
            rpc_timeout: Duration::from_millis(500),
            ..Limits::default()
        },
        ..Options::default()
    };
    let mut node = Node::new(GCounter::new(options, 1));
    let mut reader = LineReader::new(4096);

    // The bytes may come from anywhere, cut anywhere.
    let input = r#"{"src":"c0","dest":"n0","body":{"type":"init","node_id":"n0","node_ids":["n0"],"msg_id":1}}
{"src":"c1","dest":"n0","body":{"type":"add","delta":3,"msg_id":2}}
{"src":"c1","des"#;
    reader.space()[..input.len()].copy_from_slice(input.as_bytes());
    reader.filled(input.len());
    let now = Duration::from_millis(10);
    for line in reader.lines() {
        let line = line.expect("it is UTF-8 and not too long");
        node.receive(line, now).expect("it is a message");
    }

    // The bytes may go anywhere. Here: to the client, and a request to the store.
    let output = String::from_utf8(node.output().to_vec()).expect("messages are text");
    node.written(output.len());
    let lines: Vec<&str> = output.lines().collect();
    assert!(lines[0].contains(r#""dest":"c0","body":{"type":"init_ok""#));
    assert!(lines[1].contains(r#""dest":"seq-kv","body":{"type":"read""#));

    // The store does not reply: the node sets a deadline, and sends the request again, under another id.
    let deadline = node.deadline().expect("it waits for an answer");
    assert!(deadline >= now + Duration::from_millis(500));
    node.wake(deadline);
    let again = String::from_utf8(node.output().to_vec()).expect("messages are text");
    let (content, id) = lines[1].split_once(r#""msg_id""#).expect("it has an id");
    assert!(again.starts_with(content), "{again}");
    assert!(!again.contains(id), "{again}");
}

#[test]
fn a_pending_operation_takes_at_most_256_bytes() {
    const OPERATIONS: usize = 10_000;
    for (level, consistency) in Consistency::ALL {
        let mut node = counter(consistency);
        Company::new(counter(consistency)).init().play(&mut node);
        let allocated = measure(|| {
            for number in 0..OPERATIONS {
                let line = Request::Read.line(number);
                node.receive(&line, Duration::ZERO).expect("a message");
                node.written(node.output().len());
            }
        });
        let bytes = allocated.bytes_max / OPERATIONS as u64;
        assert!((1..=256).contains(&bytes), "{level}: {bytes} bytes");
    }
}
