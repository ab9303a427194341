//! A node of the linearizable counter among faster ones: to whom it forwards, and what it does when nobody answers.

use std::time::Duration;

use eddy::node::Node;
use eddy::workload::GCounter;
use eddy::workload::g_counter::{Consistency, Options};
use serde_json::{Value, json};

use crate::lone::Lone;

/// As long as a forwarder has to answer if the store answers at once: a tenth of the RPC timeout.
const WAIT: Duration = Duration::from_millis(100);

/// What the store says that the register holds: written by `writer`, with these last-applied ids.
fn register(total: i64, version: i64, writer: &str, last_applied: &[(&str, &Value)]) -> Value {
    let mut value = vec![json!(total), json!(version), json!(writer)];
    let entries = last_applied.iter();
    value.extend(entries.flat_map(|&(node, id)| [json!(node), id.clone()]));
    json!({"type": "read_ok", "value": value})
}

fn refused() -> Value {
    json!({"type": "error", "code": 22})
}

/// Node `n0` of three, which has done nothing yet.
fn node() -> Lone<GCounter> {
    let options = Options {
        consistency: Consistency::Linearizable,
        ..Options::default()
    };
    let op_timeout = options.limits.op_timeout;
    Lone::new(Node::new(GCounter::new(options, 1)), op_timeout)
}

/// Node `n0`, whose first change, an add, was lost to one of node `n1`: it has announced its proposal and forwarded it to
/// `n1`.
fn loser() -> Lone<GCounter> {
    let mut lone = node();
    lone.ask(json!({"type": "add", "delta": 1}));
    lone.answer_with(0, refused());
    lone.answer_with(1, register(2, 1, "n1", &[("n1", &json!(77))]));
    assert_eq!(asked(&lone, 2), ["cas g-counter-announced/n0"]);
    lone.answer_with(2, json!({"type": "cas_ok"}));
    assert_eq!(forwarded_to(&lone), ["n1"]);
    lone
}

/// The same node after it has given its forwarder up: it has looked into the register five times and looks again.
fn alone() -> Lone<GCounter> {
    let mut lone = loser();
    lone.pass(WAIT / 2);
    for read in 3..8 {
        lone.answer_with(read, register(2, 1, "n1", &[("n1", &json!(77))]));
        lone.pass(WAIT / 10);
    }
    assert_eq!(asked(&lone, 3), ["read g-counter"; 6]);
    lone
}

/// The requests to the store from one on, each as its type and its key.
fn asked(lone: &Lone<GCounter>, first: usize) -> Vec<String> {
    let questions = lone.questions[first..].iter();
    let questions = questions.map(|question| &question["body"]);
    let text = |value: &Value| value.as_str().expect("it is text").to_string();
    questions
        .map(|body| text(&body["type"]) + " " + &text(&body["key"]))
        .collect()
}

/// Those to whom proposals were forwarded.
fn forwarded_to(lone: &Lone<GCounter>) -> Vec<&str> {
    let messages = lone.to_peers.iter();
    let forwards = messages.filter(|message| message["body"]["type"] == "forward");
    forwards
        .map(|message| message["dest"].as_str().expect("it is text"))
        .collect()
}

/// The id of the proposal that was forwarded last.
fn forwarded_id(lone: &Lone<GCounter>) -> Value {
    let last = lone.to_peers.last().expect("it has forwarded");
    last["body"]["msg_id"].clone()
}

/// Node `n1` answers that it has applied the first proposal, in version 2.
fn forward_ok(lone: &mut Lone<GCounter>) {
    let id = forwarded_id(lone);
    let body = json!({"type": "forward_ok", "in_reply_to": id, "value": [3, 2, id], "next": "n1"});
    lone.tell("n1", body);
    assert!(is_answered(lone, 0));
}

/// A client asks for more, which is forwarded to `n1` as well.
fn assert_forwards_more(lone: &mut Lone<GCounter>) {
    lone.ask(json!({"type": "add", "delta": 1}));
    assert_eq!(forwarded_to(lone), ["n1", "n1"]);
}

