//! The gossip between nodes, message by message.

use std::time::Duration;

use crate::world::driver::Driver;
use eddy::gossip::{self, GOSSIP_BYTES_MAX};
use eddy::node::{Limits, Node};
use eddy::workload::g_counter::{Consistency, Options};
use eddy::workload::{Broadcast, GCounter};
use serde_json::{Value, json};

impl Driver<GCounter> {
    fn eventual(id: &str, seed: u64) -> Self {
        Driver::counter(id, options(), seed)
    }

    fn counter(id: &str, options: Options, seed: u64) -> Self {
        Driver::start(id, Node::new(GCounter::new(options, seed)), Duration::ZERO)
    }

    /// Adds. Returns the type of the reply, or the code if it is an error.
    fn add(&mut self, delta: i64) -> Value {
        let messages = self.send(0, "c1", json!({"type": "add", "delta": delta, "msg_id": 7}));
        let body = &messages[0]["body"];
        body.get("code").unwrap_or(&body["type"]).clone()
    }

    /// The value by all that the node knows: the reply to a read after its wait.
    fn value(&mut self, now_ms: u64) -> Value {
        let mut messages = self.send(now_ms, "c1", json!({"type": "read", "msg_id": 8}));
        messages.extend(self.wake(now_ms + 200));
        let answer = messages.iter().find(|message| message["dest"] == "c1");
        answer.expect("every read is answered")["body"]["value"].clone()
    }
}

impl Driver<Broadcast> {
    /// The first of three nodes in a star, whose neighbours are the two others.
    fn broadcast() -> Self {
        let workload = Broadcast::new(gossip::Options::default(), 1);
        Driver::start("n0", Node::new(workload), Duration::ZERO)
    }

    fn add(&mut self, now_ms: u64, value: Value) {
        let body = json!({"type": "broadcast", "message": value, "msg_id": 7});
        self.send(now_ms, "c1", body);
    }
}

fn options() -> Options {
    Options {
        consistency: Consistency::Eventual,
        ..Options::default()
    }
}

fn with_decrements() -> Options {
    Options {
        decrements: true,
        ..options()
    }
}

/// The body of the only message to `dest`.
#[track_caller]
fn to<'a>(dest: &str, messages: &'a [Value]) -> &'a Value {
    let mut to_dest = messages.iter().filter(|message| message["dest"] == dest);
    let message = to_dest.next().expect("a message is sent to it");
    assert_eq!(to_dest.next(), None, "one message is enough");
    &message["body"]
}

fn is_nothing_for(dest: &str, messages: &[Value]) -> bool {
    messages.iter().all(|message| message["dest"] != dest)
}

fn read(client_msg_id: u64) -> Value {
    json!({"type": "read", "msg_id": client_msg_id})
}

/// A gossip message with this head and these entries.
fn gossip(head: Value, entries: Value) -> Value {
    json!({"type": "gossip", "gossip": head, "entries": entries})
}

fn asked(head: Value, entries: Value) -> Value {
    let mut question = gossip(head, entries);
    question["msg_id"] = json!(5);
    question
}

/// A question of a node in incarnation 1 that has these entries and does not know any other node.
fn question(entries: Value) -> Value {
    asked(json!({"incarnation": 1, "after": 0, "end": 1}), entries)
}

#[test]
fn an_exchange_brings_both_sides_what_either_knew() {
    let (mut n0, mut n1) = (Driver::eventual("n0", 1), Driver::eventual("n1", 2));
    n0.add(3);
    n1.add(4);
    let question = to("n1", &n0.send(0, "c1", read(1))).clone();
    let answer = to("n0", &n1.send(10, "n0", question)).clone();
    n0.send(20, "n1", answer);
    let messages = n0.wake(300);
    assert!(is_nothing_for("n1", &messages), "there is nothing left");
    assert_eq!((n0.value(1_000), n1.value(1_000)), (json!(7), json!(7)));
}

