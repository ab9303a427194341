//! What `eddy serve` does not begin with.

use std::net::TcpListener;

use super::node::parrot;
use super::service::{Service, command, output};

#[track_caller]
pub fn assert_refuses_to_start(flags: &str, why: &str) {
    let (code, printed) = output(command(parrot(), flags));
    assert_eq!(code, Some(3), "{flags}: {printed}");
    assert!(printed.contains(why), "{flags}: {printed}");
}

#[test]
fn an_address_that_others_can_reach_needs_a_token() {
    let why = "can be reached from other machines, so clients and peers have to show a secret: give --token-file";
    assert_refuses_to_start("--listen 0.0.0.0:0", why);
    assert_refuses_to_start("--listen [::]:0", why);
    assert_refuses_to_start("--listen 127.0.0.1:0 --metrics 0.0.0.0:0", why);
    assert_refuses_to_start("--id n0 --peers n0=192.0.2.1:7000,n1=192.0.2.2:7000", why);
}

#[test]
fn with_a_token_it_listens_anywhere_and_warns_that_nothing_is_encrypted() {
    let token = super::tokens::token_file("start-token", super::tokens::SECRET);
    let flags = format!("--listen 0.0.0.0:0 --token-file {}", token.display());
    let service = Service::run(command(parrot(), &flags));
    let warning = service
        .log
        .iter()
        .find(|line| line.contains("not encrypted"));
    assert!(
        warning.is_some_and(|line| line.contains("WireGuard or stunnel")),
        "{:?}",
        service.log
    );
    let service = Service::start(parrot(), "");
    assert!(
        !service
            .log
            .iter()
            .any(|line| line.contains("not encrypted"))
    );
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    for (flags, why) in [
        (
            "--id n5 --peers n0=127.0.0.1:0,n1=127.0.0.1:1",
            "this node has to be among them",
        ),
        ("--id c1", "no node can be named \"c1\""),
        (
            "--peers n0=127.0.0.1:0,n0=127.0.0.1:1",
            "no node can be named \"n0\"",
        ),
        ("--peers n0", "expected NAME=HOST:PORT"),
        ("--listen 7000", "\"7000\" is no address"),
        (
            "--listen 127.0.0.1:0 --seq-kv maelstrom",
            "expected etcd=URL",
        ),
        ("--listen 127.0.0.1:0 --max-connections 0", "from 1 up"),
    ] {
        assert_refuses_to_start(flags, why);
    }
}

#[test]
fn an_address_that_is_in_use_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    assert_refuses_to_start(
        &format!("--listen {address}"),
        &format!("can't listen on {address}"),
    );
    assert_refuses_to_start(
        &format!("--listen {address}"),
        "another address with --listen",
    );
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let (code, printed) = output(command("/no/such/node", "--listen 127.0.0.1:0"));
    assert_eq!(code, Some(3));
    assert!(
        printed.contains("there is no file /no/such/node"),
        "{printed}"
    );
}

#[test]
fn wrong_flags_of_the_node_end_the_service_with_the_nodes_last_words() {
    let flags = "--listen 127.0.0.1:0 -- --nosuch";
    let (code, printed) = output(command(env!("CARGO_BIN_EXE_g-counter"), flags));
    assert_eq!(code, Some(3), "{printed}");
    assert!(
        printed.contains("eddy: n0 has never been ready"),
        "{printed}"
    );
    assert!(
        printed.contains("\n  g-counter: there is no --nosuch\n"),
        "{printed}"
    );
}

#[test]
fn the_address_is_the_own_one_among_the_peers() {
    let [address, other] = super::service::free_addresses();
    let flags = format!("--id n1 --peers n0={other},n1={address}");
    let service = Service::run(command(parrot(), &flags));
    assert_eq!(service.address, address);
}