fn is_answered(lone: &Lone<GCounter>, request: usize) -> bool {
    lone.requests[request].answer.is_some()
}

#[test]
fn a_node_whose_change_is_refused_announces_all_that_waits_before_it_knows_why() {
    let mut lone = node();
    lone.ask(json!({"type": "add", "delta": 1}));
    lone.ask(json!({"type": "add", "delta": 2}));
    lone.answer_with(0, refused());
    assert_eq!(
        asked(&lone, 1),
        ["read g-counter", "cas g-counter-announced/n0"]
    );
    assert_eq!(lone.questions[2]["body"]["to"][0], 3);
}

#[test]
fn what_follows_a_proposal_that_a_forwarder_has_applied_is_forwarded_to_it_as_well() {
    let mut lone = loser();
    forward_ok(&mut lone);
    assert_forwards_more(&mut lone);
    assert_eq!(asked(&lone, 3), [""; 0]);
}

#[test]
fn a_node_whose_proposal_a_peer_has_applied_while_its_own_change_was_lost_forwards_to_that_peer() {
    let mut lone = alone();
    lone.answer_with(8, register(2, 1, "n1", &[("n1", &json!(77))]));
    assert_eq!(asked(&lone, 9), ["cas g-counter"]);
    // Meanwhile the forwarder has applied the proposal, and says so too late.
    let id = forwarded_id(&lone);
    forward_ok(&mut lone);
    lone.answer_with(9, refused());
    lone.answer_with(10, register(3, 2, "n1", &[("n1", &json!(78)), ("n0", &id)]));
    assert_forwards_more(&mut lone);
    // It has lost again, so it announces that at once.
    let announces = "cas g-counter-announced/n0";
    assert_eq!(asked(&lone, 10), ["read g-counter", announces]);
}

#[test]
fn a_forwarder_that_answers_too_late_is_forwarded_to_again() {
    let mut lone = alone();
    forward_ok(&mut lone);
    let id = forwarded_id(&lone);
    lone.answer_with(8, register(3, 2, "n1", &[("n0", &id)]));
    assert_forwards_more(&mut lone);
    assert_eq!(asked(&lone, 9), [""; 0]);
}

#[test]
fn a_node_whose_forwarder_is_slow_finds_in_the_register_that_another_has_applied_its_proposal() {
    let mut lone = loser();
    lone.pass(WAIT / 2 - Duration::from_millis(1));
    assert_eq!(asked(&lone, 3), [""; 0]);
    lone.pass(Duration::from_millis(1));
    assert_eq!(asked(&lone, 3), ["read g-counter"]);
    let id = forwarded_id(&lone);
    lone.answer_with(3, register(3, 2, "n2", &[("n0", &id)]));
    assert!(is_answered(&lone, 0));
}

#[test]
fn a_node_that_still_reads_the_register_when_its_forwarder_answers_forwards_what_follows() {
    let mut lone = loser();
    lone.pass(WAIT / 2);
    assert_eq!(asked(&lone, 3), ["read g-counter"]);
    forward_ok(&mut lone);
    assert_forwards_more(&mut lone);
}

#[test]
fn a_forwarder_gets_longer_than_the_first_round_trips_suggest_as_the_next_ones_may_be_longer() {
    let ms = Duration::from_millis;
    let mut lone = node();
    lone.ask(json!({"type": "add", "delta": 1}));
    lone.pass(ms(40));
    lone.answer_with(0, refused());
    lone.pass(ms(40));
    lone.answer_with(1, register(2, 1, "n1", &[("n1", &json!(77))]));
    lone.answer_with(2, json!({"type": "cas_ok"}));
    assert_eq!(forwarded_to(&lone), ["n1"]);
    // Half of the time of five round trips, each as long as a variation of 15 ms makes likely.
    lone.pass(ms(40 + 4 * 15) * 5 / 2 - ms(1));
    assert_eq!(asked(&lone, 3), [""; 0]);
    lone.pass(ms(1));
    assert_eq!(asked(&lone, 3), ["read g-counter"]);
}

