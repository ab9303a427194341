//! Short texts of operations and figures, for people.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::workbench::body::{BodyWriter, write_beginning};
use crate::workbench::check::Subject;
use crate::workbench::history::{Operation, Outcome};
use crate::workbench::workload::Workload;

/// The maximum length of a text, in characters. A reply may hold thousands of values.
const CHARS_MAX: usize = 160;

/// The part of a body that is written for a text, in bytes: enough for its type and as many characters, which are up to
/// four bytes each.
const BODY_BYTES_MAX: usize = 1024;

/// The number of neighbours to show on each side of an element.
const NEIGHBOURS: usize = 3;

/// A word for a command line, quoted if a shell would change it.
pub fn for_shell(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./=,:+@%".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        return String::from(word);
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The text of a request: `add {"delta":3}`.
pub fn call<W: Workload>(call: &W::Call) -> String {
    let mut body = Vec::new();
    let writer = BodyWriter::beginning(&mut body, W::request_kind(call), BODY_BYTES_MAX);
    drop(W::write_request(call, writer));
    body_words(&body)
}

/// The text of an outcome: `read_ok {"value":7}`.
pub fn outcome<W: Workload>(operation: &Operation<W::Call, W::Answer>) -> String {
    match &operation.outcome {
        Outcome::Ok(answer) => {
            let mut body = Vec::new();
            let answer = W::answer_body(&operation.call, answer);
            write_beginning(&mut body, &answer, BODY_BYTES_MAX);
            body_words(&body)
        }
        Outcome::Failed(why) => format!("failed, {}", clipped(why.as_bytes())),
        Outcome::Indeterminate(why) => format!("unknown, {}", clipped(why.as_bytes())),
    }
}

/// The text of an outcome. Of a long answer, it shows the part that is the subject of a finding, and what is next to it:
/// `read_ok {"value":[… 6, 8 …]}`, or `poll_ok {"msgs":{"7":[… [2,5], [3,4] …], …}}`.
pub fn outcome_around<W: Workload>(
    operation: &Operation<W::Call, W::Answer>,
    subject: &Subject,
) -> String {
    let Some(answer) = operation.outcome.answer() else {
        return outcome::<W>(operation);
    };
    let body = W::answer_body(&operation.call, answer);
    let body = serde_json::to_string(&body).expect("an answer can be written as JSON");
    let fields: BTreeMap<&str, &RawValue> =
        serde_json::from_str(&body).expect("an answer is an object, and its names need no escapes");
    let around = fields.into_iter().find_map(|(name, value)| {
        let around = match subject {
            Subject::Element(element) => {
                let list = serde_json::from_str(value.get()).ok()?;
                around_element(list, *element)
            }
            Subject::Log { key, offset } => {
                let logs = serde_json::from_str(value.get()).ok()?;
                around_offset(&logs, key, *offset)?
            }
        };
        Some((name, around))
    });
    match around {
        Some((name, around)) => {
            let (kind, _) = split_kind(body.as_bytes());
            format!("{kind} {{\"{name}\":{}}}", clipped(around.as_bytes()))
        }
        None => outcome::<W>(operation),
    }
}

/// The part of a list around an element. The list has numbers in ascending order, and then all other values.
fn around_element(list: Vec<&RawValue>, element: u64) -> String {
    let number = |value: &RawValue| value.get().parse::<u64>();
    let before =
        |end: u64| list.partition_point(|value| number(value).is_ok_and(|number| number < end));
    part(&list, before(element)..before(element.saturating_add(1)))
}

/// The part of one of several logs around an offset. The log is a list of offsets, each with a message, or one offset.
/// `None` if there is no such log.
fn around_offset(logs: &BTreeMap<String, &RawValue>, key: &str, offset: i64) -> Option<String> {
    let log = logs.get(key)?;
    let offset_of = |entry: &RawValue| {
        let entry: Result<(i64, &RawValue), _> = serde_json::from_str(entry.get());
        entry.map_or(i64::MIN, |(offset, _)| offset)
    };
    let log = match serde_json::from_str::<Vec<&RawValue>>(log.get()) {
        Ok(list) => {
            let at = list.iter().position(|entry| offset_of(entry) >= offset);
            let at = at.unwrap_or(list.len());
            part(&list, at..list.len().min(at + 1))
        }
        Err(_) => String::from(log.get()),
    };
    let more = if logs.len() > 1 { ", …" } else { "" };
    Some(format!("{{{}:{log}{more}}}", Value::from(key)))
}

/// The part of a list at these positions, and their neighbours.
fn part(list: &[&RawValue], at: Range<usize>) -> String {
    let from = at.start.saturating_sub(NEIGHBOURS);
    let to = list.len().min(at.end + NEIGHBOURS);
    let shown: Vec<&str> = list[from..to].iter().map(|value| value.get()).collect();
    let less = if from > 0 { "… " } else { "" };
    let more = if to < list.len() { " …" } else { "" };
    format!("[{less}{}{more}]", shown.join(", "))
}

/// The text of a body, or of the beginning of one: its type, then its other fields.
fn body_words(body: &[u8]) -> String {
    match split_kind(body) {
        (kind, [b'"', b',', fields @ ..]) => format!("{kind} {{{}", clipped(fields)),
        (kind, _) => kind.into_owned(),
    }
}

/// Splits a body after its type, which is the first field and has no escapes.
fn split_kind(body: &[u8]) -> (Cow<'_, str>, &[u8]) {
    let rest = body.strip_prefix(b"{\"type\":\"").unwrap_or(body);
    let end = rest.iter().position(|&byte| byte == b'"');
    let (kind, rest) = rest.split_at(end.unwrap_or(rest.len()));
    (String::from_utf8_lossy(kind), rest)
}

/// The names of the quantiles, which upstream names by their fractions.
const QUANTILES: [(&str, &str); 5] = [
    ("0", "min"),
    ("0.5", "median"),
    ("0.95", "p95"),
    ("0.99", "p99"),
    ("1", "max"),
];

/// The text of a figure: a fraction has up to four decimal places, and an object is a list of its named members.
pub fn figure(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| {
                let quantile = QUANTILES.iter().find(|(fraction, _)| fraction == name);
                match quantile {
                    Some((_, name)) => format!("{name} {}", figure(value)),
                    None => format!("{name}: {}", figure(value)),
                }
            });
            members.collect::<Vec<_>>().join(", ")
        }
        Value::Number(number) if number.is_f64() => {
            let rounded = format!("{:.4}", number.as_f64().unwrap_or_default());
            let digits = rounded.trim_end_matches('0');
            String::from(digits.trim_end_matches('.'))
        }
        value => value.to_string(),
    }
}

