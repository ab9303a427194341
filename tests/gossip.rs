//! What nodes of the eventual level say to each other, message by message.

use std::time::Duration;

use eddy::node::Node;
use eddy::workload::GCounter;
use eddy::workload::g_counter::{Consistency, Options};
use serde_json::{Value, json};

struct Counter(Node<GCounter>);

impl Counter {
    /// One of the nodes n0, n1 and n2.
    fn start(id: &str, options: Options, seed: u64) -> Self {
        let mut counter = Counter(Node::new(GCounter::new(options, seed)));
        let init =
            json!({"type": "init", "node_id": id, "node_ids": ["n0", "n1", "n2"], "msg_id": 1});
        counter.tell(0, "c0", init);
        counter
    }

    fn eventual(id: &str, seed: u64) -> Self {
        Self::start(id, options(), seed)
    }

    /// Hands a message over; what the node says to it.
    fn tell(&mut self, now_ms: u64, src: &str, body: Value) -> Vec<Value> {
        let line = json!({"src": src, "dest": "n?", "body": body}).to_string();
        let now = Duration::from_millis(now_ms);
        self.0.receive(&line, now).expect("it is a message");
        self.said()
    }

    /// What the node says when the time has come.
    fn wake(&mut self, now_ms: u64) -> Vec<Value> {
        let now = Duration::from_millis(now_ms);
        if self.0.deadline().is_some_and(|deadline| deadline <= now) {
            self.0.wake(now);
        }
        self.said()
    }

    fn said(&mut self) -> Vec<Value> {
        let output = std::str::from_utf8(self.0.output()).expect("nodes write UTF-8");
        let said = output
            .lines()
            .map(|line| serde_json::from_str(line).expect("nodes write JSON"));
        let said = said.collect();
        self.0.written(self.0.output().len());
        said
    }

    /// Adds; the type of the answer, or the code if it is an error.
    fn add(&mut self, delta: i64) -> Value {
        let said = self.tell(0, "c1", json!({"type": "add", "delta": delta, "msg_id": 7}));
        let body = &said[0]["body"];
        body.get("code").unwrap_or(&body["type"]).clone()
    }

    /// The value by all that is known: what a read is answered with when its time is up.
    fn value(&mut self, now_ms: u64) -> Value {
        let mut said = self.tell(now_ms, "c1", json!({"type": "read", "msg_id": 8}));
        said.extend(self.wake(now_ms + 200));
        let answer = said.iter().find(|message| message["dest"] == "c1");
        answer.expect("every read is answered")["body"]["value"].clone()
    }
}

fn options() -> Options {
    Options {
        consistency: Consistency::Eventual,
        ..Options::default()
    }
}

fn to<'a>(dest: &str, said: &'a [Value]) -> &'a Value {
    let mut to_dest = said.iter().filter(|message| message["dest"] == dest);
    let message = to_dest.next().expect("something is said to it");
    assert_eq!(to_dest.next(), None, "one message is enough");
    &message["body"]
}

/// A question that tells such news and counts.
fn told(news: Value, counts: Value) -> Value {
    json!({"type": "gossip", "msg_id": 5, "news": news, "counts": counts})
}

/// A question of a node in life 1 that has counted once, and knows nothing.
fn question(counts: Value) -> Value {
    told(json!({"life": 1, "since": 0, "upto": 1}), counts)
}

#[test]
fn an_exchange_tells_both_sides_what_either_knew() {
    let (mut n0, mut n1) = (Counter::eventual("n0", 1), Counter::eventual("n1", 2));
    n0.add(3);
    n1.add(4);
    let question = to("n1", &n0.wake(0)).clone();
    let answer = to("n0", &n1.tell(10, "n0", question)).clone();
    n0.tell(20, "n1", answer);
    assert_eq!(n0.wake(300), Vec::<Value>::new(), "there is nothing left");
    assert_eq!((n0.value(310), n1.value(310)), (json!(7), json!(7)));
}

