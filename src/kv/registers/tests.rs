use alloc::{collections::BTreeMap, format, vec, vec::Vec};

use serde_json::{Value, json};

use super::*;
use crate::node::Outbox;

/// A list that only grows. No number is in it twice, so its last one shows that it was added.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
struct List(Vec<u64>);

impl Register for List {
    fn decode(&mut self, json: &str) -> Result<(), serde_json::Error> {
        self.0 = serde_json::from_str(json)?;
        Ok(())
    }

    fn version(&self) -> u64 {
        self.0.len() as u64
    }

    fn shows(&self, wanted: &Self) -> bool {
        wanted.0.last().is_some_and(|last| self.0.contains(last))
    }
}

impl Encode for List {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.as_slice().encode(out);
    }
}

/// One register, and what is sent to its store.
struct Engine {
    registers: Registers<List, &'static str>,
    list: RegisterId,
    outbox: Outbox,
    now: Duration,
}

/// A message to the store: its id, and its body without that.
#[derive(Clone, PartialEq, Debug)]
struct Sent {
    id: i64,
    body: Value,
}

impl Engine {
    /// Nothing is known and nothing is under way.
    fn new() -> Self {
        let mut random = Random::new(1);
        let mut registers = Registers::new("lin-kv", &Limits::default(), &mut random);
        Engine {
            list: registers.open(&"k", "list"),
            registers,
            outbox: Outbox::of_n0(),
            now: Duration::ZERO,
        }
    }

    fn read(&mut self) {
        let mut context = self.outbox.at(self.now);
        self.registers.read(self.list, &mut context);
    }

    fn change(&mut self, edit: impl FnOnce(&mut List)) {
        let mut context = self.outbox.at(self.now);
        self.registers.change(self.list, edit, &mut context);
    }

    fn add(&mut self, number: u64) {
        self.change(|list| list.0.push(number));
    }

    fn wake_at(&mut self, now: Duration) {
        self.now = now;
        self.registers.wake(&mut self.outbox.at(now));
    }

    /// A read is under way.
    fn reading() -> Self {
        let mut engine = Self::new();
        engine.read();
        engine
    }

    /// The register is known to hold these numbers.
    fn knows(numbers: &[u64]) -> Self {
        let mut engine = Self::reading();
        engine.answer_next(&read_ok(numbers));
        engine
    }

    /// The cas from `[1]` to `[1,2]` is under way.
    fn casing() -> Self {
        let mut engine = Self::knows(&[1]);
        engine.add(2);
        engine
    }

    /// The same change, which was sent, without a reply in time, so the register is being read.
    fn in_doubt() -> (Self, Sent) {
        let mut engine = Self::casing();
        let change = engine.sent_one();
        engine.wait();
        (engine, change)
    }

    /// A write that is sent once is under way.
    fn writing_once() -> Self {
        let mut engine = Self::new();
        let mut context = engine.outbox.at(engine.now);
        let request = engine
            .registers
            .ask_once(engine.list, "write", &mut context);
        drop(request.field("value", [9u64]));
        engine
    }

