//! The services reply as upstream's.
//!
//! `upstream.json` holds what Maelstrom's own services (0.2.5-SNAPSHOT, master of 2025-11-28) replied to short
//! scripts: each script was run 20,000 times on a fresh service, one operation after the other, and each sequence of
//! replies was counted. The test does the same here, and both must show the same sequences. The frequencies are
//! compared by a chi-square test at a significance level of 0.1%: for equal services it rejects one script in a
//! thousand. Seeds are fixed, so the result is the same each time.
#![cfg(feature = "workbench")]

use std::collections::BTreeMap;

use eddy::workbench::network::Endpoint;
use eddy::workbench::random::Stream;
use eddy::workbench::service::{SequentialStore, Services};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// A script, and how often upstream's service gave each sequence of replies.
struct Script {
    service: String,
    what: String,
    steps: Vec<Step>,
    runs: u64,
    answers: BTreeMap<String, u64>,
    /// In how many runs of the script with forty writes the second read was older than the first.
    second_read_older: Option<u64>,
}

/// A request of a client.
struct Step {
    client: usize,
    body: String,
}

fn scripts() -> Vec<Script> {
    #[derive(serde::Deserialize)]
    struct Recorded {
        service: String,
        what: String,
        script: Box<RawValue>,
        runs: u64,
        answers: BTreeMap<String, u64>,
        second_read_older_than_first: Option<u64>,
    }
    let recorded: Vec<Recorded> =
        serde_json::from_str(include_str!("upstream.json")).expect("what is recorded is JSON");
    let script = |recorded: Recorded| Script {
        steps: match recorded.second_read_older_than_first {
            Some(_) => forty_writes_and_two_reads(),
            None => steps(&recorded.script),
        },
        service: recorded.service,
        what: recorded.what,
        runs: recorded.runs,
        answers: recorded.answers,
        second_read_older: recorded.second_read_older_than_first,
    };
    recorded.into_iter().map(script).collect()
}

