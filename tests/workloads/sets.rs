//! `broadcast` and `g-set`.

use serde_json::Value;

use crate::command::eddy;
use crate::command::output::{assert_ends_with, stderr};
use crate::program::program;
use crate::{Kind, node};

const BROADCAST: Kind = Kind {
    workload: "broadcast",
    state: "seen = []",
    right: r#"
if kind == "topology":
    neighbors = body["topology"][me]
    reply(type="topology_ok")
elif kind == "read":
    reply(type="read_ok", messages=seen)
else:
    if body["message"] not in seen: seen.append(body["message"])
    if kind == "broadcast":
        share(message=body["message"])
        reply(type="broadcast_ok")"#,
    flags: "--nodes a,b,c --rate 100 --time-limit 1",
};

#[test]
fn broadcast_on_every_topology_is_valid() {
    for topology in ["grid", "line", "total", "tree2", "tree3", "tree4"] {
        BROADCAST.assert_valid("right", &format!("--time-limit 0.3 --topology {topology}"));
    }
}

#[test]
fn broadcast_reports_how_long_messages_took_to_reach_all() {
    let (_, printed) = BROADCAST.run("timed", "pass", "--json");
    let report: Value = serde_json::from_str(&printed).expect("one JSON object");
    assert_eq!(report["facts"]["stable"], report["facts"]["attempts"]);
    assert!(report["facts"]["stable_latencies_ms"]["0.5"].is_number());
    // Each message goes to two other nodes.
    let messages = &report["messages"];
    let broadcasts = &report["operations_by_type"]["broadcast"]["ok"];
    assert_eq!(
        messages["servers"].as_u64(),
        broadcasts.as_u64().map(|count| 2 * count)
    );
    assert_eq!(messages["servers"], messages["servers_received"]);
}

#[test]
fn a_lost_message_is_caught() {
    let wrong =
        "if kind == 'broadcast' and body['message'] == 3: reply(type='broadcast_ok'); continue";
    BROADCAST.assert_caught("loses", wrong, "3 was lost: it was acknowledged");
}

#[test]
fn a_message_that_a_partition_kept_from_a_node_is_caught() {
    let (code, printed) = BROADCAST.run(
        "does-not-repeat",
        "pass",
        "--nemesis partition --nemesis-interval 0.2",
    );
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains(" lacks "), "{printed}");
}

#[test]
fn a_message_that_one_node_dropped_is_caught_and_the_node_is_named() {
    // Whichever node a client sends it to: that depends on the time that the clients take.
    let wrong = "if me == 'b' and body.get('message') == 3:
    if kind == 'broadcast':
        share(message=3)
        reply(type='broadcast_ok')
    continue";
    BROADCAST.assert_caught("drops", wrong, "read of node b lacks 3");
}

#[test]
fn a_message_that_is_returned_twice_is_caught() {
    let wrong =
        "if kind == 'read' and seen: reply(type='read_ok', messages=seen + seen[:1]); continue";
    BROADCAST.assert_caught("doubles", wrong, "more than once");
}

#[test]
fn a_message_out_of_nowhere_is_caught() {
    let wrong = "if kind == 'read': reply(type='read_ok', messages=seen + ['hello']); continue";
    BROADCAST.assert_caught("invents", wrong, "which nobody ever sent");
}

#[test]
fn the_error_for_a_refused_topology_names_the_right_reply() {
    let refuses = node(BROADCAST.state, "refuse(10)\ncontinue", "");
    let path = program("refuses-topology.py", &refuses);
    let output = eddy("broadcast", &path, "--node-count 1").output();
    let output = output.expect("eddy is built");
    assert_ends_with(3, &output);
    let printed = stderr(&output);
    assert!(printed.contains(r#"not "topology_ok""#), "{printed}");
}

pub const G_SET: Kind = Kind {
    workload: "g-set",
    state: "elements = []",
    right: r#"
if kind == "read":
    reply(type="read_ok", value=elements)
else:
    elements.append(body["element"])
    if kind == "add":
        share(element=body["element"])
        reply(type="add_ok")"#,
    flags: "--nodes a,b,c --rate 100 --time-limit 1",
};

#[test]
fn a_right_set_is_valid() {
    G_SET.assert_valid("right", "");
}

#[test]
fn an_element_that_was_dropped_is_caught() {
    let wrong = "if kind == 'add' and body['element'] == 3: reply(type='add_ok'); continue";
    G_SET.assert_caught("drops", wrong, "3 was lost");
}
