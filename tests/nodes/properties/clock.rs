//! A counter whose clock jumps forwards and (against the contract) backwards: each operation is answered exactly once,
//! nothing is lost, and nothing stays pending when the clock is correct again.

use std::time::Duration;

use eddy::node::{Node, Random};
use eddy::workload::GCounter;
use eddy::workload::g_counter::{Consistency, Options};
use serde_json::json;

use crate::lone::Lone;

fn answers_once_whatever_the_clock_does(consistency: Consistency, seed: u64) {
    println!("{consistency:?}, seed {seed}");
    let mut random = Random::new(seed);
    let options = Options {
        consistency,
        ..Options::default()
    };
    let never = Duration::MAX;
    let mut lone = Lone::new(Node::new(GCounter::new(options, seed)), never);
    for _ in 0..200 {
        match random.below(6) {
            0 => lone.ask(json!({"type": "add", "delta": 1})),
            1 => lone.ask(json!({"type": "read"})),
            2 => lone.wake(Duration::from_millis(random.below(2_000_000))),
            3 => lone.wake(lone.now + Duration::from_millis(random.below(500))),
            _ if lone.questions.is_empty() => {}
            // The request may be old, or answered already.
            _ => {
                let question = random.below(lone.questions.len() as u64);
                lone.answer(question as usize);
            }
        }
    }
    // From here the clock is ahead of all its past values and correct; the store does not reply any more.
    lone.wake(Duration::from_secs(3000));
    lone.wake(Duration::from_secs(3005));
    for request in &lone.requests {
        assert!(request.answer.is_some(), "{}", request.body);
    }
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