#[test]
fn what_a_peer_has_acknowledged_or_told_itself_is_not_sent_again() {
    let (mut n0, mut n1) = (Counter::eventual("n0", 1), Counter::eventual("n1", 2));
    // A node is silent until something is asked.
    n0.add(0);
    for round in 0..3 {
        let now_ms = round * 1000;
        let asked = n0.wake(now_ms);
        let answer = to("n0", &n1.tell(now_ms, "n0", to("n1", &asked).clone())).clone();
        n0.tell(now_ms, "n1", answer);
        n1.wake(now_ms);
        n0.add(3);
    }
    let asked = n0.wake(3000);
    let counts = to("n1", &asked)["counts"].clone();
    assert_eq!(
        (&counts[2], &counts[3]),
        (&json!(9), &json!(3)),
        "the newest [total, epoch]"
    );
    assert_ne!(to("n2", &asked)["counts"], json!([]), "n2 has said nothing");
    let said = n1.tell(3000, "n0", to("n1", &asked).clone());
    assert_eq!(to("n0", &said)["counts"], json!([]), "an echo");
    n0.tell(3000, "n1", to("n0", &said).clone());
    let read = n0.tell(3100, "c1", json!({"type": "read", "msg_id": 9}));
    assert_eq!(to("n1", &read)["counts"], json!([]), "told twice");
}

#[test]
fn a_read_rides_only_on_a_poll_that_was_sent_after_it_arrived() {
    let (mut n0, mut n1) = (Counter::eventual("n0", 1), Counter::eventual("n1", 2));
    let mut n2 = Counter::eventual("n2", 3);
    let first = n0.tell(10, "c1", json!({"type": "read", "msg_id": 1}));
    let early = [
        (
            "n1",
            to("n0", &n1.tell(20, "n0", to("n1", &first).clone())).clone(),
        ),
        (
            "n2",
            to("n0", &n2.tell(20, "n0", to("n2", &first).clone())).clone(),
        ),
    ];
    n1.add(5);
    assert_eq!(
        n0.tell(30, "c2", json!({"type": "read", "msg_id": 1})),
        Vec::<Value>::new()
    );
    let mut said = Vec::new();
    for (src, answer) in early {
        said.extend(n0.tell(40, src, answer));
    }
    assert_eq!(to("c1", &said)["value"], 0);
    assert!(
        said.iter().all(|message| message["dest"] != "c2"),
        "answered from before: {said:?}"
    );
    let late = [
        (
            "n1",
            to("n0", &n1.tell(50, "n0", to("n1", &said).clone())).clone(),
        ),
        (
            "n2",
            to("n0", &n2.tell(50, "n0", to("n2", &said).clone())).clone(),
        ),
    ];
    let mut said = Vec::new();
    for (src, answer) in late {
        said.extend(n0.tell(60, src, answer));
    }
    assert_eq!(to("c2", &said)["value"], 5);
}

#[test]
fn a_read_is_answered_at_its_bound_and_one_that_no_peer_can_answer_in_time_at_once() {
    let mut n0 = Counter::eventual("n0", 1);
    n0.add(3);
    for now_ms in [1000, 1200] {
        let read = json!({"type": "read", "msg_id": 1});
        assert!(
            n0.tell(now_ms, "c1", read)
                .iter()
                .all(|message| message["dest"] != "c1")
        );
        n0.wake(now_ms + 199)
            .iter()
            .for_each(|message| assert_ne!(message["dest"], "c1"));
        assert_eq!(to("c1", &n0.wake(now_ms + 200))["value"], 3);
    }
    let said = n0.tell(1400, "c1", json!({"type": "read", "msg_id": 2}));
    assert_eq!((said.len(), &to("c1", &said)["value"]), (1, &json!(3)));
}

#[test]
fn a_peer_that_answers_in_time_again_is_asked_by_reads_again() {
    let (mut n0, mut n1) = (Counter::eventual("n0", 1), Counter::eventual("n1", 2));
    n0.value(1000);
    n0.value(1200);
    let asked = n0.wake(2400);
    let answer = to("n0", &n1.tell(2410, "n0", to("n1", &asked).clone())).clone();
    n0.tell(2420, "n1", answer);
    let read = n0.tell(2430, "c1", json!({"type": "read", "msg_id": 1}));
    assert_eq!(to("n1", &read)["type"], "gossip");
    assert!(
        read.iter().all(|message| message["dest"] != "n2"),
        "it is silent"
    );
}

#[test]
fn a_silent_peer_gets_one_message_a_second() {
    let mut n0 = Counter::eventual("n0", 1);
    let mut to_n1 = 0;
    for now_ms in 0..10_000 {
        if now_ms % 100 == 0 {
            n0.add(1);
        }
        let said = n0.wake(now_ms);
        to_n1 += said
            .iter()
            .filter(|message| message["dest"] == "n1")
            .count();
    }
    assert_eq!(to_n1, 10);
}