#[test]
fn a_node_is_not_sent_what_it_acknowledged_or_sent_itself() {
    let (mut n0, mut n1) = (Driver::eventual("n0", 1), Driver::eventual("n1", 2));
    for round in 0..3 {
        let now_ms = round * 1000;
        let asked = n0.send(now_ms, "c1", read(1));
        let answer = to("n0", &n1.send(now_ms, "n0", to("n1", &asked).clone())).clone();
        n0.send(now_ms, "n1", answer);
        // The read waits for n2, which does not answer.
        n0.wake(now_ms + 200);
        n1.wake(now_ms + 200);
        n0.add(3);
    }
    let messages = n0.wake(3000);
    let entries = to("n1", &messages)["entries"].clone();
    let newest = [json!(9), json!(3)];
    assert_eq!(entries.as_array().expect("a list")[2..], newest);
    let question = asked(to("n1", &messages)["gossip"].clone(), entries);
    let answer = to("n0", &n1.send(3000, "n0", question)).clone();
    assert_eq!(answer["entries"], Value::Null, "an echo");
    n0.send(3000, "n1", answer);
    let asked = n0.send(3100, "c1", read(9));
    assert_eq!(to("n1", &asked)["entries"], Value::Null, "sent twice");
}

#[test]
fn entries_in_flight_are_not_sent_again_with_new_ones() {
    let mut n0 = Driver::broadcast();
    let mut heads = Vec::new();
    for value in 0..3 {
        let now_ms = value * 100;
        n0.add(now_ms, json!(value));
        let messages = n0.wake(now_ms);
        assert_eq!(to("n1", &messages)["entries"], json!([value]));
        let head = &to("n1", &messages)["gossip"];
        heads.push((head["after"].clone(), head["end"].clone()));
    }
    let expected = [(0, 1), (1, 2), (2, 3)];
    assert_eq!(
        heads,
        expected.map(|(after, end)| (json!(after), json!(end)))
    );
}

#[test]
fn what_is_not_acknowledged_in_time_is_sent_again_as_a_question_until_something_comes_back() {
    let mut n0 = Driver::broadcast();
    n0.add(0, json!("a"));
    n0.wake(0);
    n0.add(1_000, json!("b"));
    n0.wake(1_000);
    for now_ms in [2_000, 4_000] {
        n0.add(now_ms, json!(now_ms));
        let messages = n0.wake(now_ms);
        let again = to("n1", &messages);
        assert!(again["msg_id"].is_number());
        let entries = again["entries"].as_array().expect("a list");
        assert_eq!(entries[..2], [json!("a"), json!("b")]);
        assert_eq!(again["gossip"]["after"], 0);
        assert!(is_nothing_for("n1", &n0.wake(now_ms + 1_999)), "silent");
    }
    n0.send(5_000, "n1", gossip(json!({"incarnation": 1}), json!([])));
    let messages = n0.wake(5_000);
    assert_eq!(to("n1", &messages)["msg_id"], Value::Null);
    let entries = &to("n1", &messages)["entries"];
    assert_eq!(*entries, json!(["a", "b", 2_000, 4_000]));
}

#[test]
fn an_acknowledgement_goes_with_news_or_alone_when_none_comes() {
    let mut n0 = Driver::broadcast();
    n0.add(0, json!("a"));
    let own = to("n1", &n0.wake(0))["gossip"]["incarnation"].clone();
    let head = |end: u64, heard: u64| json!({"incarnation": 1, "after": 0, "end": end, "peer": own, "received": heard});
    n0.send(200, "n1", gossip(head(1, 1), json!(["b"])));
    n0.add(300, json!("c"));
    let with_news = n0.wake(300);
    assert_eq!(to("n1", &with_news)["gossip"]["received"], 1);
    assert!(is_nothing_for("n1", &n0.wake(1_200)));
    n0.send(1_300, "n1", gossip(head(2, 3), json!(["d"])));
    assert!(is_nothing_for("n1", &n0.wake(2_299)));
    let alone = n0.wake(2_300);
    let alone = to("n1", &alone);
    assert_eq!(alone["gossip"]["received"], 2);
    assert_eq!(alone["msg_id"], Value::Null);
}

