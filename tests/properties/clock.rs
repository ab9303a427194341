//! The counter under a clock that jumps, forwards and (though it must not) backwards: each operation is answered once,
//! nothing is lost, and once the clock goes on as it should, nothing stays pending.

use std::collections::BTreeMap;
use std::time::Duration;

use eddy::node::{Node, Random};
use eddy::workload::GCounter;
use eddy::workload::g_counter::{Consistency, Options};
use serde_json::{Value, json};

struct World {
    node: Node<GCounter>,
    now: Duration,
    values: BTreeMap<String, Value>,
    questions: Vec<Value>,
    /// How often each operation has been answered.
    answers: Vec<u32>,
}

impl World {
    fn new(consistency: Consistency, seed: u64) -> Self {
        let options = Options {
            consistency,
            ..Options::default()
        };
        let mut world = World {
            node: Node::new(GCounter::new(options, seed)),
            now: Duration::from_secs(1000),
            values: BTreeMap::new(),
            questions: Vec::new(),
            answers: Vec::new(),
        };
        let init = json!({"type": "init", "node_id": "n0", "node_ids": ["n0", "n1"], "msg_id": -1});
        world.say("c0", init);
        world.node.written(world.node.output().len());
        world
    }

    fn say(&mut self, src: &str, body: Value) {
        let line = json!({"src": src, "dest": "n0", "body": body}).to_string();
        self.node.receive(&line, self.now).expect("it is a message");
    }

    fn ask(&mut self, is_add: bool) {
        let msg_id = self.answers.len();
        self.answers.push(0);
        self.say(
            "c1",
            match is_add {
                true => json!({"type": "add", "delta": 1, "msg_id": msg_id}),
                false => json!({"type": "read", "msg_id": msg_id}),
            },
        );
        self.listen();
    }

    fn listen(&mut self) {
        let output = String::from_utf8(self.node.output().to_vec()).expect("nodes write UTF-8");
        self.node.written(output.len());
        for line in output.lines() {
            let message: Value = serde_json::from_str(line).expect("nodes write JSON");
            match message["dest"] == "c1" {
                true => {
                    let index = message["body"]["in_reply_to"].as_u64();
                    self.answers[index.expect("it is a reply") as usize] += 1;
                }
                false => self.questions.push(message),
            }
        }
    }

    /// The store answers something that it was asked, perhaps long ago, perhaps for the second time. Peers say nothing.
    fn answer(&mut self, question: usize) {
        let question = self.questions[question].clone();
        if question["dest"] != "seq-kv" {
            return;
        }
        let body = &question["body"];
        let key = body["key"].as_str().expect("keys are strings");
        let error = |code| json!({"type": "error", "code": code, "text": "as the test says"});
        let mut answer = match (&body["type"], self.values.get(key)) {
            (kind, Some(value)) if *kind == "read" => json!({"type": "read_ok", "value": value}),
            (_, Some(value)) if *value != body["from"] => error(22),
            (_, None) if body["create_if_not_exists"] != true => error(20),
            _ => {
                self.values.insert(key.into(), body["to"].clone());
                json!({"type": "cas_ok"})
            }
        };
        answer["in_reply_to"] = body["msg_id"].clone();
        self.say("seq-kv", answer);
        self.listen();
    }

    fn jump(&mut self, now: Duration) {
        self.now = now;
        self.node.wake(now);
        self.listen();
    }
}

fn answers_once_whatever_the_clock_does(consistency: Consistency, seed: u64) {
    println!("{consistency:?}, seed {seed}");
    let mut random = Random::new(seed);
    let mut world = World::new(consistency, seed);
    for _ in 0..200 {
        match random.below(6) {
            0 => world.ask(true),
            1 => world.ask(false),
            2 => world.jump(Duration::from_millis(random.below(2_000_000))),
            3 => world.jump(world.now + Duration::from_millis(random.below(500))),
            _ if world.questions.is_empty() => {}
            _ => {
                let question = random.below(world.questions.len() as u64);
                world.answer(question as usize);
            }
        }
    }
    // The clock is past all that it has shown, and goes on; the store answers nothing more.
    world.jump(Duration::from_secs(3000));
    world.jump(Duration::from_secs(3005));
    assert!(
        world.answers.iter().all(|count| *count == 1),
        "{:?}",
        world.answers
    );
}

#[test]
fn each_operation_is_answered_once_though_the_clock_jumps_forwards_and_backwards() {
    for consistency in [
        Consistency::Regular,
        Consistency::Linearizable,
        Consistency::Sequential,
        Consistency::Eventual,
    ] {
        (0..200).for_each(|seed| answers_once_whatever_the_clock_does(consistency, seed));
    }
}
