//! The same seed gives the same run to the byte: every message, its time and its fate, and every operation, also in
//! another process.

use std::env;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hasher};
use std::process::Command;
use std::time::Duration;

use eddy::program::{self, Program};
use eddy::workbench::latency::Latency;
use eddy::workbench::nemesis::Fault;
use eddy::workbench::sim::{run, start};
use eddy::workbench::workload::{
    Broadcast, Echo, GCounter, GSet, Kafka, KeyLimits, LinKv, PnCounter, Topology, TxnLimits,
    TxnListAppend, TxnRwRegister, UniqueIds, Workload,
};
use eddy::workbench::world::{Loss, MessageEvent, Observer, Settings, node_names};

/// Everything observable of a run.
#[derive(Default)]
struct Transcript(String);

impl Transcript {
    fn note(&mut self, what: &str, message: &MessageEvent<'_>) {
        let _ = writeln!(self.0, "{what}: {message:?}");
    }
}

impl Observer for Transcript {
    fn sent(&mut self, message: &MessageEvent<'_>) {
        self.note("sent", message);
    }

    fn received(&mut self, message: &MessageEvent<'_>) {
        self.note("received", message);
    }

    fn lost(&mut self, message: &MessageEvent<'_>, why: Loss) {
        self.note(&format!("{why:?}"), message);
    }
}

fn settings() -> Settings {
    Settings {
        client_count: 30,
        rate_per_s: 100.0,
        time_limit: Duration::from_secs(3),
        recovery: Duration::from_secs(5),
        latency: Latency::exponential(Duration::from_millis(5)),
        faults: vec![
            Fault::Partition,
            Fault::OneWay,
            Fault::Kill,
            Fault::Pause,
            Fault::Loss,
            Fault::Duplicate,
            Fault::Reorder,
            Fault::Ghost,
        ],
        services_suffer: true,
        fault_interval: Duration::from_millis(500),
        seed: 7,
        ..Settings::new(node_names(3))
    }
}

/// One line that identifies the run of this workload.
fn digest<O, N, W>(program: &Program<O, N>, workload: W) -> String
where
    O: Clone + Default + Send + Sync + 'static,
    N: eddy::node::Workload + 'static,
    W: Workload,
{
    let (record, transcript) = run(
        workload,
        settings(),
        &start(program.read(&[]).expect("no flag is wrong").0),
        Transcript::default(),
    )
    .expect("our nodes answer init");
    let text = format!("{}{:?}", transcript.0, record.history);
    assert!(record.history.len() >= 30, "{}: {text}", W::NAME);
    // Its keys are the same in every process.
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    format!(
        "{}: {} bytes, {:016x}\n",
        W::NAME,
        text.len(),
        hasher.finish()
    )
}

fn digests() -> String {
    let Settings {
        nodes,
        client_count,
        ..
    } = settings();
    let keys = KeyLimits {
        key_count: 10,
        max_writes_per_key: 16,
    };
    let limits = TxnLimits {
        keys,
        max_txn_length: 4,
    };
    [
        digest(&program::ECHO, Echo),
        digest(&program::UNIQUE_IDS, UniqueIds),
        digest(&program::BROADCAST, Broadcast::new(Topology::Grid, &nodes)),
        digest(&program::G_SET, GSet::default()),
        digest(&program::G_COUNTER, GCounter::default()),
        digest(&program::PN_COUNTER, PnCounter::default()),
        digest(&program::KAFKA, Kafka::new(keys)),
        digest(&program::LIN_KV, LinKv::new(nodes.len(), client_count)),
        digest(
            &program::TXN_RW_REGISTER,
            TxnRwRegister::new(limits, Vec::new()),
        ),
        digest(
            &program::TXN_LIST_APPEND,
            TxnListAppend::new(limits, Vec::new()),
        ),
    ]
    .concat()
}

#[test]
fn the_same_seed_gives_the_same_run_of_every_workload_to_the_byte_in_another_process() {
    let itself = env::current_exe().expect("this program has a path");
    let other = Command::new(itself)
        .args(["--ignored", "--exact", "replay::the_runs_of_this_process"])
        .arg("--nocapture")
        .output()
        .expect("this program can be run");
    let printed = String::from_utf8_lossy(&other.stdout);
    let here = digests();
    assert!(printed.contains(&here), "here:\n{here}\nthere:\n{printed}");
}

#[test]
#[ignore = "what the other process does"]
fn the_runs_of_this_process() {
    println!("\n{}", digests());
}
