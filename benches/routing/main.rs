//! The engine of the workbench alone: how many network messages a second it routes, with nodes that cost next to
//! nothing.
//!
//! Nodes are functions in this process, and time is the bench's own, so that what is measured is what the loop of
//! `eddy test` does for a message besides reading and writing pipes: parse the line, find the receiver, tell the
//! observer, hand the message over, match the answer with its question, ask the next.

use std::mem;
use std::time::{Duration, Instant};

use eddy::workbench::workload::Echo;
use eddy::workbench::world::{Settings, World, node_names};

const MESSAGES: u64 = 1_000_000;
const ROUNDS: usize = 5;

/// Time passes by so much from one turn to the next.
const TURN: Duration = Duration::from_micros(20);

fn main() {
    for client_count in [1, 100, 1000] {
        let best = (0..ROUNDS)
            .map(|_| run(client_count))
            .max_by(f64::total_cmp);
        let rate = best.expect("there is a round");
        println!("routing            {client_count:4} clients   {rate:9.0} messages/s");
    }
}

/// Routes so many messages of an echo run, and gives how many it were a second.
fn run(client_count: usize) -> f64 {
    let mut world = World::new(Echo, settings(client_count), ());
    let (mut inbox, mut answers) = (Vec::new(), String::new());
    let mut now = Duration::ZERO;
    let began = Instant::now();
    let mut message_count = 0;
    while message_count < MESSAGES {
        world.advance(now);
        mem::swap(world.inbox(0), &mut inbox);
        answers.clear();
        for line in inbox.split_inclusive(|&byte| byte == b'\n') {
            answer(str::from_utf8(line).expect("JSON is UTF-8"), &mut answers);
            message_count += 2;
        }
        inbox.clear();
        for line in answers.lines() {
            world.on_line(0, line, now);
        }
        now += TURN;
    }
    let took_s = began.elapsed().as_secs_f64();
    let is_running = !world.is_over() && world.progress(now).operation_count > 0;
    assert!(is_running, "the node has answered wrongly");
    message_count as f64 / took_s
}

/// Answers a line as an echo node does, without parsing it: lines are all alike.
fn answer(line: &str, out: &mut String) {
    let after = |mark: &str| {
        let (_, rest) = line.split_once(mark).expect("every request has it");
        rest
    };
    let (client, _) = after("\"src\":\"").split_once('"').expect("a name ends");
    let (msg_id, _) = after("\"msg_id\":").split_once('}').expect("a body ends");
    let kind = if line.contains("\"type\":\"init\"") {
        "init_ok"
    } else {
        "echo_ok"
    };
    let echo = match line.split_once("\"echo\":") {
        Some((_, rest)) => rest.split_once(',').expect("msg_id follows").0,
        None => "null",
    };
    out.push_str("{\"src\":\"n0\",\"dest\":\"");
    out.push_str(client);
    out.push_str("\",\"body\":{\"type\":\"");
    out.push_str(kind);
    out.push_str("\",\"in_reply_to\":");
    out.push_str(msg_id);
    out.push_str(",\"echo\":");
    out.push_str(echo);
    out.push_str("}}\n");
}

fn settings(client_count: usize) -> Settings {
    Settings {
        client_count,
        rate_per_s: 1e9,
        time_limit: Duration::MAX / 4,
        recovery: Duration::ZERO,
        ..Settings::new(node_names(1))
    }
}
