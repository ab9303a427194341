//! Clusters that are started for a run: `--etcd-local`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::command::output::{assert_ends_with, stderr, stdout};
use super::real::is_installed;

/// `eddy test` of the counter on three members, and the folder in which it stores its runs.
struct Run {
    store: PathBuf,
    command: Command,
}

fn run(name: &str, flags: &str) -> Run {
    let store = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("local-{name}"));
    let _ = fs::remove_dir_all(&store);
    let mut command = Command::new(env!("CARGO_BIN_EXE_eddy"));
    command.args([
        "test",
        "-w",
        "g-counter",
        "--etcd-local",
        "3",
        "--seed",
        "1",
    ]);
    command.args([
        "--bin",
        env!("CARGO_BIN_EXE_g-counter"),
        "--node-count",
        "3",
    ]);
    command
        .arg("--store")
        .arg(&store)
        .args(flags.split_whitespace());
    Run { store, command }
}

/// The number of running members whose data is in `folder`.
fn members_in(folder: &Path) -> usize {
    let folder = folder.to_str().expect("a path in UTF-8");
    let processes = fs::read_dir("/proc").expect("this is Linux");
    let lines = processes
        .flatten()
        .map(|process| fs::read(process.path().join("cmdline")));
    let lines = lines
        .flatten()
        .map(|line| String::from_utf8_lossy(&line).into_owned());
    lines
        .filter(|line| line.starts_with("etcd\0") && line.contains(folder))
        .count()
}

/// Waits until `count` members with their data in `folder` run.
#[track_caller]
fn wait_for_members(count: usize, folder: &Path) {
    for _ in 0..300 {
        if members_in(folder) == count {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("{} members run, not {count}", members_in(folder));
}

fn start(run: &mut Run) -> Child {
    let command = run.command.stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().expect("eddy is built");
    wait_for_members(3, &run.store);
    // The guard, the members and the nodes.
    let (id, child_count) = (child.id(), 1 + 3 + 3);
    while children_of(id) < child_count {
        thread::sleep(Duration::from_millis(100));
    }
    // Eddy passes the last process to the guard directly after its start, which can't be observed from here.
    thread::sleep(Duration::from_millis(300));
    child
}

/// The number of children of a process.
fn children_of(id: u32) -> usize {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
    children.expect("eddy runs").split_whitespace().count()
}

#[test]
fn members_are_killed_and_paused_and_the_counter_keeps_its_level() {
    if !is_installed("killed members") {
        return;
    }
    let flags = "--concurrency 10n --rate 50 --time-limit 3 --recovery 3 --nemesis member-kill,member-pause --nemesis-interval 1";
    let mut run = run("faults", flags);
    let output = run.command.output().expect("eddy is built");
    // A run in which some member was down all the time can't be decided, so its verdict is unknown.
    let is_kept = matches!(output.status.code(), Some(0 | 2));
    assert!(is_kept, "{}{}", stdout(&output), stderr(&output));
    assert_eq!(members_in(&run.store), 0);
    let folder = run.store.join("latest");
    let log = fs::read_to_string(folder.join("log.txt")).expect("a log");
    for fault in ["killed: etcd's m", "paused: etcd's m"] {
        assert!(log.contains(fault), "{log}");
    }
    let files = fs::read_dir(folder.join("etcd")).expect("the folder of the members");
    let files = files.map(|file| file.expect("a file").file_name());
    let mut names: Vec<_> = files.collect();
    names.sort();
    assert_eq!(names, ["m0.log", "m1.log", "m2.log"]);
    let mut runs = Command::new(env!("CARGO_BIN_EXE_eddy"));
    runs.args(["runs", "--keep", "0", "--store"])
        .arg(&run.store);
    let removal = runs.output().expect("eddy is built");
    assert_eq!(stderr(&removal), "1 run removed\n");
}

#[test]
fn members_end_with_eddy_however_it_ends() {
    if !is_installed("the end of members") {
        return;
    }
    for (signal, name) in [("-INT", "interrupted"), ("-KILL", "killed")] {
        let mut run = run(name, "--time-limit 60");
        let mut child = start(&mut run);
        let killed = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(killed.expect("there is kill").success());
        child.wait().expect("it was started here");
        wait_for_members(0, &run.store);
    }
}

/// The output of a command, interrupted while three members run that never serve. `name` is of the test.
fn interrupted_before_members_serve(name: &str, command: &mut Command) -> Output {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("local-{name}.bin"));
    fs::create_dir_all(&folder).expect("the test's folder can be written to");
    let etcd = folder.join("etcd");
    fs::write(&etcd, "#!/bin/sh\nexec sleep 1000\n").expect("its folder is there");
    fs::set_permissions(&etcd, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let path = format!("{}:{}", folder.display(), env!("PATH"));
    let command = command.env("PATH", path);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut eddy = command.spawn().expect("eddy is built");
    // The guard and the members.
    while children_of(eddy.id()) < 1 + 3 {
        assert_eq!(eddy.try_wait().expect("it is our child"), None);
        thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&eddy), Signal::INT).expect("it is our child");
    eddy.wait_with_output().expect("it ends")
}

#[test]
fn an_interrupt_before_the_members_serve_ends_them() {
    let output = interrupted_before_members_serve("unready", &mut run("unready", "").command);
    assert_ends_with(3, &output);
    assert!(stderr(&output).contains("interrupted before the run began"));
}

#[test]
fn an_interrupt_of_the_matrix_on_etcd_leaves_the_rows_that_it_has() {
    let mut matrix = Command::new(env!("CARGO_BIN_EXE_eddy"));
    matrix.args("matrix --seeds 1 --time-limit 0.1 --etcd-runs 1 --etcd-bin".split(' '));
    matrix.arg(env!("CARGO_BIN_EXE_g-counter"));
    let output = interrupted_before_members_serve("matrix", &mut matrix);
    assert_ends_with(2, &output);
    let printed = stdout(&output);
    assert_eq!(printed.lines().count(), 1 + 4 + 1, "{printed}");
    assert!(
        printed.ends_with("\ninterrupted after 4 of 15 runs\n"),
        "{printed}"
    );
}

#[test]
fn without_etcd_the_error_names_its_package() {
    let mut run = run("none", "");
    let output = run.command.env("PATH", "/nowhere").output();
    let output = output.expect("eddy is built");
    assert_ends_with(3, &output);
    let printed = stderr(&output);
    assert!(printed.contains("apt-get install etcd-server"), "{printed}");
}

#[test]
fn the_matrix_runs_on_etcd_only_if_it_is_installed() {
    let output = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(["matrix", "--seeds", "1", "--time-limit", "0.1"])
        .args(["--etcd-bin", env!("CARGO_BIN_EXE_g-counter")])
        .env("PATH", "/nowhere")
        .output()
        .expect("eddy is built");
    assert_ends_with(3, &output);
    assert!(stderr(&output).contains("apt-get install etcd-server"));
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    for (flags, why) in [
        (
            "--seq-kv etcd=http://127.0.0.1:1",
            "--etcd-local can't be used with --seq-kv",
        ),
        ("--lin-kv etcd=http://127.0.0.1:1", "cannot be used with"),
        ("--etcd-local 0", "from 1 up"),
    ] {
        let output = run("flags", flags).command.output();
        let output = output.expect("eddy is built");
        assert_ends_with(3, &output);
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
}