#[test]
fn a_node_whose_first_messages_were_lost_waits_no_longer_than_the_first_reply_suggests() {
    let ms = Duration::from_millis;
    let mut lone = node();
    lone.ask(json!({"type": "add", "delta": 1}));
    while asked(&lone, 1).len() < 2 {
        lone.pass(ms(1));
    }
    assert_eq!(asked(&lone, 1), ["read g-counter", "read g-counter"]);
    lone.pass(ms(10));
    lone.answer_with(2, register(2, 1, "n1", &[("n1", &json!(77))]));
    assert_eq!(asked(&lone, 3), ["cas g-counter-announced/n0"]);
    lone.answer_with(3, json!({"type": "cas_ok"}));
    // Half of the time of five round trips, each as long as replies after 10 ms and at once make likely.
    lone.pass(ms(34) * 5 / 2);
    assert_eq!(asked(&lone, 4), ["read g-counter"]);
}

#[test]
fn a_node_that_was_given_no_answer_announces_its_next_proposal_at_once() {
    let mut lone = alone();
    let id = forwarded_id(&lone);
    lone.answer_with(8, register(3, 2, "n2", &[("n0", &id)]));
    assert!(is_answered(&lone, 0));
    lone.ask(json!({"type": "add", "delta": 1}));
    let mut asked = asked(&lone, 9);
    asked.sort();
    assert_eq!(asked, ["cas g-counter", "cas g-counter-announced/n0"]);
}

#[test]
fn a_node_whose_forwarder_has_answered_announces_its_next_proposal_only_if_that_takes_long() {
    let mut lone = loser();
    forward_ok(&mut lone);
    lone.ask(json!({"type": "add", "delta": 1}));
    lone.pass(WAIT * 2 / 5 - Duration::from_millis(1));
    assert_eq!(asked(&lone, 3), [""; 0]);
    lone.pass(Duration::from_millis(1));
    assert_eq!(asked(&lone, 3), ["cas g-counter-announced/n0"]);
}

#[test]
fn a_node_that_has_changed_the_register_itself_announces_nothing() {
    let mut lone = alone();
    lone.answer_with(8, register(2, 1, "n1", &[("n1", &json!(77))]));
    lone.answer_with(9, json!({"type": "cas_ok"}));
    assert!(is_answered(&lone, 0));
    let before = lone.questions.len();
    lone.ask(json!({"type": "add", "delta": 1}));
    assert_eq!(asked(&lone, before), ["cas g-counter"]);
}

#[test]
fn a_node_does_not_forward_to_one_that_has_not_answered() {
    let mut lone = alone();
    lone.answer_with(8, register(2, 1, "n1", &[("n1", &json!(77))]));
    lone.answer_with(9, refused());
    lone.answer_with(10, register(3, 2, "n1", &[("n1", &json!(78))]));
    assert_eq!(
        asked(&lone, 9),
        ["cas g-counter", "read g-counter", "cas g-counter"]
    );
    assert_eq!(forwarded_to(&lone), ["n1"]);
}

#[test]
fn a_node_does_not_forward_to_one_that_has_announced_a_proposal_and_not_forwarded_it() {
    let mut lone = node();
    // After its change was applied the node reads what n1 and n2 have announced.
    lone.ask(json!({"type": "add", "delta": 1}));
    lone.answer_with(0, json!({"type": "cas_ok"}));
    let announcements = ["read g-counter-announced/n1", "read g-counter-announced/n2"];
    assert_eq!(asked(&lone, 1), announcements);
    let proposal = [("n1", &json!(500)), ("n1", &json!(0))];
    lone.answer_with(1, register(1, 1, "n1", &proposal));
    assert_eq!(asked(&lone, 3), ["cas g-counter"]);
    // It applies that with its next change. But n1 was faster.
    lone.answer_with(3, refused());
    lone.answer_with(4, register(2, 2, "n1", &[("n1", &json!(500))]));
    lone.ask(json!({"type": "add", "delta": 1}));
    assert_eq!(forwarded_to(&lone), [""; 0]);
    let asked = asked(&lone, 4);
    assert!(asked.contains(&"cas g-counter".into()), "{asked:?}");
}