#[test]
fn a_large_replica_is_sent_in_messages_of_limited_size() {
    let mut n0 = Driver::broadcast();
    let values: Vec<Value> = (0..100)
        .map(|number| json!(format!("{number:02}").repeat(1_000)))
        .collect();
    for value in &values {
        n0.add(0, value.clone());
    }
    let mut sent = Vec::new();
    let mut after = 0;
    for now_ms in (0..1_000).step_by(100) {
        let messages = n0.wake(now_ms);
        if is_nothing_for("n1", &messages) {
            continue;
        }
        let body = to("n1", &messages);
        let entries = body["entries"].as_array().expect("a list");
        assert!(body["entries"].to_string().len() <= GOSSIP_BYTES_MAX + 2);
        assert_eq!(body["gossip"]["after"], after);
        after += entries.len();
        assert_eq!(body["gossip"]["end"], after);
        sent.extend(entries.clone());
    }
    assert_eq!(sent, values);
}

#[test]
fn a_message_for_an_earlier_incarnation_is_answered_at_once() {
    let mut n0 = Driver::broadcast();
    let heartbeat = json!({"incarnation": 7, "peer": 12345, "received": 3});
    let mut message = gossip(heartbeat, json!([]));
    message.as_object_mut().expect("a body").remove("entries");
    n0.send(500, "n1", message);
    let messages = n0.wake(500);
    let head = &to("n1", &messages)["gossip"];
    assert_eq!((&head["peer"], &head["received"]), (&json!(7), &json!(0)));
    assert_ne!(head["incarnation"], 12345);
}

#[test]
fn a_neighbour_with_nothing_to_say_sends_a_heartbeat() {
    let mut n0 = Driver::broadcast();
    n0.send(0, "n1", gossip(json!({"incarnation": 1}), json!([])));
    let heard = n0.wake(1_000);
    let own = to("n1", &heard)["gossip"]["incarnation"].clone();
    let head = json!({"incarnation": 1, "peer": own});
    assert!(is_nothing_for("n1", &n0.wake(3_999)));
    let messages = n0.wake(4_000);
    assert_eq!(to("n1", &messages)["entries"], Value::Null);
    // The other node sends heartbeats, and so is the one to send the next.
    let mut heartbeat = gossip(head, json!([]));
    heartbeat.as_object_mut().expect("a body").remove("entries");
    n0.send(6_000, "n1", heartbeat);
    assert!(is_nothing_for("n1", &n0.wake(10_499)));
    to("n1", &n0.wake(10_500));
}

#[test]
fn a_read_waits_for_a_poll_that_is_sent_after_it_arrived() {
    let (mut n0, mut n1) = (Driver::eventual("n0", 1), Driver::eventual("n1", 2));
    let mut n2 = Driver::eventual("n2", 3);
    let first = n0.send(10, "c1", read(1));
    let early = [
        to("n0", &n1.send(20, "n0", to("n1", &first).clone())).clone(),
        to("n0", &n2.send(20, "n0", to("n2", &first).clone())).clone(),
    ];
    n1.add(5);
    assert_eq!(n0.send(30, "c2", read(1)), Vec::<Value>::new());
    let [from_n1, from_n2] = early;
    let mut messages = n0.send(40, "n1", from_n1);
    messages.extend(n0.send(40, "n2", from_n2));
    assert_eq!(to("c1", &messages)["value"], 0);
    assert!(is_nothing_for("c2", &messages), "answered from before");
    let late = [
        to("n0", &n1.send(50, "n0", to("n1", &messages).clone())).clone(),
        to("n0", &n2.send(50, "n0", to("n2", &messages).clone())).clone(),
    ];
    let [from_n1, from_n2] = late;
    let mut messages = n0.send(60, "n1", from_n1);
    messages.extend(n0.send(60, "n2", from_n2));
    assert_eq!(to("c2", &messages)["value"], 5);
}

