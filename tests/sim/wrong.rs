//! Simulated nodes with a planted fault: each is caught, and the finding names its fault.
//!
//! A wrong node is a correct one whose input or output lines are changed.

use std::collections::BTreeMap;
use std::time::Duration;

use eddy::node::Node;
use eddy::program::{self, Program};
use eddy::workbench::audit::Demands;
use eddy::workbench::check::Validity;
use eddy::workbench::check::consistency::Level;
use eddy::workbench::check::txn::Model;
use eddy::workbench::latency::Latency;
use eddy::workbench::log::{LastLines, Log, Topics};
use eddy::workbench::nemesis::Fault;
use eddy::workbench::report::{Invocation, Report};
use eddy::workbench::sim::shrink::shrink;
use eddy::workbench::sim::{Machine, Start, run, start};
use eddy::workbench::workload::{
    Broadcast, GCounter, Kafka, KeyLimits, LinKv, Topology, TxnLimits, TxnRwRegister, UniqueIds,
    Workload,
};
use eddy::workbench::world::{Settings, node_names};
use serde_json::{Value, json};

/// Changes the lines of one incarnation of a node. Each method may change the line, drop it by returning `false`, or
/// add lines to the output.
trait Tamper {
    fn input(&mut self, _message: &mut Value, _said: &mut Vec<Value>) -> bool {
        true
    }

    fn output(&mut self, _message: &mut Value, _said: &mut Vec<Value>) -> bool {
        true
    }
}

struct Wrong<W, T> {
    node: Node<W>,
    tamper: T,
    output: Vec<u8>,
}

impl<W: eddy::node::Workload, T: Tamper> Wrong<W, T> {
    fn say(&mut self, messages: &[Value]) {
        for message in messages {
            self.output.extend(message.to_string().bytes());
            self.output.push(b'\n');
        }
    }

    fn pass_output_on(&mut self) {
        let output = String::from_utf8(self.node.output().to_vec()).expect("nodes write UTF-8");
        self.node.written(output.len());
        for line in output.lines() {
            let mut message = serde_json::from_str(line).expect("nodes write JSON");
            let mut output = Vec::new();
            if self.tamper.output(&mut message, &mut output) {
                output.insert(0, message);
            }
            self.say(&output);
        }
    }
}