#[test]
fn a_node_that_restarts_counts_as_another_replica_and_learns_its_past_from_its_peers() {
    let (mut n0, mut n1) = (Counter::eventual("n0", 1), Counter::eventual("n1", 2));
    n0.add(3);
    n1.add(4);
    let asked = n0.wake(0);
    let answer = to("n0", &n1.tell(0, "n0", to("n1", &asked).clone())).clone();
    n0.tell(0, "n1", answer);

    let mut n0 = Counter::eventual("n0", 3);
    n0.add(1);
    let asked = n0.wake(2000);
    let said = n1.tell(2000, "n0", to("n1", &asked).clone());
    n0.tell(2000, "n1", to("n0", &said).clone());
    assert_eq!((n0.value(2100), n1.value(2100)), (json!(8), json!(8)));
}

#[test]
fn a_node_acknowledges_no_change_before_which_it_has_missed_one() {
    let mut n0 = Counter::eventual("n0", 1);
    let mut ask = |since: u64, upto: u64, total: i64| {
        let news = json!({"life": 1, "since": since, "upto": upto});
        let said = n0.tell(0, "n1", told(news, json!(["n1", 1, total, upto])));
        let news = &to("n1", &said)["news"];
        assert_eq!(news["your_life"], 1);
        news["known"].clone()
    };
    assert_eq!(ask(0, 2, 2), 2);
    assert_eq!(ask(5, 7, 7), 2, "3 to 5 are missing");
    assert_eq!(ask(2, 7, 7), 7);
    assert_eq!(ask(0, 2, 2), 7, "late");
}

#[test]
fn late_news_brings_back_no_older_state_even_if_its_total_is_higher() {
    let options = Options {
        decrements: true,
        ..options()
    };
    let mut n0 = Counter::start("n0", options, 1);
    n0.tell(0, "n1", question(json!(["n1", 1, -5, 2])));
    n0.tell(0, "n1", question(json!(["n1", 1, 5, 1])));
    assert_eq!(n0.value(10), -5);
}

#[test]
fn malformed_or_foreign_gossip_is_refused_and_changes_nothing() {
    let mut n0 = Counter::eventual("n0", 1);
    n0.add(1);
    let life = to("n1", &n0.wake(0))["news"]["life"].clone();
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
        json!(["n1", 1, 100, 1, "n0", life, 100, 2]),
        json!([good]),
        json!({"n1": 100}),
        json!(7),
        json!(null),
    ];
    for counts in malformed {
        let said = n0.tell(0, "n1", question(counts.clone()));
        assert_eq!(to("n1", &said)["code"], 12, "{counts}");
    }
    for news in [
        json!(null),
        json!(7),
        json!({"life": 1, "since": 0}),
        json!({"life": -1, "since": 0, "upto": 1}),
        json!({"life": 1, "since": 0, "upto": 1, "known": "2"}),
    ] {
        let mut message = told(news.clone(), good.clone());
        let said = n0.tell(0, "n1", message.clone());
        assert_eq!(to("n1", &said)["code"], 12, "{news}");
        message["type"] = json!("gossip_ok");
        message["in_reply_to"] = json!(5);
        assert_eq!(n0.tell(0, "n1", message), Vec::<Value>::new(), "{news}");
    }
    for stranger in ["n9", "c1", "n0"] {
        let said = n0.tell(0, stranger, question(good.clone()));
        assert_eq!(to(stranger, &said)["code"], 12, "{stranger}");
        let mut reply = question(good.clone());
        reply["type"] = json!("gossip_ok");
        reply["in_reply_to"] = json!(5);
        assert_eq!(n0.tell(0, stranger, reply), Vec::<Value>::new());
    }
    assert_eq!(n0.value(100), 1);
    n0.tell(400, "n1", question(good.clone()));
    assert_eq!(n0.value(400), 101, "well-formed gossip still counts");
}

