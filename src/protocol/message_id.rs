use alloc::vec::Vec;

use serde::de::{Error, Unexpected};
use serde_json::value::RawValue;

use super::Encode;

/// The id of a message, as its sender wrote it: the JSON of a number or a string.
///
/// Maelstrom numbers requests from 1 up; other clients may use any number or string. A reply gives the id back
/// unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageId<'a>(pub(crate) &'a [u8]);

impl<'a> MessageId<'a> {
    /// The id as a whole number of 64 bits, if it is one, as all ids are that this crate's nodes give out.
    pub fn number(self) -> Option<i64> {
        str::from_utf8(self.0).ok()?.parse().ok()
    }

    /// Reads an id from its JSON; `null` is none.
    pub(super) fn from_json<E: Error>(json: &'a RawValue) -> Result<Option<Self>, E> {
        let text = json.get().as_bytes();
        match text[0] {
            b'n' => Ok(None),
            b'-' | b'"' | b'0'..=b'9' => Ok(Some(MessageId(text))),
            _ => Err(E::invalid_type(
                Unexpected::Other(json.get()),
                &"a number or a string",
            )),
        }
    }
}

impl Encode for MessageId<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }
}

/// A code of any whole number, however it is written: `11`, `11.0`. What is beyond 53 bits is taken for a number nearby, of
/// 64 bits at most: no such code has a meaning.
pub(super) fn code<E: Error>(number: f64) -> Result<i64, E> {
    match number as i64 as f64 == number || number.abs() >= i64::MAX as f64 {
        true => Ok(number as i64),
        false => Err(E::invalid_value(
            Unexpected::Float(number),
            &"a whole number",
        )),
    }
}

#[cfg(test)]
mod tests {
    use crate::protocol::Message;
    use serde::de::IgnoredAny;

    #[test]
    fn a_code_is_a_whole_number_however_it_is_written() {
        for (json, code) in [
            ("11", Some(11)),
            ("11.0", Some(11)),
            ("-3", Some(-3)),
            ("9223372036854775808", Some(i64::MAX)),
            ("1180591620717411303425", Some(i64::MAX)),
            ("null", None),
        ] {
            let line = alloc::format!(r#"{{"src":"c1","body":{{"code":{json}}}}}"#);
            let message = Message::<IgnoredAny>::parse(&line).expect("a message");
            assert_eq!(message.body.code, code);
        }
        for json in ["1.5", "\"11\"", "true"] {
            let line = alloc::format!(r#"{{"src":"c1","body":{{"code":{json}}}}}"#);
            assert!(Message::<IgnoredAny>::parse(&line).is_err(), "{json}");
        }
    }
}