fn steps(script: &RawValue) -> Vec<Step> {
    #[derive(serde::Deserialize)]
    struct Recorded<'a> {
        client: &'a str,
        #[serde(borrow)]
        op: Vec<&'a RawValue>,
    }
    let recorded: Vec<Recorded<'_>> = serde_json::from_str(script.get()).expect("a script");
    let step = |recorded: Recorded<'_>| {
        let kind = recorded.op[0].get();
        let names: &[&str] = match kind {
            r#""cas""# => &["key", "from", "to", "create_if_not_exists"],
            _ => &["key", "value"],
        };
        // Values stay text: a whole number may be larger than any integer type of Rust.
        let fields = names.iter().zip(&recorded.op[1..]);
        let fields: String = fields
            .map(|(name, value)| format!(r#","{name}":{value}"#))
            .collect();
        Step {
            client: recorded.client[1..].parse().expect("a number"),
            body: format!(r#"{{"type":{kind}{fields},"msg_id":1}}"#),
        }
    };
    recorded.into_iter().map(step).collect()
}

/// The one script that is recorded in words.
fn forty_writes_and_two_reads() -> Vec<Step> {
    let write = |value| Step {
        client: 1,
        body: json!({"type": "write", "key": "x", "value": value, "msg_id": 1}).to_string(),
    };
    let read = |_| Step {
        client: 2,
        body: json!({"type": "read", "key": "x", "msg_id": 1}).to_string(),
    };
    (0..40).map(write).chain((0..2).map(read)).collect()
}

impl Script {
    /// The replies of a fresh service to each step.
    fn run(&self, store: SequentialStore, seed: u64) -> Vec<Value> {
        let mut services = Services::new(store, Stream::Services.seeded(seed));
        let index = services.addresses().position(|name| name == self.service);
        let index = index.expect("a service");
        let mut answers = Vec::new();
        let mut out = Vec::new();
        for step in &self.steps {
            out.clear();
            let client = Endpoint::Node(step.client);
            let handled = services.handle(index, client, &step.body, &mut out);
            handled.expect("a request with a type");
            answers.push(serde_json::from_slice(&out).expect("JSON"));
        }
        answers
    }

    /// The replies in the form in which they are recorded.
    fn recorded(&self, answers: &[Value]) -> String {
        let label = |answer: &Value| {
            let kind = answer["type"].as_str().expect("a type");
            let details = ["code", "value", "ts"];
            match details.iter().find_map(|&name| answer.get(name)) {
                Some(detail) => format!("{kind} {detail}"),
                None => String::from(kind),
            }
        };
        match self.second_read_older {
            Some(_) => format!("first read: {}", label(&answers[40])),
            None => answers.iter().map(label).collect::<Vec<_>>().join(" | "),
        }
    }

    /// Compares a store with the recorded frequencies.
    #[track_caller]
    fn compare(&self, store: SequentialStore) {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let mut second_read_older = 0;
        for seed in 0..self.runs {
            let answers = self.run(store, seed);
            *counts.entry(self.recorded(&answers)).or_default() += 1;
            if let [.., first, second] = &*answers {
                second_read_older += u64::from(second["value"].as_u64() < first["value"].as_u64());
            }
        }
        let Script { service, what, .. } = self;
        let label = format!("{service} ({store:?}), {what}");
        let sequences: Vec<_> = counts.keys().collect();
        assert_eq!(
            sequences,
            self.answers.keys().collect::<Vec<_>>(),
            "{label}"
        );
        let counts: Vec<u64> = counts.into_values().collect();
        let recorded: Vec<u64> = self.answers.values().copied().collect();
        assert_alike(&counts, &recorded, &label);
        if let Some(recorded) = self.second_read_older {
            let with_rest = |count| [count, self.runs - count];
            assert_alike(&with_rest(second_read_older), &with_rest(recorded), &label);
        }
    }
}

/// The chi-square test of homogeneity: whether two samples of the same size may come from the same distribution.
#[track_caller]
fn assert_alike(one: &[u64], other: &[u64], label: &str) {
    let part = |(&one, &other): (&u64, &u64)| {
        let (one, other) = (one as f64, other as f64);
        (one - other).powi(2) / (one + other)
    };
    let statistic: f64 = one.iter().zip(other).map(part).sum();
    let freedom = one.len() - 1;
    let (_, critical) = CRITICAL_VALUES
        .into_iter()
        .find(|&(known, _)| known == freedom)
        .expect("a number of degrees that some script has");
    assert!(
        statistic <= critical,
        "{label}: {statistic} > {critical}\n{one:?}\n{other:?}"
    );
}

/// What the chi-square statistic exceeds with a probability of 0.1%, by degrees of freedom.
const CRITICAL_VALUES: [(usize, f64); 10] = [
    (0, 0.0),
    (1, 10.828),
    (2, 13.816),
    (3, 16.266),
    (5, 20.515),
    (6, 22.458),
    (9, 27.877),
    (11, 31.264),
    (14, 36.123),
    (31, 61.098),
];

#[test]
fn every_service_answers_as_upstream() {
    for script in scripts() {
        script.compare(SequentialStore::Maelstrom);
    }
}

#[test]
fn the_strict_store_is_upstreams_but_for_the_wrap() {
    let (wrapped, others): (Vec<_>, Vec<_>) = scripts()
        .into_iter()
        .filter(|script| script.service == "seq-kv")
        .partition(|script| script.second_read_older.is_some());
    assert!(!others.is_empty());
    for script in others {
        script.compare(SequentialStore::Strict);
    }
    for seed in 0..wrapped[0].runs {
        let answers = wrapped[0].run(SequentialStore::Strict, seed);
        let [.., first, second] = &*answers else {
            panic!("there are two reads");
        };
        assert!(
            second["value"].as_u64() >= first["value"].as_u64(),
            "{first:?} {second:?}"
        );
    }
}
