//! The core by the clock, part by part: parse, encode, framing, pending operations, and whole operations of a node,
//! with all that the store and the peers tell it on the way. The bench `work` counts the same operations in
//! instructions, and holds them to that.

#[path = "../../tests/conversation/mod.rs"]
mod conversation;

use std::hint::black_box;
use std::time::{Duration, Instant};

use conversation::{Company, Request, counter, echo};
use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use eddy::node::{Node, Pending, Random, Workload};
use eddy::protocol::{LINE_BYTES_MAX, LineReader, Message, MessageWriter, Sender};
use eddy::workload::g_counter::Consistency;
use eddy::workload::{Echo, GCounter};

/// What the store says when a swap was made, with a message id as long as they are.
const CAS_OK: &str = r#"{"id":7,"src":"seq-kv","dest":"n0","body":{"type":"cas_ok","in_reply_to":4503599627370497}}"#;

/// Together short of the 64 KiB that a reader takes at once.
const BLOCK_LINES: usize = 500;

/// How many operations are pending while one ends and another begins.
const PENDING: usize = 1_000;

/// From an operation to the next to end; the slots are visited out of order, and each as often.
const PENDING_STRIDE: usize = 389;

/// A fresh node serves so many in a row.
const OPERATIONS: u32 = 1_000;

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    parse::<Echo>(&mut criterion, "echo", &Request::Echo.line(1));
    parse::<GCounter>(&mut criterion, "cas_ok", CAS_OK);
    encode(&mut criterion);
    framing(&mut criterion);
    pending(&mut criterion);
    operations(&mut criterion);
    criterion.final_summary();
}

/// One line, as a node with this workload parses it.
fn parse<W: Workload>(criterion: &mut Criterion, name: &str, line: &str) {
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Bytes(line.len() as u64));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let message = Message::<W::Fields<'_>>::parse(black_box(line));
            black_box(message.expect("it is a message"));
        });
    });
}

/// One answer to a client.
fn encode(criterion: &mut Criterion) {
    let sender = Sender::new("n0");
    let answer = |out: &mut Vec<u8>| {
        MessageWriter::new(out, &sender, black_box("c1"), "read_ok")
            .field("in_reply_to", black_box(1234_u64))
            .field("value", black_box(56_789_u64));
    };
    let mut out = Vec::new();
    answer(&mut out);
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Bytes(out.len() as u64));
    group.bench_function("read_ok", |bencher| {
        bencher.iter(|| {
            out.clear();
            answer(&mut out);
            black_box(&out);
        });
    });
}

/// A block of lines, copied to where a read puts it and cut.
fn framing(criterion: &mut Criterion) {
    let lines = (0..BLOCK_LINES).map(|number| Request::Echo.line(number) + "\n");
    let block: String = lines.collect();
    let mut reader = LineReader::new(LINE_BYTES_MAX);
    let mut group = criterion.benchmark_group("framing");
    group.throughput(Throughput::Bytes(block.len() as u64));
    group.bench_function("block", |bencher| {
        bencher.iter(|| {
            reader.space()[..block.len()].copy_from_slice(black_box(block.as_bytes()));
            reader.filled(block.len());
            for line in reader.lines() {
                black_box(line.expect("it is short and UTF-8"));
            }
        });
    });
}

/// An operation ends, another takes its slot, asks, and is found by the id of its question.
fn pending(criterion: &mut Criterion) {
    let mut pending = Pending::<usize>::new(&mut Random::new(1));
    let mut ids: Vec<i64> = (0..PENDING).map(|number| pending.insert(number)).collect();
    let mut slot = 0;
    let mut group = criterion.benchmark_group("pending");
    group.throughput(Throughput::Elements(1));
    group.bench_function("churn", |bencher| {
        bencher.iter(|| {
            slot = (slot + PENDING_STRIDE) % PENDING;
            let ended = pending.remove(ids[slot]).expect("it is pending");
            ids[slot] = black_box(pending.insert(ended));
            black_box(pending.get(ids[slot]));
        });
    });
}

/// What a node takes to serve one request when it has no other, without the store and the peers.
fn operations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("operation");
    group.throughput(Throughput::Elements(1));
    operation(&mut group, "echo", echo, Request::Echo);
    for (level, consistency) in Consistency::ALL {
        let node = || counter(consistency);
        operation(&mut group, &format!("{level}-add"), node, Request::Add);
        operation(&mut group, &format!("{level}-read"), node, Request::Read);
    }
}

fn operation<W: Workload>(
    group: &mut BenchmarkGroup<WallTime>,
    name: &str,
    node: impl Fn() -> Node<W>,
    request: Request,
) {
    let lines = (0..OPERATIONS as usize).map(|number| request.line(number));
    let mut company = Company::new(node());
    let init = company.init();
    let script = company.converse(&lines.collect::<Vec<_>>(), 1);
    let serve = || {
        let mut node = node();
        init.play(&mut node);
        let start = Instant::now();
        script.play(&mut node);
        start.elapsed()
    };
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| serve()).sum::<Duration>() / OPERATIONS);
    });
}
