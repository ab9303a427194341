//! A node on a terminal.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::json;

use crate::process::{ECHO, Process, request};

/// Both ends of a new terminal without echo: the person's and the program's.
fn terminal() -> (File, File) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
    grantpt(&person).expect("the terminal is ours");
    unlockpt(&person).expect("the terminal is ours");
    let name = ptsname(&person, Vec::new()).expect("it has a name");
    let name = name.to_str().expect("the name is a path");
    let program = OpenOptions::new().read(true).write(true).open(name);
    let program = program.expect("it has been unlocked");
    let mut modes = tcgetattr(&program).expect("it is a terminal");
    modes.local_modes -= LocalModes::ECHO;
    tcsetattr(&program, OptionalActions::Now, &modes).expect("it is a terminal");
    (person.into(), program)
}

fn share(file: &File) -> File {
    file.try_clone().expect("it can be shared")
}

#[test]
fn typed_lines_are_answered_and_the_terminal_is_left_as_it_was() {
    let (mut person, program) = terminal();
    let mut command = Command::new(ECHO);
    command
        .stdin(share(&program))
        .stdout(share(&program))
        .stderr(Stdio::piped());
    let node = Process::adopt(&mut command);
    let mut screen = BufReader::new(share(&person));
    let mut answer = || {
        let mut line = String::new();
        screen.read_line(&mut line).expect("the node writes");
        line
    };
    let init = json!({"type": "init", "node_id": "n0", "node_ids": ["n0"], "msg_id": 1});
    person
        .write_all((request("c0", init) + "\n").as_bytes())
        .expect("the terminal takes it");
    assert!(answer().contains("init_ok"));

    // Pasted lines are read one by one.
    node.stop();
    for msg_id in 1..=3 {
        let echo = json!({"type": "echo", "echo": "x", "msg_id": msg_id});
        person
            .write_all((request("c1", echo) + "\n").as_bytes())
            .expect("the terminal takes it");
    }
    node.go_on();
    for msg_id in 1..=3 {
        assert!(answer().contains(&format!("\"in_reply_to\":{msg_id}")));
    }

    // Ctrl-C would leave the terminal in this mode.
    assert!(
        !fcntl_getfl(&program)
            .expect("it is open")
            .contains(OFlags::NONBLOCK)
    );
    person.write_all(b"\x04").expect("the terminal takes it");
    let ended = node.wait();
    assert_eq!((ended.exit_code, ended.errors.as_str()), (Some(0), ""));
}