    /// The store answers. The result is how the operation has ended with that.
    fn answer(&mut self, request: &Sent, body: &str) -> Option<Outcome> {
        let body = format!(r#"{body},"in_reply_to":{}"#, request.id);
        let line = format!(r#"{{"src":"lin-kv","dest":"n0","body":{{{body}}}}}"#);
        let reply = Message::<BTreeMap<String, &RawValue>>::parse(&line).expect("a message");
        let value = reply.body.fields.get("value").copied();
        let mut context = self.outbox.at(self.now);
        let done = self.registers.on_reply(&reply, value, &mut context)?;
        assert_eq!((done.register, done.name), (self.list, "list"));
        Some(done.outcome)
    }

    /// Lets time pass until something is sent again, and gives how much.
    fn wait(&mut self) -> Duration {
        let before = self.now;
        while self.outbox.is_empty() {
            self.wake_at(self.registers.deadline().expect("something is under way"));
        }
        self.now - before
    }

    /// What has been sent since the last call.
    fn sent(&mut self) -> Vec<Sent> {
        let output = self.outbox.take_output();
        let sent = output.lines().map(|line| {
            let mut body = serde_json::from_str::<Value>(line).expect("JSON")["body"].take();
            let id = body["msg_id"].take().as_i64().expect("an id");
            Sent { id, body }
        });
        sent.collect()
    }

    /// The only message that has been sent since.
    fn sent_one(&mut self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    /// The store answers the only message that has been sent since.
    fn answer_next(&mut self, body: &str) -> Sent {
        let sent = self.sent_one();
        self.answer(&sent, body);
        sent
    }

    /// The states of the operations under way.
    fn states(&self) -> Vec<State> {
        let copy = &self.registers.copies[self.list.0];
        let ids = [copy.read, copy.change].into_iter().flatten();
        let operations = ids.filter_map(|id| self.registers.operations.get(id));
        operations.map(|operation| operation.state).collect()
    }

    fn known(&self) -> Option<&[u64]> {
        Some(&self.registers.known(self.list)?.0)
    }
}

const CAS_OK: &str = r#""type":"cas_ok""#;
const WRITE_OK: &str = r#""type":"write_ok""#;
const UNEXPECTED: &str = r#""type":"read_ok","value":"x""#;

fn read_ok(numbers: &[u64]) -> String {
    format!(r#""type":"read_ok","value":{numbers:?}"#)
}

fn error(code: i64) -> String {
    format!(r#""type":"error","code":{code}"#)
}

#[test]
fn each_answer_leads_to_the_next_state() {
    use Outcome::{Applied, Lost, Read, Refused, Unexpected};
    use State::{Casing, Done, Reading};
    let refused = |code| Done(Refused(ErrorCode(code)));
    let reading: fn() -> Engine = Engine::reading;
    // A change from [1] to [1,2], and the same in doubt.
    let casing: fn() -> Engine = Engine::casing;
    let in_doubt: fn() -> Engine = || Engine::in_doubt().0;
    let writing_once: fn() -> Engine = Engine::writing_once;
    for (engine, answer, next, sends) in [
        (reading, read_ok(&[1, 2]), Done(Read), None),
        (reading, error(20), Done(Read), None),
        (reading, UNEXPECTED.into(), Done(Unexpected), None),
        (reading, error(11), Reading, None),
        (reading, error(22), Reading, None),
        (reading, CAS_OK.into(), Reading, None),
        (casing, CAS_OK.into(), Done(Applied), None),
        (casing, error(22), Reading, Some("read")),
        (casing, error(20), Reading, Some("read")),
        (casing, error(11), Casing, None),
        (casing, error(13), Casing, None),
        (casing, read_ok(&[1, 2]), Casing, None),
        (casing, WRITE_OK.into(), Casing, None),
        (in_doubt, read_ok(&[1, 2]), Done(Applied), None),
        (in_doubt, read_ok(&[1, 2, 3]), Done(Applied), None),
        (in_doubt, read_ok(&[1, 3]), Done(Lost), None),
        (in_doubt, read_ok(&[1]), Casing, Some("cas")),
        (in_doubt, error(20), Casing, Some("cas")),
        (in_doubt, UNEXPECTED.into(), Done(Unexpected), None),
        (in_doubt, error(11), Reading, None),
        (in_doubt, CAS_OK.into(), Reading, None),
        (writing_once, WRITE_OK.into(), Done(Applied), None),
        (writing_once, error(22), refused(22), None),
        (writing_once, error(20), refused(20), None),
        (writing_once, error(0), refused(0), None),
        (writing_once, read_ok(&[9]), Casing, None),
    ] {
        let mut engine = engine();
        let context = format!("{:?}, {answer}", engine.states());
        let request = engine.sent_one();
        let outcome = engine.answer(&request, &answer);
        let expected = match next {
            Done(outcome) => (Some(outcome), vec![]),
            state => (None, vec![state]),
        };
        assert_eq!((outcome, engine.states()), expected, "{context}");
        let is_idle = engine.registers.is_idle(engine.list);
        assert_eq!(is_idle, outcome.is_some(), "{context}");
        let kinds = engine.sent();
        let kinds = kinds.iter().map(|sent| &sent.body["type"]);
        assert!(kinds.eq(sends), "{context}");
    }
}

#[test]
fn a_change_without_a_reply_is_resolved_by_reading_and_sent_again_unchanged_whatever_else_is_known()
{
    let (mut engine, first) = Engine::in_doubt();
    let resolving = engine.sent_one();
    assert_eq!(resolving.body["type"], "read");
    engine.wait();
    assert_eq!(engine.sent_one().body, resolving.body);
    // A read of its own tells of a newer value before an older one comes.
    engine.read();
    engine.answer_next(&read_ok(&[1, 3, 4]));
    engine.answer(&resolving, &read_ok(&[1]));
    assert_eq!(engine.sent_one().body, first.body);
    assert_eq!(engine.known(), Some(&[1, 3, 4][..]));
}

#[test]
fn a_late_cas_ok_ends_a_change_that_is_being_resolved_by_reading() {
    let (mut engine, first) = Engine::in_doubt();
    let read = engine.sent_one();
    assert_eq!(engine.answer(&first, CAS_OK), Some(Outcome::Applied));
    assert!(engine.registers.is_idle(engine.list));
    assert_eq!(engine.known(), Some(&[1, 2][..]));
    // It may have been replaced meanwhile.
    assert_eq!(engine.registers.known_at(engine.list), Duration::ZERO);
    assert_eq!(engine.answer(&first, CAS_OK), None);
    assert_eq!(engine.answer(&read, &read_ok(&[1])), None);
    assert_eq!(engine.sent(), []);
}

#[test]
fn a_cas_ok_that_is_later_still_ends_a_change_that_is_being_resolved_for_the_second_time() {
    let (mut engine, first) = Engine::in_doubt();
    engine.answer_next(&read_ok(&[1]));
    assert_eq!(engine.states(), [State::Casing]);
    engine.sent();
    engine.wait();
    assert_eq!(engine.states(), [State::Reading]);
    assert_eq!(engine.answer(&first, CAS_OK), Some(Outcome::Applied));
}

#[test]
fn any_other_reply_to_what_was_sent_in_an_earlier_state_changes_nothing() {
    let (mut engine, first) = Engine::in_doubt();
    let read = engine.sent_one();
    for body in [error(22), error(20), read_ok(&[1, 2])] {
        assert_eq!(engine.answer(&first, &body), None);
        assert_eq!(engine.states(), [State::Reading]);
    }
    engine.answer(&read, &read_ok(&[1]));
    let second = engine.sent_one();
    for body in [CAS_OK, &error(22), &error(20)] {
        assert_eq!(engine.answer(&first, body), None);
    }
    for body in [CAS_OK, &read_ok(&[1, 3])] {
        assert_eq!(engine.answer(&read, body), None);
    }
    assert_eq!(engine.states(), [State::Casing]);
    assert_eq!(engine.sent(), []);
    assert_eq!(engine.answer(&second, CAS_OK), Some(Outcome::Applied));
    assert_eq!(engine.answer(&second, CAS_OK), None, "doubled");
}

#[test]
fn a_reply_to_what_was_never_sent_changes_nothing() {
    for mut engine in [
        Engine::reading(),
        Engine::casing(),
        Engine::in_doubt().0,
        Engine::writing_once(),
    ] {
        let states = engine.states();
        let sent = engine.sent_one();
        for id in [0, sent.id - 1, sent.id + 1, -sent.id, i64::MIN] {
            let never = Sent { id, ..sent.clone() };
            for body in [CAS_OK, &error(22), &error(20), &read_ok(&[1, 2])] {
                assert_eq!(engine.answer(&never, body), None, "{id}: {body}");
            }
        }
        assert_eq!(engine.states(), states);
        assert_eq!(engine.sent(), []);
    }
}

#[test]
fn a_node_never_goes_back_to_an_older_value() {
    for answer in [read_ok(&[1]), error(20)] {
        let mut engine = Engine::knows(&[1, 2]);
        engine.read();
        engine.answer_next(&answer);
        assert_eq!(engine.known(), Some(&[1, 2][..]));
    }
}

#[test]
fn a_refusal_by_a_store_that_then_tells_an_older_value_is_looked_into_again_after_a_round_trip() {
    let mut engine = Engine::casing();
    let ms = Duration::from_millis;
    engine.now += ms(2);
    engine.answer_next(&error(22));
    engine.now += ms(2);
    let read = engine.answer_next(&read_ok(&[1]));
    assert_eq!(engine.states(), [State::Reading]);
    let pause = engine.wait();
    assert!((ms(1)..ms(4)).contains(&pause), "{pause:?}");
    assert_eq!(engine.sent_one().body, read.body);
}

#[test]
fn a_store_that_refuses_a_change_and_knows_no_reason_is_asked_less_and_less() {
    let mut engine = Engine::casing();
    let mut asked = 0;
    while engine.now < Duration::from_secs(1) {
        for request in engine.sent() {
            asked += 1;
            let code = if request.body["type"] == "cas" {
                22
            } else {
                20
            };
            engine.answer(&request, &error(code));
        }
        assert!(asked < 60, "{asked} in {:?}", engine.now);
        engine.wait();
    }
}

#[test]
fn a_register_that_is_not_there_is_made_by_its_first_change() {
    let mut engine = Engine::new();
    engine.registers.assume_missing(engine.list);
    engine.add(1);
    let creates = json!({"type": "cas", "key": "k", "msg_id": null,
        "from": [], "to": [1], "create_if_not_exists": true});
    assert_eq!(engine.answer_next(CAS_OK).body, creates);
    engine.add(2);
    let changes = json!({"type": "cas", "key": "k", "msg_id": null, "from": [1], "to": [1, 2]});
    assert_eq!(engine.sent_one().body, changes);
}

#[test]
fn a_register_has_one_read_at_a_time() {
    let mut engine = Engine::reading();
    engine.read();
    engine.sent_one();
}

#[test]
fn a_refusal_that_comes_twice_makes_one_pause_and_ends_a_silence() {
    let mut engine = Engine::with_fast_store();
    engine.read();
    let waits = [(); 3].map(|()| {
        engine.sent();
        engine.wait()
    });
    assert!(waits[2] > waits[0] * 2, "{waits:?}");
    for pause_ms in [1, 2, 4] {
        let read = engine.sent_one();
        for _ in 0..2 {
            engine.answer(&read, &error(11));
        }
        let pause = engine.wait();
        assert!(pause < Duration::from_millis(pause_ms) * 5 / 4, "{pause:?}");
    }
    engine.sent();
    let wait = engine.wait();
    assert!(wait < waits[0] * 3 / 2, "{wait:?}, {waits:?}");
}

impl Engine {
    /// Reads the register from a store that takes `store_ms`. Returns how many requests that took.
    fn read_slowly(&mut self, store_ms: u64) -> usize {
        self.read();
        let mut sent = self.sent();
        let replied_at = self.now + Duration::from_millis(store_ms);
        while let Some(deadline) = self.registers.deadline().filter(|at| *at < replied_at) {
            self.wake_at(deadline);
            sent.extend(self.sent());
        }
        self.now = replied_at;
        self.answer(&sent[0], &error(20));
        sent.len()
    }

    /// The store has long been fast.
    fn with_fast_store() -> Self {
        let mut engine = Self::new();
        for _ in 0..100 {
            engine.read_slowly(1);
        }
        engine
    }
}

#[test]
fn a_lost_request_is_sent_again_after_the_time_that_replies_took() {
    let mut engine = Engine::new();
    for lost_count in [1, 3, 1] {
        for _ in 0..10 {
            assert_eq!(engine.read_slowly(10), 1);
        }
        engine.read();
        engine.sent();
        let waited = engine.wait();
        assert!(waited < Duration::from_millis(50), "{waited:?}");
        for _ in 1..lost_count {
            engine.sent();
            engine.wait();
        }
        let read = engine.sent_one();
        engine.now += Duration::from_millis(10);
        engine.answer(&read, &error(20));
    }
}

#[test]
fn a_store_that_becomes_slow_is_soon_asked_once_again() {
    for store_ms in [30, 50, 200, 900] {
        let mut engine = Engine::with_fast_store();
        let counts = [(); 10].map(|()| engine.read_slowly(store_ms));
        assert!(counts[0] > 1, "{store_ms} ms: {counts:?}");
        assert_eq!(counts[2..], [1; 8], "{store_ms} ms: {counts:?}");
    }
}

#[test]
fn a_reply_to_any_copy_of_a_request_is_taken_and_its_value_is_no_newer_than_that_copy() {
    for (copy, known_since) in [(0, 0), (1, 0), (2, 2)] {
        let mut engine = Engine::with_fast_store();
        engine.read();
        let copies = [(); 3].map(|()| {
            engine.wait();
            (engine.now, engine.sent_one())
        });
        engine.now += Duration::from_millis(1);
        let outcome = engine.answer(&copies[copy].1, &read_ok(&[1]));
        assert_eq!(outcome, Some(Outcome::Read));
        let known_at = engine.registers.known_at(engine.list);
        assert_eq!(known_at, copies[known_since].0, "copy {copy}");
        for (_, request) in &copies {
            assert_eq!(engine.answer(request, &error(20)), None);
        }
    }
}

#[test]
#[should_panic(expected = "every change makes the version higher")]
fn a_change_that_leaves_the_version_as_it_is_is_a_bug() {
    Engine::knows(&[1]).change(|_| {});
}
