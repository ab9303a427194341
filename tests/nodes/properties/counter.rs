//! The counter under arbitrary sequences of messages and of time passing.

use std::time::Duration;

use eddy::node::{Limits, Node};
use eddy::workload::GCounter;
use eddy::workload::g_counter::{Consistency, Options};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::lone::{Lone, Request};
use crate::world::store::error;

/// An input of the node.
#[derive(Clone, Debug)]
enum Step {
    Add(i64),
    Read,
    /// A line that is no useful message.
    Noise(String),
    /// A reply in the name of the store from another sender.
    Forgery(prop::sample::Index),
    /// The store replies to one of the requests so far, even to one that it has answered already.
    Answer(prop::sample::Index, How),
    Time(u64),
}

#[derive(Clone, Copy, Debug)]
enum How {
    Truly,
    /// It performs the request and replies with an error.
    DoneWithError(i64),
    /// It does not perform the request and replies with an error.
    Error(i64),
    /// It replies with a value that no counter wrote.
    Unexpected,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let code = || {
        prop_oneof![
            Just(0i64),
            Just(11),
            Just(13),
            Just(14),
            Just(20),
            Just(22),
            Just(1000)
        ]
    };
    let how = prop_oneof![
        8 => Just(How::Truly),
        1 => code().prop_map(How::DoneWithError),
        1 => code().prop_map(How::Error),
        1 => Just(How::Unexpected),
    ];
    let step = prop_oneof![
        4 => (0i64..10).prop_map(Step::Add),
        4 => Just(Step::Read),
        1 => ".{0,20}".prop_map(Step::Noise),
        1 => any::<prop::sample::Index>().prop_map(Step::Forgery),
        8 => (any::<prop::sample::Index>(), how).prop_map(|(index, how)| Step::Answer(index, how)),
        2 => prop_oneof![Just(0), 1u64..100, 100u64..6000].prop_map(Step::Time),
    ];
    vec(step, 0..120)
}

fn options() -> impl Strategy<Value = (Options, u64)> {
    let consistency = prop_oneof![
        Just(Consistency::Regular),
        Just(Consistency::Linearizable),
        Just(Consistency::Sequential)
    ];
    (
        consistency,
        1usize..5,
        1usize..12,
        0u64..2000,
        0u64..5000,
        any::<u64>(),
    )
        .prop_map(
            |(consistency, batch_max, pending_max, rpc_timeout_ms, op_timeout_ms, seed)| {
                let options = Options {
                    consistency,
                    batch_max,
                    limits: Limits {
                        pending_max,
                        rpc_timeout: Duration::from_millis(rpc_timeout_ms),
                        op_timeout: Duration::from_millis(op_timeout_ms),
                    },
                    ..Options::default()
                };
                (options, seed)
            },
        )
}

fn lone(options: &Options, seed: u64) -> Lone<GCounter> {
    let op_timeout = options.limits.op_timeout;
    Lone::new(Node::new(GCounter::new(options.clone(), seed)), op_timeout)
}

fn answer(lone: &mut Lone<GCounter>, question: usize, how: How) {
    match how {
        How::Truly => lone.answer(question),
        How::DoneWithError(code) => {
            lone.store.handle(&lone.questions[question]["body"]);
            lone.answer_with(question, error(code));
        }
        How::Error(code) => lone.answer_with(question, error(code)),
        How::Unexpected => {
            lone.answer_with(
                question,
                json!({"type": "read_ok", "value": ["unexpected"]}),
            );
        }
    }
}

fn take(lone: &mut Lone<GCounter>, step: Step) {
    match step {
        Step::Add(delta) => lone.ask(json!({"type": "add", "delta": delta})),
        Step::Read => lone.ask(json!({"type": "read"})),
        Step::Noise(line) => lone.receive(&line),
        Step::Forgery(_) | Step::Answer(..) if lone.questions.is_empty() => {}
        Step::Forgery(index) => {
            let msg_id = index.get(&lone.questions)["body"]["msg_id"].clone();
            lone.tell("c7", json!({"type": "cas_ok", "in_reply_to": msg_id}));
            let read_ok = json!({"type": "read_ok", "value": [900, 9], "in_reply_to": msg_id});
            lone.tell("n1", read_ok);
            lone.tell("seq-kv", json!({"type": "cas_ok", "in_reply_to": 0}));
        }
        Step::Answer(index, how) => answer(lone, index.index(lone.questions.len()), how),
        Step::Time(passed_ms) => lone.pass(Duration::from_millis(passed_ms)),
    }
}

