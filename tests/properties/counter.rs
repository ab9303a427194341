//! The counter, fed arbitrary sequences of messages with time passing.

use std::collections::BTreeMap;
use std::time::Duration;

use eddy::node::Node;
use eddy::workload::GCounter;
use eddy::workload::g_counter::{Consistency, Options};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Something that happens to a node.
#[derive(Clone, Debug)]
enum Step {
    Add(i64),
    Read,
    /// A line that means nothing.
    Noise(String),
    /// Someone who isn't the store answers for it.
    Forgery(prop::sample::Index),
    /// The store answers one of the questions that it has had so far, perhaps one that it has answered before.
    Answer(prop::sample::Index, How),
    Time(u64),
}

#[derive(Clone, Copy, Debug)]
enum How {
    Truly,
    /// It does what it is asked, and says that it failed.
    DoneWithError(i64),
    /// It does nothing, and says that it failed.
    Error(i64),
    /// A value that no counter wrote.
    Foreign,
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
        1 => Just(How::Foreign),
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
                    pending_max,
                    rpc_timeout: Duration::from_millis(rpc_timeout_ms),
                    op_timeout: Duration::from_millis(op_timeout_ms),
                    ..Options::default()
                };
                (options, seed)
            },
        )
}

struct World {
    node: Node<GCounter>,
    options: Options,
    now: Duration,
    values: BTreeMap<String, Value>,
    /// Everything that the store has been asked.
    questions: Vec<Value>,
    /// For each operation its delta, none for a read, its deadline, and its answer.
    operations: Vec<(Option<i64>, Duration, Option<Value>)>,
}

impl World {
    fn new(options: Options, seed: u64) -> Self {
        let mut world = World {
            node: Node::new(GCounter::new(options.clone(), seed)),
            options,
            now: Duration::from_secs(1),
            values: BTreeMap::new(),
            questions: Vec::new(),
            operations: Vec::new(),
        };
        let init =
            json!({"type": "init", "node_id": "n0", "node_ids": ["n0", "n1", "n2"], "msg_id": -1});
        world.say("c0", init);
        world.node.written(world.node.output().len());
        world
    }

    fn say(&mut self, src: &str, body: Value) {
        let line = json!({"src": src, "dest": "n0", "body": body}).to_string();
        let received = self.node.receive(&line, self.now);
        received.expect("every message can be understood or answered");
    }

    fn ask(&mut self, delta: Option<i64>) {
        let msg_id = self.operations.len();
        self.operations.push((
            delta,
            self.now.saturating_add(self.options.op_timeout),
            None,
        ));
        match delta {
            Some(delta) => self.say(
                "c1",
                json!({"type": "add", "delta": delta, "msg_id": msg_id}),
            ),
            None => self.say("c1", json!({"type": "read", "msg_id": msg_id})),
        }
    }

    fn answer(&mut self, question: &Value, how: How) {
        let body = &question["body"];
        let key = body["key"].as_str().expect("keys are strings");
        let error = |code| json!({"type": "error", "code": code, "text": "as the test says"});
        let mut answer = match (&body["type"], self.values.get(key), how) {
            (_, _, How::Error(code)) => error(code),
            (kind, _, How::Foreign) if *kind == "read" => {
                json!({"type": "read_ok", "value": ["foreign"]})
            }
            (kind, Some(value), _) if *kind == "read" => json!({"type": "read_ok", "value": value}),
            (kind, None, _) if *kind == "read" => error(20),
            (_, Some(value), _) if *value != body["from"] => error(22),
            (_, None, _) if body["create_if_not_exists"] != true => error(20),
            (_, _, how) => {
                self.values.insert(key.into(), body["to"].clone());
                match how {
                    How::DoneWithError(code) => error(code),
                    _ => json!({"type": "cas_ok"}),
                }
            }
        };
        answer["in_reply_to"] = body["msg_id"].clone();
        self.say("seq-kv", answer);
    }

    /// Takes what the node says, and checks it.
    fn listen(&mut self) -> Result<(), TestCaseError> {
        let output = self.node.output().to_vec();
        self.node.written(output.len());
        let output = String::from_utf8(output).expect("nodes write UTF-8");
        for line in output.lines() {
            let message: Value = serde_json::from_str(line).expect("nodes write JSON");
            prop_assert_eq!(&message["src"], "n0");
            if message["dest"] == "seq-kv" {
                self.questions.push(message);
                continue;
            }
            prop_assert_eq!(&message["dest"], "c1", "{}", line);
            let index = message["body"]["in_reply_to"]
                .as_u64()
                .expect("it is a reply");
            let (delta, deadline, answer) = &mut self.operations[index as usize];
            prop_assert!(
                answer.is_none(),
                "answered twice: {} and {:?}",
                line,
                answer
            );
            let body = message["body"].clone();
            match (body["type"].as_str(), delta) {
                (Some("add_ok"), Some(_)) | (Some("read_ok"), None) => {}
                (Some("error"), Some(_)) => {
                    prop_assert!([0, 11].contains(&body["code"].as_i64().expect("a number")))
                }
                (Some("error"), None) => prop_assert_eq!(&body["code"], 11),
                _ => prop_assert!(false, "no answer to that: {}", line),
            }
            prop_assert!(
                self.now <= *deadline,
                "late: {} {:?} {:?}",
                line,
                self.now,
                deadline
            );
            *answer = Some(body);
        }
        Ok(())
    }