/// The change in flight is applied. Returns how many announcements are read then; there are none.
fn win(lone: &mut Lone<GCounter>) -> usize {
    let cas = lone.questions.len() - 1;
    assert_eq!(asked(lone, cas), ["cas g-counter"]);
    lone.answer_with(cas, json!({"type": "cas_ok"}));
    let behind = asked(lone, cas + 1);
    let reads = behind.iter().filter(|asked| asked.starts_with("read"));
    let reads = reads.count();
    for read in cas + 1..=cas + reads {
        lone.answer_with(read, json!({"type": "error", "code": 20}));
    }
    reads
}

/// The peer forwards its proposal with this number; they count up from 1.
fn forward(lone: &mut Lone<GCounter>, peer: &str, number: i64) {
    lone.tell(
        peer,
        json!({"type": "forward", "value": [number - 1, 1], "msg_id": number}),
    );
}

#[test]
fn a_node_that_is_alone_at_work_reads_announcements_less_and_less() {
    let mut lone = node();
    let helped = (1..=170).filter(|_| {
        lone.ask(json!({"type": "add", "delta": 1}));
        win(&mut lone) == 2
    });
    let expected = [
        1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 66, 78, 91, 105, 120, 136, 152, 168,
    ];
    assert_eq!(helped.collect::<Vec<_>>(), expected);
}

#[test]
fn a_node_that_keeps_another_out_helps_soon_again_after_that_has_come_in() {
    let mut lone = node();
    let mut helped = Vec::new();
    for number in 1..=30 {
        forward(&mut lone, "n1", number);
        if number % 10 == 0 {
            let cas = lone.questions.len() - 1;
            lone.answer_with(cas, refused());
            let known = register(number, 2 * number, "n2", &[("n1", &json!(number))]);
            lone.answer_with(cas + 1, known);
        } else {
            helped.extend((win(&mut lone) == 1).then_some(number));
        }
    }
    assert_eq!(helped, [1, 3, 6, 11, 13, 16, 21, 23, 26]);
}

#[test]
fn a_node_that_applies_proposals_of_all_others_reads_no_announcements() {
    let mut lone = node();
    lone.ask(json!({"type": "add", "delta": 1}));
    for number in 1..=100 {
        forward(&mut lone, "n1", number);
        forward(&mut lone, "n2", number);
        let reads = win(&mut lone);
        assert!(number == 1 || reads == 0, "{number}");
    }
}

#[test]
fn a_node_among_more_nodes_than_it_can_read_announcements_of_at_once_goes_on_with_its_own_changes()
{
    let options = Options {
        consistency: Consistency::Linearizable,
        ..Options::default()
    };
    let mut node = Node::new(GCounter::new(options, 1));
    let now = Duration::from_secs(1);
    let mut send = |src: &str, body: Value| -> Vec<Value> {
        let line = json!({"src": src, "dest": "n0", "body": body}).to_string();
        node.receive(&line, now).expect("it is a message");
        let output = str::from_utf8(node.output()).expect("messages are UTF-8");
        let said = output.lines().map(serde_json::from_str);
        let said = said.map(|said: Result<Value, _>| said.expect("it is JSON"));
        let bodies = said.map(|said| said["body"].clone()).collect();
        node.written(node.output().len());
        bodies
    };
    let ids: Vec<String> = (0..5_000).map(|number| format!("n{number}")).collect();
    let init = json!({"type": "init", "node_id": "n0", "node_ids": ids, "msg_id": 0});
    send("c0", init);
    let mut reads = 0;
    for number in 1..=1_251 {
        let add = json!({"type": "add", "delta": 1, "msg_id": number});
        let said = send("c1", add);
        let cas = said.last().expect("it changes the register");
        let cas_ok = json!({"type": "cas_ok", "in_reply_to": cas["msg_id"]});
        let said = send("seq-kv", cas_ok);
        assert!(said.iter().any(|body| body["type"] == "add_ok"));
        reads += said.len() - 1;
    }
    assert!(reads > 4_000, "{reads}");
}