#[test]
fn an_acknowledgement_of_what_was_never_said_or_of_another_life_is_ignored() {
    let mut n0 = Counter::eventual("n0", 1);
    n0.add(1);
    let life = to("n1", &n0.wake(0))["news"]["life"].clone();
    for (life, known) in [(life, 99), (json!(12345), 1)] {
        for _ in 0..2 {
            let news = json!({"life": 1, "since": 0, "upto": 1, "your_life": life, "known": known});
            let said = n0.tell(0, "n1", told(news, json!([])));
            assert_eq!(to("n1", &said)["news"]["since"], 0, "{known}");
            assert_ne!(to("n1", &said)["counts"], json!([]), "{known}");
        }
    }
}

#[test]
fn gossip_before_init_is_refused_and_loses_nothing() {
    let mut n1 = Counter(Node::new(GCounter::new(options(), 2)));
    let mut n0 = Counter::eventual("n0", 1);
    n0.add(3);
    let early = n1.tell(0, "n0", to("n1", &n0.wake(0)).clone());
    assert_eq!(to("n0", &early)["code"], 11);
    assert_eq!(n1.wake(500), Vec::<Value>::new());
    n0.tell(0, "n1", to("n0", &early).clone());
    let init =
        json!({"type": "init", "node_id": "n1", "node_ids": ["n0", "n1", "n2"], "msg_id": 1});
    n1.tell(500, "c0", init);
    let again = n0.wake(1000);
    n1.tell(1000, "n0", to("n1", &again).clone());
    assert_eq!(n1.value(1100), 3);
}

#[test]
fn an_add_that_would_leave_the_range_of_numbers_is_refused() {
    let options = Options {
        decrements: true,
        ..options()
    };
    let mut n0 = Counter::start("n0", options, 1);
    n0.tell(0, "n1", question(json!(["n1", 1, -5, 1])));
    assert_eq!(n0.add(i64::MAX), "add_ok");
    assert_eq!(n0.add(1), 14, "the own total");
    assert_eq!(n0.add(-5), "add_ok");
    n0.tell(0, "n1", question(json!(["n1", 1, 3, 2])));
    assert_eq!(n0.add(3), 14, "the sum");
    assert_eq!(n0.add(2), "add_ok");
    assert_eq!(n0.value(10), i64::MAX);
    assert_eq!(n0.add(i64::MIN), "add_ok");
    assert_eq!(n0.add(i64::MIN), 14);
    assert_eq!(n0.value(400), -1);
}

#[test]
fn more_replicas_than_there_is_room_for_are_refused_and_the_rest_stays_right() {
    let mut n0 = Counter::eventual("n0", 1);
    let life = |life: u64| [json!("n1"), json!(life), json!(1), json!(1)];
    let lives = |range: std::ops::Range<u64>| range.flat_map(life).collect();
    let said = n0.tell(0, "n1", question(lives(0..4097)));
    assert_eq!(to("n1", &said)["code"], 11);
    n0.tell(0, "n1", question(lives(0..4096)));
    assert_eq!(n0.add(1), 11);
    assert_eq!(n0.value(10), 4096);
    n0.tell(300, "n1", question(json!(["n1", 7, 5, 2])));
    assert_eq!(n0.value(400), 4100, "what is known still grows");
}

#[test]
fn reads_above_the_limit_are_refused_and_adds_never_wait() {
    let options = Options {
        pending_max: 2,
        ..options()
    };
    let mut n0 = Counter::start("n0", options, 1);
    let read = json!({"type": "read", "msg_id": 1});
    n0.tell(0, "c1", read.clone());
    n0.tell(0, "c2", read.clone());
    assert_eq!(to("c3", &n0.tell(0, "c3", read))["code"], 11);
    assert_eq!(n0.add(1), "add_ok");
}

#[test]
fn reads_that_wait_when_the_input_ends_are_answered_with_what_is_known() {
    let mut n0 = Counter::eventual("n0", 1);
    n0.add(3);
    n0.tell(0, "c1", json!({"type": "read", "msg_id": 1}));
    n0.tell(0, "c2", json!({"type": "read", "msg_id": 1}));
    n0.0.finish();
    let said = n0.said();
    assert_eq!(to("c1", &said)["value"], 3);
    assert_eq!(to("c2", &said)["value"], 3);
}

#[test]
fn the_levels_with_a_store_do_not_gossip() {
    let mut n0 = Counter::start("n0", Options::default(), 1);
    let said = n0.tell(0, "n1", question(json!([])));
    assert_eq!(to("n1", &said)["code"], 10);
}