    /// Lets time pass, and wakes the node whenever it wants.
    fn pass(&mut self, until: Duration) -> Result<(), TestCaseError> {
        while let Some(deadline) = self.node.deadline().filter(|deadline| *deadline <= until) {
            self.now = self.now.max(deadline);
            self.node.wake(self.now);
            let next = self.node.deadline();
            prop_assert!(
                next.is_none_or(|next| next > self.now),
                "it would spin: {:?} at {:?}",
                next,
                self.now
            );
            self.listen()?;
        }
        self.now = until;
        for (_, deadline, answer) in &self.operations {
            prop_assert!(
                answer.is_some() || *deadline > self.now,
                "not answered in time"
            );
        }
        Ok(())
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Add(delta) => self.ask(Some(delta)),
            Step::Read => self.ask(None),
            // It can't be answered, or is blank.
            Step::Noise(line) => drop(self.node.receive(&line, self.now)),
            Step::Forgery(_) | Step::Answer(..) if self.questions.is_empty() => {}
            Step::Forgery(index) => {
                let msg_id = index.get(&self.questions)["body"]["msg_id"].clone();
                self.say("c7", json!({"type": "cas_ok", "in_reply_to": msg_id}));
                self.say(
                    "n1",
                    json!({"type": "read_ok", "value": [900, 9], "in_reply_to": msg_id}),
                );
            }
            Step::Answer(index, how) => {
                let question = index.get(&self.questions).clone();
                self.answer(&question, how);
            }
            Step::Time(passed_ms) => {
                self.listen()?;
                self.pass(self.now + Duration::from_millis(passed_ms))?;
            }
        }
        self.listen()
    }

    /// From now on the store answers everything at once. Nothing stays pending, and the total is right.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        let mut answered = 0;
        let mut turns = 0;
        while self.node.deadline().is_some() || answered < self.questions.len() {
            while answered < self.questions.len() {
                let question = self.questions[answered].clone();
                answered += 1;
                self.answer(&question, How::Truly);
                self.listen()?;
            }
            if let Some(deadline) = self.node.deadline() {
                self.pass(deadline.max(self.now))?;
            }
            turns += 1;
            prop_assert!(turns < 1000, "something stays pending");
        }
        let sum = |is: fn(&Value) -> bool| -> i64 {
            let operations = self.operations.iter();
            operations
                .filter(|(_, _, answer)| answer.as_ref().is_some_and(is))
                .filter_map(|operation| operation.0)
                .sum()
        };
        let added = sum(|body| body["type"] == "add_ok");
        let unsure = sum(|body| body["code"] == 0);
        let key = match self.options.consistency {
            Consistency::Regular => "g-counter/n0",
            _ => "g-counter",
        };
        let total = self
            .values
            .get(key)
            .and_then(|register| register[0].as_i64());
        let total = total.unwrap_or(0);
        prop_assert!(
            (added..=added + unsure).contains(&total),
            "{} to {}+{}: {}",
            added,
            added,
            unsure,
            total
        );
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_operation_is_answered_once_and_in_time_and_nothing_stays_pending(
        (options, seed) in options(), steps in steps(),
    ) {
        let mut world = World::new(options, seed);
        for step in steps {
            world.take(step)?;
        }
        world.settle()?;
    }

    #[test]
    fn at_the_end_of_input_every_operation_has_been_answered_once(
        (options, seed) in options(), steps in steps(),
    ) {
        let mut world = World::new(options, seed);
        for step in steps {
            world.take(step)?;
        }
        world.node.finish();
        world.listen()?;
        prop_assert!(world.operations.iter().all(|(_, _, answer)| answer.is_some()));
    }
}

#[test]
fn timeouts_of_any_length_overflow_nothing() {
    for timeout in [Duration::ZERO, Duration::MAX] {
        let options = Options {
            rpc_timeout: timeout,
            op_timeout: timeout,
            ..Options::default()
        };
        let mut world = World::new(options, 1);
        world.ask(Some(1));
        world.ask(None);
        world.node.wake(world.now);
        assert!(
            world
                .node
                .deadline()
                .is_none_or(|deadline| deadline > world.now)
        );
    }
}

#[test]
fn whoever_comes_after_readers_that_gave_up_does_not_wait_for_their_questions() {
    let options = Options {
        rpc_timeout: Duration::from_secs(3600),
        op_timeout: Duration::from_secs(1),
        ..Options::default()
    };
    let mut world = World::new(options, 1);
    let answer = |world: &mut World, index: usize, kind: &str| {
        let question = world.questions[index].clone();
        assert_eq!(question["body"]["type"], kind);
        world.answer(&question, How::Truly);
        world.listen().expect("it answers as it should");
    };
    world.ask(None);
    world.listen().expect("it answers as it should");
    answer(&mut world, 0, "read");
    answer(&mut world, 1, "cas");
    // What it looks up for this read, questions 2 and 3, is never answered. The next read waits for another look.
    world
        .pass(Duration::from_millis(1500))
        .expect("nothing is late");
    world.ask(None);
    world.listen().expect("it answers as it should");
    answer(&mut world, 4, "cas");
    assert_eq!(world.questions.len(), 5);
    // The first read gives up, and the second is free to look.
    world
        .pass(Duration::from_millis(2000))
        .expect("nothing is late");
    answer(&mut world, 5, "read");
    answer(&mut world, 6, "read");
    let (_, _, second) = &world.operations[1];
    assert_eq!(second.as_ref().expect("it is answered")["value"], 0);
}