/// Each reply fits its request, and no operation that may have taken effect gets a definite error.
fn assert_answers_fit(requests: &[Request]) {
    for Request { body, answer, .. } in requests {
        let Some(answer) = answer else {
            continue;
        };
        let is_add = body["type"] == "add";
        let fits = match answer["code"].as_i64() {
            None => answer["type"] == if is_add { "add_ok" } else { "read_ok" },
            Some(code) => code == 11 || is_add && code == 0,
        };
        assert!(fits, "no answer to {body}: {answer}");
    }
}

/// From now on the store performs every request at once. Nothing stays pending, and the total is right.
fn finish_all(lone: &mut Lone<GCounter>, consistency: Consistency) {
    let mut answered = 0;
    let mut turns = 0;
    while lone.deadline().is_some() || answered < lone.questions.len() {
        while answered < lone.questions.len() {
            lone.answer(answered);
            answered += 1;
        }
        if let Some(deadline) = lone.deadline() {
            lone.pass(deadline.saturating_sub(lone.now));
        }
        turns += 1;
        assert!(turns < 1000, "something stays pending");
    }
    let sum = |is: fn(&Value) -> bool| -> i64 {
        let requests = lone.requests.iter();
        requests
            .filter(|request| request.answer.as_ref().is_some_and(is))
            .filter_map(|request| request.body["delta"].as_i64())
            .sum()
    };
    let added = sum(|body| body["type"] == "add_ok");
    let most = added + sum(|body| body["code"] == 0);
    let key = match consistency {
        Consistency::Regular => "g-counter/n0",
        _ => "g-counter",
    };
    let register = lone.store.get(key);
    let total = register.map_or(0, |register| register[0].as_i64().expect("a total"));
    assert!(
        (added..=most).contains(&total),
        "{added} to {most}: {total}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_operation_is_answered_once_and_in_time_and_nothing_stays_pending(
        (options, seed) in options(), steps in steps(),
    ) {
        let mut lone = lone(&options, seed);
        steps.into_iter().for_each(|step| take(&mut lone, step));
        finish_all(&mut lone, options.consistency);
        assert_answers_fit(&lone.requests);
    }

    #[test]
    fn at_the_end_of_input_every_operation_has_been_answered_once(
        (options, seed) in options(), steps in steps(),
    ) {
        let mut lone = lone(&options, seed);
        steps.into_iter().for_each(|step| take(&mut lone, step));
        lone.finish();
        assert_answers_fit(&lone.requests);
    }
}

#[test]
fn timeouts_of_any_length_overflow_nothing() {
    for timeout in [Duration::ZERO, Duration::MAX] {
        let options = Options {
            limits: Limits {
                rpc_timeout: timeout,
                op_timeout: timeout,
                ..Limits::default()
            },
            ..Options::default()
        };
        let mut lone = lone(&options, 1);
        lone.ask(json!({"type": "add", "delta": 1}));
        lone.ask(json!({"type": "read"}));
        lone.wake(lone.now);
        let deadline = lone.deadline();
        assert!(deadline.is_none_or(|deadline| deadline > lone.now));
    }
}

#[test]
fn a_read_that_comes_after_reads_that_were_given_up_does_not_wait_for_their_questions() {
    let options = Options {
        limits: Limits {
            rpc_timeout: Duration::from_secs(3600),
            op_timeout: Duration::from_secs(1),
            ..Limits::default()
        },
        ..Options::default()
    };
    let mut lone = lone(&options, 1);
    let answer = |lone: &mut Lone<GCounter>, question: usize, kind: &str| {
        assert_eq!(lone.questions[question]["body"]["type"], kind);
        lone.answer(question);
    };
    lone.ask(json!({"type": "read"}));
    // The store is slow, so it has 1.3 s from now on to reply.
    lone.pass(Duration::from_millis(400));
    answer(&mut lone, 0, "read");
    answer(&mut lone, 1, "cas");
    // For this read the peers' registers are read, by requests 2 and 3, and the store does not reply. The next read
    // changes the second register, which is not known yet, and waits until the peers' can be read again.
    lone.pass(Duration::from_millis(500));
    lone.ask(json!({"type": "read"}));
    answer(&mut lone, 4, "read");
    answer(&mut lone, 5, "cas");
    assert_eq!(lone.questions.len(), 6);
    // The node gives up the first read.
    lone.pass(Duration::from_millis(500));
    answer(&mut lone, 6, "read");
    answer(&mut lone, 7, "read");
    let second = lone.requests[1].answer.as_ref();
    assert_eq!(second.expect("it is answered")["value"], 0);
}