/// A number and what it counts, in the plural unless it is one: `1 run`, `2 runs`.
pub fn counted(number: usize, name: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {name}{plural}")
}

/// The beginning of a text, with an ellipsis if the text is longer.
pub fn clipped(text: &[u8]) -> String {
    clipped_to(text, CHARS_MAX)
}

/// The first `chars_max` characters of a text, with an ellipsis if there are more.
pub fn clipped_to(text: &[u8], chars_max: usize) -> String {
    // A character is up to four bytes.
    let text = &text[..text.len().min(4 * (chars_max + 1))];
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workbench::check::testing::operation;
    use crate::workbench::check::{counter, echo, kafka, set};
    use crate::workbench::json::Json;
    use crate::workbench::workload::{Echo, GCounter, GSet, Kafka};

    fn words(call: counter::Call, outcome: Outcome<counter::Answer>) -> String {
        super::outcome::<GCounter>(&operation(0, 0..1, call, outcome))
    }

    #[test]
    fn an_operation_is_written_as_on_the_wire() {
        use counter::{Answer, Call};
        assert_eq!(call::<GCounter>(&Call::Add(3)), r#"add {"delta":3}"#);
        assert_eq!(call::<GCounter>(&Call::Read), "read");
        assert_eq!(
            words(Call::Read, Outcome::Ok(Answer::Value(7))),
            r#"read_ok {"value":7}"#
        );
        assert_eq!(words(Call::Add(3), Outcome::Ok(Answer::Added)), "add_ok");
        assert_eq!(
            words(Call::Read, Outcome::Failed("no".into())),
            "failed, no"
        );
    }

    #[test]
    fn a_set_is_shown_around_the_element_in_question() {
        use set::{Answer, Call};
        let words = |elements: Vec<u64>, element| {
            let elements = serde_json::from_str(&json!(elements).to_string()).expect("a list");
            let outcome = Outcome::Ok(Answer::Elements(elements));
            let subject = Subject::Element(element);
            outcome_around::<GSet>(&operation(0, 0..1, Call::Read, outcome), &subject)
        };
        let without = (0..30_000).filter(|&element| element != 25_207);
        assert_eq!(
            words(without.collect(), 25_207),
            r#"read_ok {"value":[… 25204, 25205, 25206, 25208, 25209, 25210 …]}"#
        );
        assert_eq!(
            words((0..5).collect(), 1),
            r#"read_ok {"value":[0, 1, 2, 3, 4]}"#
        );
        assert_eq!(
            words(vec![1, 2, 3, 4, 4, 5], 4),
            r#"read_ok {"value":[1, 2, 3, 4, 4, 5]}"#
        );
        assert_eq!(words(vec![], 1), r#"read_ok {"value":[]}"#);
        let large = r#"[1, 1180591620717411303425, "x"]"#;
        let elements = serde_json::from_str(large).expect("a list");
        let outcome = Outcome::Ok(Answer::Elements(elements));
        let shown = outcome_around::<GSet>(
            &operation(0, 0..1, Call::Read, outcome),
            &Subject::Element(1),
        );
        assert_eq!(shown, format!(r#"read_ok {{"value":{large}}}"#));
    }

    #[test]
    fn a_poll_is_shown_around_the_offset_in_question() {
        use kafka::{AllMessages, Answer, Call};
        let entries: Vec<[u64; 2]> = (0..1000).map(|offset| [offset, offset + 1]).collect();
        let logs = json!({"11": entries, "12": entries, "7": []});
        let messages = AllMessages::default()
            .read(&serde_json::value::to_raw_value(&logs).expect("JSON"))
            .expect("logs");
        let words = |answer: Answer, key: &str, offset| {
            let key = String::from(key);
            let call = Call::Poll(BTreeMap::new());
            let operation = operation(0, 0..1, call, Outcome::Ok(answer));
            outcome_around::<Kafka>(&operation, &Subject::Log { key, offset })
        };
        assert_eq!(
            words(Answer::Messages(messages.clone()), "12", 900),
            r#"poll_ok {"msgs":{"12":[… [897,898], [898,899], [899,900], [900,901], [901,902], [902,903], [903,904] …], …}}"#
        );
        assert_eq!(
            words(Answer::Messages(messages), "7", 900),
            r#"poll_ok {"msgs":{"7":[], …}}"#
        );
        let offsets = BTreeMap::from([("12".into(), 5)]);
        assert_eq!(
            words(Answer::Offsets(offsets), "12", 9),
            r#"list_committed_offsets_ok {"offsets":{"12":5}}"#
        );
    }

    #[test]
    fn what_is_counted_is_in_the_plural_unless_it_is_one() {
        for (number, words) in [(0, "0 runs"), (1, "1 run"), (2, "2 runs"), (11, "11 runs")] {
            assert_eq!(counted(number, "run"), words);
        }
    }

    #[test]
    fn a_figure_has_the_digits_that_matter() {
        assert_eq!(figure(&json!(1.0)), "1");
        assert_eq!(figure(&json!(0.995_176_8)), "0.9952");
        let anomalies = json!({"G1a": 3, "lost-update": 1});
        assert_eq!(figure(&anomalies), "G1a: 3, lost-update: 1");
    }

    #[test]
    fn a_quantile_is_called_by_its_name() {
        let latencies = json!({"0": 0, "0.5": 239, "0.95": 370, "0.99": 375, "1": 379});
        let expected = "min 0, median 239, p95 370, p99 375, max 379";
        assert_eq!(figure(&latencies), expected);
    }

    #[test]
    fn a_long_body_is_cut_off_between_characters() {
        let payload = Json::from(json!(vec!["🌀"; 1_000_000]));
        let (asked, answer) = (echo::Call(payload.clone()), echo::Answer(payload));
        let asked_words = call::<Echo>(&asked);
        let answered_words = outcome::<Echo>(&operation(0, 0..1, asked, Outcome::Ok(answer)));
        for (kind, words) in [("echo", asked_words), ("echo_ok", answered_words)] {
            assert!(words.starts_with(&format!("{kind} {{\"echo\":[\"🌀\",")));
            assert_eq!(words.chars().count(), kind.len() + 2 + CHARS_MAX + 1);
            assert!(words.ends_with('…'));
        }
    }
}