#[test]
fn a_read_is_answered_at_its_bound_and_one_that_no_peer_can_answer_in_time_at_once() {
    let mut n0 = Driver::eventual("n0", 1);
    n0.add(3);
    for now_ms in [1000, 1200] {
        assert!(is_nothing_for("c1", &n0.send(now_ms, "c1", read(1))));
        assert!(is_nothing_for("c1", &n0.wake(now_ms + 199)));
        assert_eq!(to("c1", &n0.wake(now_ms + 200))["value"], 3);
    }
    let messages = n0.send(1400, "c1", read(2));
    assert_eq!(
        (messages.len(), &to("c1", &messages)["value"]),
        (1, &json!(3))
    );
}

#[test]
fn a_peer_that_answers_in_time_again_is_asked_by_reads_again() {
    let (mut n0, mut n1) = (Driver::eventual("n0", 1), Driver::eventual("n1", 2));
    n0.value(1000);
    n0.value(1200);
    let again = n0.wake(2400);
    let answer = to("n0", &n1.send(2410, "n0", to("n1", &again).clone())).clone();
    n0.send(2420, "n1", answer);
    let messages = n0.send(2430, "c1", read(1));
    assert_eq!(to("n1", &messages)["type"], "gossip");
    assert!(is_nothing_for("n2", &messages), "it is silent");
}

#[test]
fn a_peer_whose_answers_come_too_late_is_left_out_for_ten_seconds() {
    let (mut n0, mut n1) = (Driver::eventual("n0", 1), Driver::eventual("n1", 2));
    let mut is_asked = |now_ms: u64| {
        let messages = n0.send(now_ms, "c1", read(1));
        let is_asked = !is_nothing_for("n1", &messages);
        if is_asked {
            let answer = n1.send(now_ms, "n0", to("n1", &messages).clone());
            n0.wake(now_ms + 200);
            n0.send(now_ms + 300, "n1", to("n0", &answer).clone());
        }
        is_asked
    };
    assert!(is_asked(1_000));
    assert!(is_asked(2_000), "one late answer changes nothing");
    assert!(!is_asked(3_000));
    assert!(!is_asked(12_200));
    assert!(is_asked(12_400));
    assert!(!is_asked(13_000), "one more is enough");
}

#[test]
fn a_silent_peer_gets_one_message_a_second() {
    let mut n0 = Driver::eventual("n0", 1);
    let mut to_n1 = 0;
    for now_ms in 0..12_000 {
        if now_ms % 100 == 0 {
            n0.add(1);
        }
        let messages = n0.wake(now_ms);
        to_n1 += u32::from(now_ms >= 2_000 && !is_nothing_for("n1", &messages));
    }
    assert_eq!(to_n1, 10);
}

#[test]
fn a_node_that_restarts_counts_as_another_incarnation_and_learns_its_past_from_its_peers() {
    let (mut n0, mut n1) = (Driver::eventual("n0", 1), Driver::eventual("n1", 2));
    n0.add(3);
    n1.add(4);
    n1.send(0, "n0", to("n1", &n0.wake(0)).clone());

    let mut n0 = Driver::eventual("n0", 3);
    n0.add(1);
    n1.send(2000, "n0", to("n1", &n0.wake(2000)).clone());
    n0.send(2000, "n1", to("n0", &n1.wake(2000)).clone());
    assert_eq!((n0.value(2100), n1.value(2100)), (json!(8), json!(8)));
}

#[test]
fn a_node_acknowledges_no_entry_before_which_it_has_missed_one() {
    let mut n0 = Driver::eventual("n0", 1);
    let mut ask = |after: u64, end: u64, total: i64| {
        let head = json!({"incarnation": 1, "after": after, "end": end});
        let messages = n0.send(0, "n1", asked(head, json!(["n1", 1, total, end])));
        let head = &to("n1", &messages)["gossip"];
        assert_eq!(head["peer"], 1);
        head["received"].clone()
    };
    assert_eq!(ask(0, 2, 2), 2);
    assert_eq!(ask(5, 7, 7), 2, "2 to 4 are missing");
    assert_eq!(ask(2, 7, 7), 7);
    assert_eq!(ask(0, 2, 2), 7, "late");
}