impl<W: eddy::node::Workload, T: Tamper> Machine for Wrong<W, T> {
    fn receive(&mut self, line: &str, now: Duration) -> Result<(), serde_json::Error> {
        let mut message = serde_json::from_str(line).expect("the network writes JSON");
        let mut output = Vec::new();
        let passes = self.tamper.input(&mut message, &mut output);
        self.say(&output);
        if passes {
            self.node.receive(&message.to_string(), now)?;
            self.pass_output_on();
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Duration> {
        self.node.deadline()
    }

    fn wake(&mut self, now: Duration) {
        self.node.wake(now);
        self.pass_output_on();
    }

    fn output(&self) -> &[u8] {
        &self.output
    }

    fn written(&mut self, count: usize) {
        self.output.drain(..count);
    }
}

/// Nodes of a program, with a planted fault.
fn wrong<O, W, T>(program: &Program<O, W>, tamper: fn() -> T) -> Start
where
    O: Clone + Default + Send + Sync + 'static,
    W: eddy::node::Workload + 'static,
    T: Tamper + 'static,
{
    let node = program.read(&[]).expect("no flag is wrong").0;
    Box::new(move |seed| {
        Box::new(Wrong {
            node: node(seed),
            tamper: tamper(),
            output: Vec::new(),
        })
    })
}

fn kind(message: &Value) -> &str {
    message["body"]["type"].as_str().expect("bodies have types")
}

/// A reply to a request, from the node that got it.
fn answer(request: &Value, mut body: Value) -> Value {
    body["in_reply_to"] = request["body"]["msg_id"].clone();
    json!({"src": request["dest"], "dest": request["src"], "body": body})
}

fn settings(faults: &[Fault]) -> Settings {
    Settings {
        client_count: 30,
        rate_per_s: 50.0,
        time_limit: Duration::from_secs(5),
        latency: Latency::exponential(Duration::from_millis(20)),
        faults: faults.to_vec(),
        fault_interval: Duration::from_secs(1),
        ..Settings::new(node_names(3))
    }
}

/// The same with so many requests that every kill meets some.
fn busy(faults: &[Fault]) -> Settings {
    Settings {
        rate_per_s: 200.0,
        ..settings(faults)
    }
}

fn report<W: Workload>(workload: W, settings: &Settings, start: &Start) -> Report {
    let record = run(workload, settings.clone(), start, ());
    let (record, ()) = record.expect("these nodes answer init");
    let demands = Demands {
        is_strict: true,
        ..Demands::default()
    };
    Report::new(&record, settings, demands, Invocation::default())
}

/// Asserts that within ten seeds, under these faults, the wrong nodes are found with these words, and correct ones have no
/// finding.
#[track_caller]
fn assert_caught<W: Workload>(
    program: &Program<
        impl Clone + Default + Send + Sync + 'static,
        impl eddy::node::Workload + 'static,
    >,
    workload: impl Fn() -> W,
    wrong: &Start,
    faults: &[Fault],
    words: &str,
) {
    assert_caught_with(settings(faults), program, workload, wrong, words);
}

/// The same in runs with these settings.
#[track_caller]
fn assert_caught_with<W: Workload>(
    settings: Settings,
    program: &Program<
        impl Clone + Default + Send + Sync + 'static,
        impl eddy::node::Workload + 'static,
    >,
    workload: impl Fn() -> W,
    wrong: &Start,
    words: &str,
) {
    let right = start(program.read(&[]).expect("no flag is wrong").0);
    let settings = |seed| Settings {
        seed,
        ..settings.clone()
    };
    let mut output = Vec::new();
    for seed in 1..=10 {
        let of_right = report(workload(), &settings(seed), &right);
        assert_eq!(of_right.validity(), Validity::Valid, "{of_right}");
        output.push(report(workload(), &settings(seed), wrong).to_string());
    }
    let output = output.concat();
    assert!(output.contains(words), "{output}");
}

/// Acknowledges an add before the store has it.
#[derive(Default)]
struct AcknowledgesEarly;

impl Tamper for AcknowledgesEarly {
    fn input(&mut self, message: &mut Value, output: &mut Vec<Value>) -> bool {
        if kind(message) == "add" {
            output.push(answer(message, json!({"type": "add_ok"})));
        }
        true
    }

    fn output(&mut self, message: &mut Value, _: &mut Vec<Value>) -> bool {
        kind(message) != "add_ok"
    }
}

#[test]
fn an_add_acknowledged_before_the_store_agrees_is_caught_where_reads_are_held_to_regularity() {
    let wrong = wrong(&program::G_COUNTER, AcknowledgesEarly::default);
    let regular = || GCounter::new(vec![Level::Regular]);
    assert_caught(&program::G_COUNTER, regular, &wrong, &[], "regular");
    // Without a kill the store is up to date in time for the final reads.
    assert_caught_with(
        busy(&[Fault::Kill]),
        &program::G_COUNTER,
        GCounter::default,
        &wrong,
        "is missing",
    );
}

/// Counts every tenth add twice.
#[derive(Default)]
struct CountsTwice {
    add_count: u64,
}

impl Tamper for CountsTwice {
    fn input(&mut self, message: &mut Value, _: &mut Vec<Value>) -> bool {
        let delta = &mut message["body"]["delta"];
        if let Some(once) = delta.as_i64() {
            self.add_count += 1;
            if self.add_count.is_multiple_of(10) {
                *delta = json!(2 * once);
            }
        }
        true
    }
}

#[test]
fn an_add_that_is_counted_twice_is_caught() {
    let wrong = wrong(&program::G_COUNTER, CountsTwice::default);
    assert_caught(&program::G_COUNTER, GCounter::default, &wrong, &[], "twice");
}

/// Answers repeated reads of a key from memory.
#[derive(Default)]
struct ReadsFromMemory {
    keys: BTreeMap<String, Value>,
    values: BTreeMap<String, Value>,
}

impl Tamper for ReadsFromMemory {
    fn input(&mut self, message: &mut Value, output: &mut Vec<Value>) -> bool {
        if kind(message) != "read" {
            return true;
        }
        let body = &message["body"];
        let key = body["key"].to_string();
        if let Some(value) = self.values.get(&key) {
            output.push(answer(message, json!({"type": "read_ok", "value": value})));
            return false;
        }
        self.keys.insert(body["msg_id"].to_string(), json!(key));
        true
    }

    fn output(&mut self, message: &mut Value, _: &mut Vec<Value>) -> bool {
        let body = &message["body"];
        if kind(message) == "read_ok"
            && let Some(Value::String(key)) = self.keys.remove(&body["in_reply_to"].to_string())
        {
            self.values.insert(key, body["value"].clone());
        }
        true
    }
}

#[test]
fn a_store_that_is_read_from_memory_is_caught() {
    let wrong = wrong(&program::LIN_KV, ReadsFromMemory::default);
    let lin_kv = || LinKv::new(3, 30);
    assert_caught(&program::LIN_KV, lin_kv, &wrong, &[], "linearizable");
}

#[test]
fn a_broadcast_that_is_not_repeated_after_a_partition_is_caught() {
    let patient = ["--retry-timeout", "86400s"].map(String::from);
    let wrong = start(program::BROADCAST.read(&patient).expect("right flags").0);
    let faults = [Fault::Partition];
    let broadcast = || Broadcast::new(Topology::Grid, &settings(&faults).nodes);
    assert_caught(&program::BROADCAST, broadcast, &wrong, &faults, " lacks ");
}

/// Reports every fifth transaction as aborted after it took effect.
#[derive(Default)]
struct CallsOffLate {
    txn_count: u64,
}

impl Tamper for CallsOffLate {
    fn output(&mut self, message: &mut Value, _: &mut Vec<Value>) -> bool {
        if kind(message) == "txn_ok" {
            self.txn_count += 1;
            if self.txn_count.is_multiple_of(5) {
                let to = message["body"]["in_reply_to"].clone();
                message["body"] =
                    json!({"type": "error", "code": 30, "text": "conflict", "in_reply_to": to});
            }
        }
        true
    }
}

#[test]
fn what_a_transaction_wrote_that_was_called_off_is_caught_when_it_is_read() {
    let wrong = wrong(&program::TXN_RW_REGISTER, CallsOffLate::default);
    let read_committed = || {
        let limits = TxnLimits {
            keys: KEYS,
            max_txn_length: 4,
        };
        let model: Model = "read-committed".parse().expect("a model");
        TxnRwRegister::new(limits, vec![model])
    };
    assert_caught(
        &program::TXN_RW_REGISTER,
        read_committed,
        &wrong,
        &[Fault::Partition],
        "was aborted",
    );
}

const KEYS: KeyLimits = KeyLimits {
    key_count: 4,
    max_writes_per_key: 16,
};

/// Leaves out the second of three polled messages.
#[derive(Default)]
struct Skips;

impl Tamper for Skips {
    fn output(&mut self, message: &mut Value, _: &mut Vec<Value>) -> bool {
        let logs = message.pointer_mut("/body/msgs");
        let logs = logs.and_then(Value::as_object_mut);
        for log in logs.into_iter().flat_map(|logs| logs.values_mut()) {
            let polled = log.as_array_mut().expect("messages are in a list");
            if polled.len() >= 3 {
                polled.remove(1);
            }
        }
        true
    }
}

#[test]
fn a_poll_that_skips_an_offset_is_caught() {
    let wrong = wrong(&program::KAFKA, Skips::default);
    assert_caught(&program::KAFKA, || Kafka::new(KEYS), &wrong, &[], "skip");
}

#[test]
fn ids_that_a_node_gives_out_in_each_of_its_lives_are_caught() {
    let wrong = start(|_| Node::new(eddy::workload::UniqueIds::new(7)));
    assert_caught(
        &program::UNIQUE_IDS,
        || UniqueIds,
        &wrong,
        &[Fault::Kill],
        "was given out",
    );
}

#[test]
fn what_is_left_of_a_failing_run_is_a_short_story_with_the_one_fault_that_matters() {
    let wrong = wrong(&program::G_COUNTER, AcknowledgesEarly::default);
    let all = [Fault::Partition, Fault::Loss, Fault::Kill, Fault::Duplicate];
    let fails = |settings: &Settings| {
        report(GCounter::default(), settings, &wrong).validity() == Validity::Invalid
    };
    let mut failing = (1..).map(|seed| Settings { seed, ..busy(&all) });
    let failing = failing
        .find(fails)
        .expect("a kill loses an add sooner or later");
    let smallest = shrink(failing, fails);
    assert_eq!(smallest.faults, [Fault::Kill]);
    assert!(
        smallest.nodes.len() == 1 && smallest.client_count <= 2,
        "{smallest:?}"
    );
    let told = Topics {
        run: true,
        received: true,
        ..Topics::default()
    };
    let log = Log::new(told, LastLines::default());
    let (_, log) = run(GCounter::default(), smallest, &wrong, log).expect("a run");
    let log = log.into_sink().to_string();
    assert!(log.lines().count() < 40, "{log}");
}