#[test]
fn a_change_of_an_earlier_incarnation_is_not_taken_for_the_one_that_a_read_waits_for() {
    let mut lone = lone(&Options::default(), 1);
    lone.ask(json!({"type": "read"}));
    lone.answer_with(0, json!({"type": "read_ok", "value": [5, 7, 1]}));
    let wanted = lone.questions[1]["body"]["to"].clone();
    assert_eq!((&wanted[0], &wanted[1]), (&json!(5), &json!(8)));
    // A late change of the earlier incarnation makes the same total and epoch first.
    lone.answer_with(1, json!({"type": "error", "code": 22}));
    lone.answer_with(2, json!({"type": "read_ok", "value": [5, 8, 1]}));
    let again = &lone.questions[3]["body"];
    assert_eq!(again["type"], "cas");
    assert_eq!(again["from"], json!([5, 8, 1]));
}

#[test]
fn a_reply_that_comes_long_after_the_store_was_asked_again_still_serves() {
    for consistency in [
        Consistency::Regular,
        Consistency::Linearizable,
        Consistency::Sequential,
    ] {
        let options = Options {
            consistency,
            limits: Limits {
                op_timeout: Duration::from_secs(60),
                ..Limits::default()
            },
            ..Options::default()
        };
        let mut lone = lone(&options, 1);
        lone.ask(json!({"type": "add", "delta": 1}));
        lone.pass(Duration::from_secs(10));
        let asked = lone.questions.len();
        assert!(asked > 3, "{consistency:?} asks again");
        lone.answer(0);
        if consistency == Consistency::Linearizable {
            // It asks with a change, as it does not read first.
            let answer = lone.requests[0].answer.as_ref().expect("it is answered");
            assert_eq!(answer["type"], "add_ok");
        } else {
            assert_eq!(lone.questions[asked]["body"]["type"], "cas");
        }
    }
}

#[test]
fn an_add_that_no_message_has_held_is_given_up_with_a_definite_error() {
    let options = Options {
        consistency: Consistency::Linearizable,
        limits: Limits {
            rpc_timeout: Duration::from_secs(3),
            op_timeout: Duration::from_millis(700),
            ..Limits::default()
        },
        ..Options::default()
    };
    let mut lone = lone(&options, 1);
    let register =
        |total, version, id| json!({"type": "read_ok", "value": [total, version, "n1", "n1", id]});
    lone.ask(json!({"type": "add", "delta": 5}));
    // Node n1 is faster, so the first add is forwarded to it, and announced. Neither is answered.
    lone.answer_with(0, json!({"type": "error", "code": 22}));
    lone.answer_with(1, register(2, 2, 78));
    assert_eq!(lone.questions[2]["body"]["to"][0], 5);
    lone.ask(json!({"type": "add", "delta": 7}));
    lone.pass(Duration::from_millis(700));
    let last = lone.questions.last().expect("it has asked");
    assert_eq!(last["body"]["type"], "read", "what has become of the first");
    let codes = lone
        .requests
        .iter()
        .map(|request| request.answer.as_ref().expect("it is answered")["code"].as_i64());
    assert!(codes.eq([Some(0), Some(11)]), "{:?}", lone.questions);
}

#[test]
fn operations_are_done_however_few_may_be_combined() {
    for (consistency, batch_max) in [
        (Consistency::Regular, 0),
        (Consistency::Linearizable, 0),
        (Consistency::Sequential, 0),
        (Consistency::Regular, 1),
    ] {
        let options = Options {
            consistency,
            batch_max,
            ..Options::default()
        };
        let mut lone = lone(&options, 1);
        lone.ask(json!({"type": "add", "delta": 5}));
        lone.ask(json!({"type": "read"}));
        for question in 0..10 {
            if question == lone.questions.len() {
                break;
            }
            lone.answer(question);
        }
        let answers = lone.requests.iter().map(|request| request.answer.as_ref());
        let kinds = answers.map(|answer| answer.expect("it is answered")["type"].as_str());
        assert!(
            kinds.eq([Some("add_ok"), Some("read_ok")]),
            "{consistency:?}"
        );
    }
}