#[test]
fn late_news_brings_back_no_older_state_even_if_its_total_is_higher() {
    let mut n0 = Driver::counter("n0", with_decrements(), 1);
    n0.send(0, "n1", question(json!(["n1", 1, -5, 2])));
    n0.send(0, "n1", question(json!(["n1", 1, 5, 1])));
    assert_eq!(n0.value(10), -5);
}

#[test]
fn malformed_or_foreign_gossip_is_refused_and_counts_nothing() {
    let mut n0 = Driver::eventual("n0", 1);
    n0.add(1);
    let own = to("n1", &n0.wake(0))["gossip"]["incarnation"].clone();
    let good = json!(["n1", 1, 100, 1]);
    let malformed = [
        json!(["n1", 1, 100, 1, "n2", 1, 100, -1]),
        json!(["n1", 1, 100, 1, "n2", 1, 100, 0]),
        json!(["n1", 1, 100, 1, "n2", 1, 100, 1.5]),
        json!(["n1", 1, 100, 1, "n2", 1, -100, 1]),
        json!(["n1", 1, 100, 1, "n2", 1, 9_223_372_036_854_775_808_u64, 1]),
        json!(["n1", 1, 100, 1, "n2", "1", 100, 1]),
        json!(["n1", 1, 100, 1, "n2", 1, 100]),
        json!(["n1", 1, 100, 1, "n2", 1, 100, 1, 1]),
        json!(["n1", 1, 100, 1, "n9", 1, 100, 1]),
        json!(["n1", 1, 100, 1, "n0", own, 100, 2]),
        json!([good]),
        json!({"n1": 100}),
        json!(7),
    ];
    for entries in malformed {
        let messages = n0.send(0, "n1", question(entries.clone()));
        assert_eq!(to("n1", &messages)["code"], 12, "{entries}");
    }
    for head in [
        json!(null),
        json!(7),
        json!({"after": 0, "end": 1}),
        json!({"incarnation": -1}),
        json!({"incarnation": 1, "after": 0, "end": 1, "received": "2"}),
    ] {
        let mut message = asked(head.clone(), good.clone());
        let messages = n0.send(0, "n1", message.clone());
        assert_eq!(to("n1", &messages)["code"], 12, "{head}");
        message["type"] = json!("gossip_ok");
        message["in_reply_to"] = json!(5);
        assert_eq!(n0.send(0, "n1", message), Vec::<Value>::new(), "{head}");
    }
    for stranger in ["n9", "c1", "n0"] {
        let messages = n0.send(0, stranger, question(good.clone()));
        assert_eq!(to(stranger, &messages)["code"], 12, "{stranger}");
        let mut reply = question(good.clone());
        reply["type"] = json!("gossip_ok");
        reply["in_reply_to"] = json!(5);
        assert_eq!(n0.send(0, stranger, reply), Vec::<Value>::new());
    }
    assert_eq!(n0.value(100), 1);
    n0.send(400, "n1", question(good.clone()));
    assert_eq!(n0.value(400), 101, "well-formed gossip still counts");
}

#[test]
fn an_acknowledgement_of_entries_never_sent_or_of_another_incarnation_is_ignored() {
    let mut n0 = Driver::eventual("n0", 1);
    n0.add(1);
    let own = to("n1", &n0.wake(0))["gossip"]["incarnation"].clone();
    for (peer, heard) in [(own, 99), (json!(12345), 1)] {
        for _ in 0..2 {
            let head = json!({"incarnation": 1, "peer": peer, "received": heard});
            let messages = n0.send(0, "n1", asked(head, json!([])));
            assert_ne!(to("n1", &messages)["entries"], Value::Null, "{heard}");
        }
    }
}

