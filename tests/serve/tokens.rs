//! The secret that clients and peers must know.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::json;

use super::node::parrot;
use super::service::{Service, command, free_addresses, peers_flags};
use super::start::assert_refuses_to_start;

pub const SECRET: &str = "correct horse battery staple";

/// A file with a token.
pub fn token_file(name: &str, token: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("serve-{name}"));
    fs::write(&path, format!("{token}\n")).expect("the test's folder can be written to");
    path
}

/// The flag with the file of the secret. It is written once, as services of other tests may be reading it.
fn flags() -> String {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let file = FILE.get_or_init(|| token_file("token", SECRET));
    format!("--token-file {}", file.display())
}

#[test]
fn a_client_with_the_token_is_served() {
    let service = Service::start(parrot(), &flags());
    let mut client = service.client();
    let answer = client.ask(json!({"type": "authenticate", "token": SECRET, "msg_id": 1}));
    assert_eq!(answer, json!({"type": "authenticate_ok", "in_reply_to": 1}));
    assert_eq!(
        client.ask(json!({"type": "hello", "msg_id": 2}))["type"],
        "hello_ok"
    );
}

#[test]
fn a_connection_with_a_wrong_token_or_none_is_told_so_and_closed() {
    let service = Service::start(
        parrot(),
        &format!("{} --id n0 --peers n0=127.0.0.1:1,n1=127.0.0.1:2", flags()),
    );
    let begin = &SECRET[..SECRET.len() - 1];
    for (body, why) in [
        (
            json!({"type": "hello", "msg_id": 1}),
            "the first line has to be",
        ),
        (
            json!({"type": "hello", "token": SECRET, "msg_id": 1}),
            "the first line has to be",
        ),
        (
            json!({"type": "authenticate", "msg_id": 1}),
            "the token is wrong",
        ),
        (
            json!({"type": "authenticate", "token": "", "msg_id": 1}),
            "the token is wrong",
        ),
        (
            json!({"type": "authenticate", "token": begin, "msg_id": 1}),
            "the token is wrong",
        ),
        (
            json!({"type": "authenticate", "token": [SECRET], "msg_id": 1}),
            "the first line has to be",
        ),
        (
            json!({"type": "peer", "id": "n1", "msg_id": 1}),
            "the token is wrong",
        ),
        (
            json!({"type": "peer", "id": "n1", "token": "wrong", "msg_id": 1}),
            "the token is wrong",
        ),
    ] {
        let mut client = service.client();
        client.send(&body);
        let text = client.receive_refusal();
        assert!(text.contains(why), "{body}: {text}");
    }
    let mut client = service.client();
    client.send_line("what is this?");
    assert!(
        client
            .receive_refusal()
            .contains("the first line has to be")
    );
}

#[test]
fn a_wrong_token_after_the_right_one_closes_the_connection() {
    let service = Service::start(parrot(), &flags());
    let mut client = service.client();
    client.ask(json!({"type": "authenticate", "token": SECRET, "msg_id": 1}));
    client.send(&json!({"type": "authenticate", "token": "wrong", "msg_id": 2}));
    assert_eq!(client.receive_refusal(), "the token is wrong");
}

#[test]
fn lines_after_a_refused_one_do_not_reach_the_node() {
    let service = Service::start(parrot(), &flags());
    let mut client = service.client();
    let tell = json!({"body": {"type": "tell", "dest": "n0", "message": {"type": "note"}}});
    client.send_line(&format!("{tell}\n{tell}"));
    client.receive_refusal();
    let mut client = service.client();
    client.ask(json!({"type": "authenticate", "token": SECRET, "msg_id": 1}));
    assert_eq!(
        client.ask(json!({"type": "seen", "msg_id": 2}))["messages"],
        json!([])
    );
}

#[test]
fn a_connection_that_says_nothing_is_closed_if_there_is_a_token() {
    let service = Service::start(parrot(), &format!("{} --auth-timeout 0.2", flags()));
    let text = service.client().receive_refusal();
    assert!(text.contains("no token within 200ms"), "{text}");
}

#[test]
fn without_a_token_every_token_is_right() {
    let service = Service::start(parrot(), "");
    let answer = service
        .client()
        .ask(json!({"type": "authenticate", "token": "any", "msg_id": 1}));
    assert_eq!(answer["type"], "authenticate_ok");
}

#[test]
fn peers_with_another_token_are_not_connected() {
    let addresses = free_addresses::<2>();
    let other = token_file("other-token", "another secret than that");
    let second = format!(
        "{} --token-file {}",
        peers_flags(1, &addresses),
        other.display()
    );
    let _second = Service::run(command(parrot(), &second));
    let first = format!("{} {}", peers_flags(0, &addresses), flags());
    let mut first = Service::run_unready(command(parrot(), &first));
    let line = first.wait_for("n1 at ");
    assert!(
        line.contains("is not connected (it answered: the token is wrong)"),
        "{line}"
    );
}

#[test]
fn a_token_that_is_short_or_not_there_is_refused() {
    let short = token_file("short-token", "short");
    for (path, why) in [
        (short, "at least 16 are needed"),
        (
            PathBuf::from("/no/such/file"),
            "can't be read from /no/such/file",
        ),
    ] {
        let flags = format!("--listen 127.0.0.1:0 --token-file {}", path.display());
        assert_refuses_to_start(&flags, why);
    }
}
