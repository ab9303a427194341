//! The files that `eddy sim` stores.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Faults of every kind, to exercise everything that could differ.
const RUN: &str = "-w g-counter --node-count 3 --concurrency 2n --rate 50 --time-limit 5 --latency 10 --latency-dist \
                   exponential --nemesis partition,kill,loss,ghost --nemesis-interval 1 --nemesis-services";

/// A level that the store breaks: some seed fails.
const FAILING: &str = "-w g-counter --node-count 2 --rate 50 --time-limit 5 --seeds 10 --seq-kv lazy \
                       --consistency-models linearizable -- --consistency sequential";

/// An empty folder for runs.
fn store(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    path
}

fn sim(store: &Path, flags: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(["sim", "--store"])
        .arg(store)
        .args(flags.split_whitespace())
        .output()
        .expect("eddy is built")
}

/// The files in a folder and its subfolders, by name.
fn files(folder: &Path, files_of: &mut BTreeMap<PathBuf, Vec<u8>>, root: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, files_of, root);
        } else {
            let name = path.strip_prefix(root).expect("it is in there");
            let bytes = fs::read(&path).expect("a file");
            files_of.insert(name.to_path_buf(), bytes);
        }
    }
}

/// The files of the latest run in a store.
fn latest(store: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = fs::canonicalize(store.join("latest")).expect("a link to the run");
    let mut of_run = BTreeMap::new();
    files(&folder, &mut of_run, &folder);
    of_run
}

#[test]
fn the_same_seed_leaves_the_same_files_to_the_byte_wherever_they_are() {
    let stores = [store("sim-one"), store("sim-elsewhere/two")];
    let runs = stores.each_ref().map(|store| {
        sim(store, &format!("{RUN} --seed 7"));
        latest(store)
    });
    let names: Vec<_> = runs[0]
        .keys()
        .map(|name| name.display().to_string())
        .collect();
    let expected = [
        "history.jsonl",
        "log.txt",
        "messages.jsonl.lz4",
        "node-logs/n0.log",
        "node-logs/n1.log",
        "node-logs/n2.log",
        "report.html",
        "results.json",
    ];
    assert_eq!(names, expected);
    for (name, bytes) in &runs[0] {
        assert!(runs[1][name] == *bytes, "{} differs", name.display());
    }
    sim(&stores[1], &format!("{RUN} --seed 8"));
    let other = latest(&stores[1]);
    for name in [
        "history.jsonl",
        "log.txt",
        "messages.jsonl.lz4",
        "results.json",
    ] {
        assert!(other[Path::new(name)] != runs[0][Path::new(name)], "{name}");
    }
}

#[test]
fn a_campaign_that_fails_leaves_the_page_of_the_smallest_run_and_names_its_folder() {
    let store = store("sim-campaign");
    let output = sim(&store, FAILING);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    let (_, smallest) = printed
        .split_once("The smallest run found that still fails:")
        .expect("a small run");
    let (_, folder) = smallest.split_once("stored in   ").expect("a folder");
    let folder = Path::new(folder.lines().next().expect("a line"));
    assert!(folder.join("report.html").is_file(), "{printed}");
    let runs = fs::read_dir(store.join("g-counter")).expect("a folder");
    assert_eq!(runs.count(), 2, "one run, and the link to it");
}

#[test]
fn a_campaign_is_one_json_object_if_that_is_asked_for() {
    let output = sim(&store("sim-json"), &format!("--json {FAILING}"));
    let json: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(json["valid"], false);
    assert_eq!(json["runs"], 10);
    let shown = json["shown"].as_array().expect("a list");
    assert!(
        !shown.is_empty() && json["invalid"].as_u64() > Some(0),
        "{json}"
    );
    let repeat = shown[0]["repeat"].as_str().expect("a command");
    assert!(repeat.ends_with("-- --consistency sequential"), "{repeat}");
    assert_eq!(json["smallest"]["valid"], false);
    assert_eq!(json["settings"]["rate"], 50);
    let smaller = json["smallest"]["settings"]["rate"].as_f64();
    assert!(
        smaller < Some(50.0),
        "settings are those of the run: {json}"
    );
    assert!(json["smallest"]["store"].is_string(), "{json}");
}

#[test]
fn one_run_is_one_json_object_if_that_is_asked_for_and_campaigns_that_hold_leave_nothing() {
    let store = store("sim-one-json");
    let output = sim(&store, &format!("--json {RUN} --seed 7"));
    let json: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let files = latest(&store);
    let results: Value = serde_json::from_slice(&files[Path::new("results.json")]).expect("JSON");
    assert_eq!(json["operations"], results["operations"]);
    let history = String::from_utf8_lossy(&files[Path::new("history.jsonl")]);
    let history = history
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let in_time = history.filter(|line| line["outcome"] == "ok" && line["is_final"] == false);
    let reached = in_time.count() as f64 / results["time_limit_s"].as_f64().expect("seconds");
    assert_eq!(results["operations_per_s"], reached);
    assert_eq!(
        results["rate_per_s"].as_f64(),
        results["settings"]["rate"].as_f64()
    );
    assert_eq!(json["seed"], 7);
    assert_eq!(json["settings"], results["settings"]);
    assert_eq!(results["settings"]["nemesis-services"], true);
    assert!(json["machine"]["cores"].as_u64() > Some(0), "{json}");
    assert!(
        results["machine"].is_null(),
        "the same bytes on any machine"
    );

    let campaign = self::store("sim-right");
    let output = sim(&campaign, "-w echo --node-count 1 --time-limit 1 --seeds 3");
    assert_eq!(output.status.code(), Some(0));
    assert!(!campaign.exists());
}

#[test]
fn a_run_is_repeated_by_its_command_whatever_its_names_are() {
    for flags in [
        ["--nodes", "a b,c"],
        ["--nodes=-x,--y", "--rate=5"],
        ["--consistency-models", "regular , eventual"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_eddy"))
            .args("sim -w g-counter --no-store --json --time-limit 2 --seed 3".split(' '))
            .args(flags)
            .output()
            .expect("eddy is built");
        let json: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        let command = json["repeat"].as_str().expect("a command");
        let repeated = Command::new("sh")
            .args(["-c", &format!("{command} --no-store --json")])
            .output()
            .expect("there is a shell");
        assert_eq!(
            String::from_utf8_lossy(&repeated.stdout),
            String::from_utf8_lossy(&output.stdout),
            "{flags:?}: {command}"
        );
    }
}

#[test]
fn a_campaign_in_which_nothing_can_happen_has_figures_all_the_same() {
    let flags = "-w echo --seeds 2 --time-limit 0 --no-store --json";
    let output = sim(&store("sim-nothing"), flags);
    let json: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(json["operations_per_s"], 0.0, "{json}");
    assert_eq!(json["messages_per_operation"], 0.0, "{json}");
}
