//! What can't be run is refused with what to do, and exit code 3.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};

use super::open_files::assert_too_few;
use super::output::{assert_ends_with, stderr};
use super::served::Action::{Close, Ignore, Reply};
use super::served::{Behaviour, echo, let_in, open, refuse, serve};
use super::{eddy, load};

/// What a command line is refused with.
#[track_caller]
fn refusal(addresses: &[String], more: &str) -> String {
    let output = load("broadcast", addresses, more);
    assert_ends_with(3, &output);
    stderr(&output)
}

const SECRET: &str = "correct horse battery staple";

/// The file of a token.
fn token_file(name: &str, token: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, token).expect("the test's folder can be written to");
    format!("--token-file {}", path.display())
}

/// Nodes that send back what they are sent by those who know the token.
fn guarded(token: &'static str) -> impl Behaviour {
    let echo = echo();
    move |node, request: &Value| match request["type"] == "authenticate" {
        true if request["token"] == token => let_in(),
        true => refuse("wrong token"),
        false => echo(node, request),
    }
}

#[test]
fn an_address_where_nobody_listens_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    drop(listener);
    let printed = refusal(std::slice::from_ref(&address), "");
    assert!(
        printed.contains(&format!(
            "{address} can't be connected to: Connection refused"
        )),
        "{printed}"
    );
    assert_eq!(printed.lines().count(), 1, "{printed}");
}

#[test]
fn what_is_no_address_is_named() {
    for address in ["127.0.0.1", "no.such.host.invalid:7000", "host:port", ""] {
        let printed = refusal(&[String::from(address)], "");
        assert!(printed.contains("is not an address"), "{printed}");
        assert!(printed.contains("such as 127.0.0.1:7000"), "{printed}");
    }
}

#[test]
fn a_token_is_asked_for_and_one_that_is_wrong_is_refused() {
    let addresses = serve(1, guarded(SECRET));
    let printed = refusal(&addresses, "");
    assert!(printed.contains("wrong token. If it asks for"), "{printed}");
    assert!(printed.contains(&addresses[0]), "{printed}");
    let printed = refusal(
        &addresses,
        &token_file("wrong.token", "a guess of 16 bytes\n"),
    );
    assert!(printed.ends_with("wrong token\n"), "{printed}");
}

#[test]
fn a_token_lets_every_client_in() {
    let addresses = serve(2, guarded(SECRET));
    let token = token_file("right.token", &format!("{SECRET}\n"));
    let output = load("echo", &addresses, &format!("{token} --concurrency 5"));
    assert_ends_with(0, &output);
}

#[test]
fn a_token_file_that_is_missing_or_short_is_named() {
    let addresses = serve(1, echo());
    let printed = refusal(&addresses, "--token-file /no/such/file");
    let expected = "the token can't be read from /no/such/file";
    assert!(printed.contains(expected), "{printed}");
    for (token, bytes) in [(" \n", "0 bytes"), ("x", "1 byte"), ("secret\n", "6 bytes")] {
        let printed = refusal(&addresses, &token_file("short.token", token));
        let expected = format!("has {bytes}, and at least 16 are needed");
        assert!(printed.contains(&expected), "{printed}");
    }
}

#[test]
fn a_server_of_another_protocol_is_named_for_what_it_is() {
    let closes = serve(1, |_, _: &Value| Close);
    let printed = refusal(&closes, "");
    assert!(
        printed.contains("did not answer authenticate (the connection was closed)"),
        "{printed}"
    );
    let silent = serve(1, |_, _: &Value| Ignore);
    let printed = refusal(&silent, "");
    assert!(printed.contains("(nothing came within 3 s)"), "{printed}");
    let other = serve(1, |_, _: &Value| Reply(json!({"type": "hello"})));
    let printed = refusal(&other, "");
    assert!(
        printed.contains(r#"(its type is "hello", not "authenticate_ok")"#),
        "{printed}"
    );
}

#[test]
fn more_clients_than_this_process_may_have_connections_are_refused() {
    let address = serve(1, echo()).remove(0);
    let flags =
        format!("load -w echo --connect {address} --concurrency 50 --time-limit 1 --no-store");
    assert_too_few(100, 116, &flags);
}

#[test]
fn two_addresses_of_one_node_are_refused() {
    let address = serve(1, echo()).remove(0);
    let printed = refusal(&[address.clone(), address], "");
    assert!(printed.contains("both answer as node n0"), "{printed}");
}

#[test]
fn a_node_that_does_not_answer_the_topology_is_named() {
    let printed = refusal(&serve(2, open(|_, _| Close)), "");
    assert!(
        printed.contains(
            "did not answer topology, with which a run begins: the connection was closed"
        ),
        "{printed}"
    );
    let error = json!({"type": "error", "code": 10, "text": "no"});
    let printed = refusal(&serve(1, open(move |_, _| Reply(error.clone()))), "");
    assert!(
        printed.contains("n0 answered topology wrongly"),
        "{printed}"
    );
}

#[test]
fn flags_about_nodes_that_eddy_would_run_are_unknown() {
    let addresses = serve(1, echo());
    for flag in [
        "--bin ./node",
        "--node-count 3",
        "--nemesis kill",
        "--latency 10",
        "--seq-kv lazy",
        "--max-messages-per-op 3",
    ] {
        let printed = refusal(&addresses, flag);
        assert!(printed.contains("unexpected argument '--"), "{printed}");
    }
    let output = eddy("echo", &[], "").output().expect("eddy is built");
    assert_ends_with(3, &output);
}

#[test]
fn a_result_that_cannot_be_printed_ends_the_command_before_it_begins() {
    let full = File::options().write(true).open("/dev/full");
    let output = eddy("echo", &serve(1, echo()), "--no-store --time-limit 100")
        .stdout(full.expect("Linux has it"))
        .output()
        .expect("eddy is built");
    assert_ends_with(3, &output);
    assert!(stderr(&output).contains("the result can't be printed"));
}
