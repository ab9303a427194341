use alloc::{format, vec, vec::Vec};

use serde::Deserialize;
use serde::de::IgnoredAny;

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

/// What the messages of the store hold.
#[derive(Default, Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

/// One register, and what is sent to its store.
struct Engine {
    registers: Registers<List, &'static str>,
    list: RegisterId,
    outbox: Outbox,
    now: Duration,
}

/// A message to the store.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Sent {
    kind: String,
    id: i64,
    line: String,
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
        let read = engine.sent().remove(0);
        engine.answer(&read, &format!(r#""type":"read_ok","value":{numbers:?}"#));
        engine
    }

    /// The cas from `[1]` to `[1,2]` is under way.
    fn casing() -> Self {
        let mut engine = Self::knows(&[1]);
        engine.add(2);
        engine
    }

    /// The same change without a reply in time, so the register is being read.
    fn in_doubt() -> Self {
        let mut engine = Self::casing();
        engine.sent();
        engine.wait();
        engine
    }

    /// The same, with what was sent: the change, and the read.
    fn in_doubt_with_requests() -> (Self, Sent, Sent) {
        let mut engine = Self::casing();
        let change = engine.sent().remove(0);
        engine.wait();
        let read = engine.sent().remove(0);
        (engine, change, read)
    }

    /// A write that is sent once is under way.
    fn writing_once() -> Self {
        let mut engine = Self::new();
        let value = List(vec![9]);
        let mut context = engine.outbox.at(engine.now);
        engine
            .registers
            .write_once(engine.list, &value, &mut context);
        engine
    }

    fn answer(&mut self, request: &Sent, body: &str) -> Option<Done<&'static str>> {
        let body = format!(r#"{body},"in_reply_to":{}"#, request.id);
        let line = format!(r#"{{"src":"lin-kv","dest":"n0","body":{{{body}}}}}"#);
        let reply = Message::<Fields>::parse(&line).expect("a message");
        let value = reply.body.fields.value;
        let mut context = self.outbox.at(self.now);
        self.registers.on_reply(&reply, value, &mut context)
    }

    /// Lets time pass until something is sent again.
    fn wait(&mut self) {
        while self.outbox.is_empty() {
            self.wake_at(self.registers.deadline().expect("something is under way"));
        }
    }

    /// What has been sent since the last call.
    fn sent(&mut self) -> Vec<Sent> {
        let output = self.outbox.take_output();
        let sent = output.lines().map(|line| {
            let message = Message::<IgnoredAny>::parse(line).expect("a message");
            Sent {
                kind: message.body.kind.into(),
                id: message
                    .body
                    .msg_id
                    .and_then(|id| id.number())
                    .expect("an id"),
                line: line.into(),
            }
        });
        sent.collect()
    }

    /// The states of the operations under way.
    fn states(&self) -> Vec<State> {
        let Registers {
            copies, operations, ..
        } = &self.registers;
        let copies = copies.iter().flat_map(|(_, copy)| [copy.read, copy.change]);
        let states = copies.flatten().filter_map(|id| operations.get(id));
        states.map(|operation| operation.state).collect()
    }

    fn known(&self) -> Option<&[u64]> {
        Some(&self.registers.known(self.list)?.0)
    }
}

/// A message without its id.
fn content(sent: &Sent) -> String {
    sent.line.replace(&format!("{}", sent.id), "")
}

const CAS_OK: &str = r#""type":"cas_ok""#;
const REFUSED: &str = r#""type":"error","code":22"#;
const MISSING: &str = r#""type":"error","code":20"#;

#[test]
fn each_answer_leads_to_the_next_state() {
    use Outcome::{Applied, Lost, Read, Refused, Unexpected};
    use State::{Casing, Done, Reading};
    let refused = |code| Done(Refused(ErrorCode(code)));
    let read_ok = |value| format!(r#""type":"read_ok","value":{value}"#);
    let error = |code| format!(r#""type":"error","code":{code}"#);
    let plain = |kind| format!(r#""type":"{kind}""#);
    for (engine, answer, next, sends) in [
        // A read.
        (
            Engine::reading as fn() -> Engine,
            read_ok("[1,2]"),
            Done(Read),
            None,
        ),
        (Engine::reading, error(20), Done(Read), None),
        (Engine::reading, read_ok("\"x\""), Done(Unexpected), None),
        (Engine::reading, error(11), Reading, None),
        (Engine::reading, error(22), Reading, None),
        (Engine::reading, plain("cas_ok"), Reading, None),
        // A change from [1] to [1,2].
        (Engine::casing, plain("cas_ok"), Done(Applied), None),
        (Engine::casing, error(22), Reading, Some("read")),
        (Engine::casing, error(20), Reading, Some("read")),
        (Engine::casing, error(11), Casing, None),
        (Engine::casing, error(13), Casing, None),
        (Engine::casing, read_ok("[1,2]"), Casing, None),
        (Engine::casing, plain("write_ok"), Casing, None),
        // The same change, in doubt.
        (Engine::in_doubt, read_ok("[1,2]"), Done(Applied), None),
        (Engine::in_doubt, read_ok("[1,2,3]"), Done(Applied), None),
        (Engine::in_doubt, read_ok("[1,3]"), Done(Lost), None),
        (Engine::in_doubt, read_ok("[1]"), Casing, Some("cas")),
        (Engine::in_doubt, error(20), Casing, Some("cas")),
        (Engine::in_doubt, read_ok("\"x\""), Done(Unexpected), None),
        (Engine::in_doubt, error(11), Reading, None),
        (Engine::in_doubt, plain("cas_ok"), Reading, None),
        // A write that is sent once.
        (Engine::writing_once, plain("write_ok"), Done(Applied), None),
        (Engine::writing_once, error(22), refused(22), None),
        (Engine::writing_once, error(20), refused(20), None),
        (Engine::writing_once, error(0), refused(0), None),
        (Engine::writing_once, read_ok("[9]"), Casing, None),
    ] {
        let mut engine = engine();
        let before = engine.states();
        let request = engine.sent().pop().expect("it is under way");
        let done = engine.answer(&request, &answer);
        let context = format!("{before:?}, {answer}");
        match next {
            Done(outcome) => {
                let done = done.expect("it has ended");
                assert_eq!((done.name, done.outcome), ("list", outcome), "{context}");
                assert_eq!(engine.states(), [], "{context}");
                assert!(engine.registers.is_idle(engine.list), "{context}");
            }
            state => {
                assert_eq!(done, None, "{context}");
                assert_eq!(engine.states(), [state], "{context}");
            }
        }
        let sent = engine.sent();
        let kinds: Vec<&str> = sent.iter().map(|sent| &*sent.kind).collect();
        assert_eq!(kinds, Vec::from_iter(sends), "{context}");
    }
}

#[test]
fn a_change_without_a_reply_is_resolved_by_reading_and_sent_again_unchanged_whatever_else_is_known()
{
    let mut engine = Engine::casing();
    let first = engine.sent();
    engine.wait();
    let resolving = engine.sent();
    assert_eq!((resolving.len(), &*resolving[0].kind), (1, "read"));
    engine.wait();
    let repeated = engine.sent();
    assert_eq!(repeated.len(), 1, "the read is repeated");
    assert_eq!(content(&repeated[0]), content(&resolving[0]));
    // A read of its own tells of a newer value before an older one comes.
    engine.read();
    let read = engine.sent().remove(0);
    engine.answer(&read, r#""type":"read_ok","value":[1,3,4]"#);
    engine.answer(&resolving[0], r#""type":"read_ok","value":[1]"#);
    let second = engine.sent();
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_eq!(content(&first[0]), content(&second[0]));
    assert_eq!(engine.known(), Some(&[1, 3, 4][..]));
}

#[test]
fn a_late_cas_ok_ends_a_change_that_is_being_resolved_by_reading() {
    let (mut engine, first, read) = Engine::in_doubt_with_requests();
    let done = engine.answer(&first, CAS_OK);
    assert_eq!(done.map(|done| done.outcome), Some(Outcome::Applied));
    assert!(engine.registers.is_idle(engine.list));
    assert_eq!(engine.known(), Some(&[1, 2][..]));
    assert_eq!(
        engine.registers.known_at(engine.list),
        Duration::ZERO,
        "it may have been replaced meanwhile"
    );
    for (request, body) in [(&first, CAS_OK), (&read, r#""type":"read_ok","value":[1]"#)] {
        assert_eq!(engine.answer(request, body), None);
    }
    assert_eq!(engine.sent(), []);
}

#[test]
fn a_cas_ok_that_is_later_still_ends_a_change_that_is_being_resolved_for_the_second_time() {
    let (mut engine, first, read) = Engine::in_doubt_with_requests();
    engine.answer(&read, r#""type":"read_ok","value":[1]"#);
    engine.wait();
    assert_eq!(engine.states(), [State::Casing]);
    engine.sent();
    engine.wait();
    assert_eq!(engine.states(), [State::Reading]);
    let done = engine.answer(&first, CAS_OK);
    assert_eq!(done.map(|done| done.outcome), Some(Outcome::Applied));
}

#[test]
fn any_other_reply_to_what_was_sent_in_an_earlier_state_changes_nothing() {
    let (mut engine, first, read) = Engine::in_doubt_with_requests();
    for body in [REFUSED, MISSING, r#""type":"read_ok","value":[1,2]"#] {
        assert_eq!(engine.answer(&first, body), None);
        assert_eq!(engine.states(), [State::Reading]);
    }
    engine.answer(&read, r#""type":"read_ok","value":[1]"#);
    let second = engine.sent().remove(0);
    for body in [CAS_OK, REFUSED, MISSING] {
        assert_eq!(engine.answer(&first, body), None);
    }
    for body in [CAS_OK, r#""type":"read_ok","value":[1,3]"#] {
        assert_eq!(engine.answer(&read, body), None);
    }
    assert_eq!(engine.states(), [State::Casing]);
    assert_eq!(engine.sent(), []);
    let done = engine.answer(&second, CAS_OK);
    assert_eq!(done.map(|done| done.outcome), Some(Outcome::Applied));
    assert_eq!(engine.answer(&second, CAS_OK), None, "doubled");
}

#[test]
fn a_reply_to_what_was_never_sent_changes_nothing() {
    for engine in [
        Engine::reading as fn() -> Engine,
        Engine::casing,
        Engine::in_doubt,
        Engine::writing_once,
    ] {
        let mut engine = engine();
        let states = engine.states();
        let sent = engine.sent().pop().expect("it is under way");
        for id in [0, sent.id - 1, sent.id + 1, -sent.id, i64::MIN] {
            let never = Sent { id, ..sent.clone() };
            for body in [
                CAS_OK,
                REFUSED,
                MISSING,
                r#""type":"read_ok","value":[1,2]"#,
            ] {
                assert_eq!(engine.answer(&never, body), None, "{id}: {body}");
            }
        }
        assert_eq!(engine.states(), states);
        assert_eq!(engine.sent(), []);
    }
}

#[test]
fn a_node_never_goes_back_to_an_older_value() {
    for answer in [r#""type":"read_ok","value":[1]"#, MISSING] {
        let mut engine = Engine::knows(&[1, 2]);
        engine.read();
        let read = engine.sent().remove(0);
        engine.answer(&read, answer);
        assert_eq!(engine.known(), Some(&[1, 2][..]));
    }
}

#[test]
fn a_refusal_by_a_store_that_then_tells_an_older_value_is_looked_into_again_after_a_round_trip() {
    let mut engine = Engine::casing();
    let ms = Duration::from_millis;
    engine.now += ms(2);
    let cas = engine.sent().remove(0);
    engine.answer(&cas, REFUSED);
    engine.now += ms(2);
    let read = engine.sent().remove(0);
    engine.answer(&read, r#""type":"read_ok","value":[1]"#);
    assert_eq!(engine.states(), [State::Reading]);
    let again_at = engine.registers.deadline().expect("it asks again");
    let pause = again_at - engine.now;
    assert!((ms(1)..ms(4)).contains(&pause), "{pause:?}");
    engine.wait();
    assert_eq!(content(&engine.sent()[0]), content(&read));
}

#[test]
fn a_store_that_refuses_a_change_and_knows_no_reason_is_asked_less_and_less() {
    let mut engine = Engine::casing();
    let mut asked = 0;
    while engine.now < Duration::from_secs(1) {
        let sent = engine.sent();
        asked += sent.len();
        for request in sent {
            let answer = if request.kind == "cas" {
                REFUSED
            } else {
                MISSING
            };
            engine.answer(&request, answer);
        }
        assert!(asked < 60, "{asked} in {:?}", engine.now);
        engine.wait();
    }
}

#[test]
fn a_value_is_as_new_as_the_request_that_told_of_it() {
    let mut engine = Engine::new();
    engine.now = Duration::from_secs(1);
    engine.read();
    let read = engine.sent().remove(0);
    engine.now = Duration::from_secs(5);
    engine.answer(&read, r#""type":"read_ok","value":[1]"#);
    let known_at = engine.registers.known_at(engine.list);
    assert_eq!(known_at, Duration::from_secs(1));
}

#[test]
fn a_register_that_is_not_there_is_made_by_its_first_change() {
    let mut engine = Engine::new();
    engine.registers.assume_missing(engine.list);
    engine.add(1);
    let cas = engine.sent().remove(0);
    let creates = r#""from":[],"to":[1],"create_if_not_exists":true"#;
    assert!(cas.line.contains(creates), "{cas:?}");
    engine.answer(&cas, CAS_OK);
    engine.add(2);
    let cas = engine.sent().remove(0);
    assert!(!cas.line.contains("create_if_not_exists"), "{cas:?}");
}

#[test]
fn a_register_has_one_read_at_a_time() {
    let mut engine = Engine::reading();
    engine.read();
    assert_eq!(engine.sent().len(), 1);
}

#[test]
fn a_store_that_refuses_is_asked_again_sooner_than_one_that_is_silent() {
    let mut engine = Engine::reading();
    let read = engine.sent().remove(0);
    let silent = engine.registers.deadline().expect("it waits");
    engine.answer(&read, r#""type":"error","code":11"#);
    engine.wait();
    assert!(engine.now * 5 < silent, "{:?}", engine.now);
    assert_eq!(content(&engine.sent()[0]), content(&read));
}

#[test]
fn a_refusal_that_comes_twice_makes_one_pause_and_ends_a_silence() {
    let mut engine = with_fast_store();
    engine.read();
    let mut waits = Vec::new();
    for _ in 0..3 {
        engine.sent();
        let sent_at = engine.now;
        engine.wait();
        waits.push(engine.now - sent_at);
    }
    assert!(waits[2] > waits[0] * 2, "{waits:?}");
    for pause_ms in [1, 2, 4] {
        let read = engine.sent().remove(0);
        let refused_at = engine.now;
        for _ in 0..2 {
            engine.answer(&read, r#""type":"error","code":11"#);
        }
        engine.wait();
        let pause = engine.now - refused_at;
        assert!(pause < Duration::from_millis(pause_ms) * 5 / 4, "{pause:?}");
    }
    engine.sent();
    let sent_at = engine.now;
    engine.wait();
    let wait = engine.now - sent_at;
    assert!(wait < waits[0] * 3 / 2, "{wait:?}, {waits:?}");
}

/// Reads the register from a store that takes `store_ms`. Returns how many requests that took.
fn read_slowly(engine: &mut Engine, store_ms: u64) -> usize {
    engine.read();
    let sent = engine.sent();
    let replied_at = engine.now + Duration::from_millis(store_ms);
    let mut count = sent.len();
    while let Some(deadline) = engine.registers.deadline().filter(|at| *at < replied_at) {
        engine.wake_at(deadline);
        count += engine.sent().len();
    }
    engine.now = replied_at;
    engine.answer(&sent[0], MISSING);
    count
}

#[test]
fn a_lost_request_is_sent_again_after_the_time_that_replies_took() {
    let mut engine = Engine::new();
    for lost_count in [1, 3, 1] {
        for _ in 0..10 {
            assert_eq!(read_slowly(&mut engine, 10), 1);
        }
        let sent_at = engine.now;
        engine.read();
        engine.wait();
        let waited = engine.now - sent_at;
        assert!(waited < Duration::from_millis(50), "{waited:?}");
        for _ in 1..lost_count {
            engine.wait();
        }
        let read = engine.sent().pop().expect("it is sent again");
        engine.now += Duration::from_millis(10);
        engine.answer(&read, MISSING);
    }
}

/// An engine whose store has long been fast.
fn with_fast_store() -> Engine {
    let mut engine = Engine::new();
    for _ in 0..100 {
        read_slowly(&mut engine, 1);
    }
    engine
}

#[test]
fn a_store_that_becomes_slow_is_soon_asked_once_again() {
    for store_ms in [30, 50, 200, 900] {
        let mut engine = with_fast_store();
        let counts: Vec<_> = (0..10)
            .map(|_| read_slowly(&mut engine, store_ms))
            .collect();
        assert!(counts[0] > 1, "{store_ms} ms: {counts:?}");
        assert_eq!(counts[2..], [1; 8], "{store_ms} ms: {counts:?}");
    }
}

#[test]
fn a_reply_to_any_copy_of_a_request_is_taken_and_its_value_is_no_newer_than_that_copy() {
    for (copy, known_since) in [(0, 0), (1, 0), (2, 2)] {
        let mut engine = with_fast_store();
        engine.read();
        let mut sent_at = vec![engine.now];
        let mut sent = engine.sent();
        while sent.len() < 3 {
            engine.wait();
            sent_at.push(engine.now);
            sent.extend(engine.sent());
        }
        engine.now += Duration::from_millis(1);
        let done = engine.answer(&sent[copy], r#""type":"read_ok","value":[1]"#);
        assert_eq!(done.map(|done| done.outcome), Some(Outcome::Read));
        let known_at = engine.registers.known_at(engine.list);
        assert_eq!(known_at, sent_at[known_since], "copy {copy}");
        for request in &sent {
            assert_eq!(engine.answer(request, MISSING), None);
        }
    }
}

#[test]
fn a_read_by_a_store_slower_than_the_rpc_timeout_ends_with_the_reply_to_its_first_request() {
    let mut engine = with_fast_store();
    assert!(read_slowly(&mut engine, 5000) > 3);
    assert!(engine.registers.is_idle(engine.list));
}

#[test]
#[should_panic(expected = "every change makes the version higher")]
fn a_change_that_leaves_the_version_as_it_is_is_a_bug() {
    Engine::knows(&[1]).change(|_| {});
}