#[test]
fn gossip_before_init_is_not_heard_and_loses_nothing() {
    let mut n1 = Driver(Node::new(GCounter::new(options(), 2)));
    let mut n0 = Driver::eventual("n0", 1);
    n0.add(3);
    let early = n1.send(0, "n0", to("n1", &n0.send(0, "c1", read(1))).clone());
    assert_eq!(to("n0", &early)["code"], 11);
    assert_eq!(n1.wake(500), Vec::<Value>::new());
    n0.send(0, "n1", to("n0", &early).clone());
    let init =
        json!({"type": "init", "node_id": "n1", "node_ids": ["n0", "n1", "n2"], "msg_id": 1});
    n1.send(500, "c0", init);
    n1.send(1000, "n0", to("n1", &n0.wake(1000)).clone());
    assert_eq!(n1.value(1100), 3);
}

#[test]
fn an_add_that_would_leave_the_range_of_numbers_is_refused() {
    let mut n0 = Driver::counter("n0", with_decrements(), 1);
    n0.send(0, "n1", question(json!(["n1", 1, -5, 1])));
    assert_eq!(n0.add(i64::MAX), "add_ok");
    assert_eq!(n0.add(1), 14, "the own total");
    assert_eq!(n0.add(-5), "add_ok");
    n0.send(0, "n1", question(json!(["n1", 1, 3, 2])));
    assert_eq!(n0.add(3), 14, "the sum");
    assert_eq!(n0.add(2), "add_ok");
    assert_eq!(n0.value(10), i64::MAX);
    assert_eq!(n0.add(i64::MIN), "add_ok");
    assert_eq!(n0.add(i64::MIN), 14);
    assert_eq!(n0.value(400), -1);
}

#[test]
fn more_incarnations_than_there_is_capacity_for_are_refused_and_the_rest_stays_right() {
    let mut n0 = Driver::eventual("n0", 1);
    let count = |incarnation: u64| [json!("n1"), json!(incarnation), json!(1), json!(1)];
    let counts = |range: std::ops::Range<u64>| range.flat_map(count).collect();
    let messages = n0.send(0, "n1", question(counts(0..4097)));
    assert_eq!(to("n1", &messages)["code"], 11);
    n0.send(0, "n1", question(counts(0..4096)));
    assert_eq!(n0.add(1), 11);
    assert_eq!(n0.value(10), 4096);
    n0.send(300, "n1", question(json!(["n1", 7, 5, 2])));
    assert_eq!(n0.value(400), 4100, "what is known still grows");
}

#[test]
fn reads_above_the_limit_are_refused_and_adds_never_wait() {
    let limits = Limits {
        pending_max: 2,
        ..Limits::default()
    };
    let options = Options {
        limits,
        ..options()
    };
    let mut n0 = Driver::counter("n0", options, 1);
    n0.send(0, "c1", read(1));
    n0.send(0, "c2", read(1));
    assert_eq!(to("c3", &n0.send(0, "c3", read(1)))["code"], 11);
    assert_eq!(n0.add(1), "add_ok");
}

#[test]
fn at_the_end_of_input_reads_get_the_known_value_and_new_entries_are_sent() {
    let mut n0 = Driver::eventual("n0", 1);
    n0.send(0, "c1", read(1));
    n0.send(0, "c2", read(1));
    n0.add(3);
    n0.0.finish();
    let messages = n0.output();
    assert_eq!(to("c1", &messages)["value"], 3);
    assert_eq!(to("c2", &messages)["value"], 3);
    assert_ne!(to("n1", &messages)["entries"], Value::Null);
}

#[test]
fn the_levels_with_a_store_do_not_gossip() {
    let mut n0 = Driver::counter("n0", Options::default(), 1);
    let messages = n0.send(0, "n1", question(json!([])));
    assert_eq!(to("n1", &messages)["code"], 10);
}
