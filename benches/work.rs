//! What an operation costs the core, in instructions as callgrind counts them, against the figures recorded here. `make
//! test` runs it.
//!
//! The lines that a node is told are written down first (see `conversation`); then nodes are told them once, and in
//! another run three times. The difference is what hearing them costs, and nothing else.

#[path = "../tests/conversation/mod.rs"]
mod conversation;

use std::io::ErrorKind;
use std::process::{Command, ExitCode};

use conversation::{Company, Request, counter, echo};
use eddy::node::{Node, Workload};
use eddy::workload::g_counter::Consistency;

/// Instructions an operation, and the operation as it is asked for one by one.
///
/// Counted with rustc 1.95 on x86-64 and valgrind 3.19. Another compiler may need a little more or less; if so much that
/// this fails, and nothing else has changed, put what it prints here.
const RECORDED: [(&str, u64); 9] = [
    ("echo", 2903),
    ("regular-add", 7543),
    ("regular-read", 11_306),
    ("linearizable-add", 9515),
    ("linearizable-read", 9286),
    ("sequential-add", 8552),
    ("sequential-read", 6911),
    ("eventual-add", 2932),
    ("eventual-read", 10_395),
];

/// How much more than recorded is a failure.
const SURPLUS_PERCENT_MAX: u64 = 10;

const OPERATIONS: usize = 1_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, play, operation, times] = &arguments[..]
        && play == "play"
    {
        perform(operation, times.parse().expect("the bench says how often"));
        return ExitCode::SUCCESS;
    }
    let valgrind = Command::new("valgrind").arg("--version").output();
    if valgrind.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        println!("NOT CHECKED: what an operation costs, for want of valgrind");
        return ExitCode::SUCCESS;
    }
    let mut is_within = true;
    for (operation, recorded) in RECORDED {
        let [once, thrice] = [1, 3].map(|times| instructions(operation, times));
        let counted = (thrice - once) / (2 * OPERATIONS as u64);
        let is_dear = 100 * counted > (100 + SURPLUS_PERCENT_MAX) * recorded;
        let verdict = if is_dear { "  TOO MANY" } else { "" };
        println!("{operation:18} {counted:6} instructions, recorded {recorded:6}{verdict}");
        is_within &= !is_dear;
    }
    ExitCode::from(u8::from(!is_within))
}

fn perform(operation: &str, times: usize) {
    let (level, request) = operation.split_once('-').unwrap_or((operation, ""));
    let request = match request {
        "add" => Request::Add,
        "read" => Request::Read,
        _ => return play(echo, Request::Echo, times),
    };
    let mut levels = Consistency::ALL.into_iter();
    let level = levels.find(|(name, _)| *name == level);
    let (_, level) = level.expect("it is recorded under its name");
    play(|| counter(level), request, times);
}

fn play<W: Workload>(node: impl Fn() -> Node<W>, request: Request, times: usize) {
    let mut company = Company::new(node());
    let lines: Vec<String> = (0..OPERATIONS).map(|number| request.line(number)).collect();
    let scripts = [company.init(), company.converse(&lines, 1)];
    for _ in 0..times {
        let mut node = node();
        scripts.iter().for_each(|script| script.play(&mut node));
    }
}

/// How many instructions this program needs to play an operation so often.
fn instructions(operation: &str, times: u64) -> u64 {
    let this = std::env::current_exe().expect("a bench is a file");
    let mut callgrind = Command::new("valgrind");
    callgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    callgrind
        .arg(this)
        .args(["play", operation, &times.to_string()]);
    let output = callgrind.output().expect("valgrind is there");
    let said = String::from_utf8_lossy(&output.stderr);
    let (_, counted) = said
        .rsplit_once("Collected : ")
        .unwrap_or_else(|| panic!("callgrind counts nothing: {said}"));
    let counted = counted.lines().next().unwrap_or_default();
    counted.trim().parse().expect("it is a number")
}
