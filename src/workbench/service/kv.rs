//! The common parts of the key-value services: requests, keys, and the comparison of values.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::Call;
use crate::protocol::{Error, ErrorCode};
use crate::workload::json::canonical;

/// A request on one key.
pub(super) enum Request<'a> {
    /// Returns the value.
    Read,
    /// Sets the value.
    Write { value: &'a RawValue },
    /// Sets the value to `to` if it is `from`.
    CompareAndSet {
        from: &'a RawValue,
        to: &'a RawValue,
        /// Also sets it if the key does not exist.
        create: bool,
    },
}

impl<'a> Request<'a> {
    /// The key and the request on it. As upstream, a missing field is `null`, and `null` is a key and a value like any
    /// other.
    pub(super) fn new(call: &Call<'a>) -> Result<(Cow<'a, str>, Self), Error> {
        let body = call.body;
        let or_null = |field: Option<&'a RawValue>| field.unwrap_or(RawValue::NULL);
        let request = match &*body.kind {
            "read" => Request::Read,
            "write" => Request::Write {
                value: or_null(body.value),
            },
            "cas" => Request::CompareAndSet {
                from: or_null(body.from),
                to: or_null(body.to),
                // As upstream, every value but false and null counts as true.
                create: (body.create_if_not_exists).is_some_and(|create| create.get() != "false"),
            },
            other => {
                return Err(Error::new(
                    ErrorCode::NOT_SUPPORTED,
                    format!("this store knows read, write and cas, not {other:?}"),
                ));
            }
        };
        Ok((text_of(or_null(body.key)), request))
    }

    /// The value that the request would set, if any.
    pub(super) fn sets(&self, current: Option<&RawValue>) -> Option<&'a RawValue> {
        match *self {
            Request::Read => None,
            Request::Write { value } => Some(value),
            Request::CompareAndSet { from, to, create } => current
                .map_or(create, |current| same(current, from))
                .then_some(to),
        }
    }

    /// The value that the request sets, if it differs from `current`.
    pub(super) fn changes(&self, current: Option<&RawValue>) -> Option<&'a RawValue> {
        self.sets(current)
            .filter(|new| current.is_none_or(|current| !same(current, new)))
    }
}

/// Whether two texts are the same JSON value by upstream's comparison.
pub(super) fn same(one: &RawValue, other: &RawValue) -> bool {
    one.get() == other.get() || text_of(one) == text_of(other)
}

/// A canonical text: equal for all texts of the same value. A value that is nested too deep, or that has a lone
/// surrogate and so is not Unicode text, equals only an identical text.
pub(super) fn text_of(value: &RawValue) -> Cow<'_, str> {
    let text = value.get();
    if has_one_text(text) {
        return Cow::Borrowed(text);
    }
    canonical(value).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Whether the text is certainly the only one for its value, as most compared values are: plain strings and whole
/// numbers, and lists of those. It has no space, escape, object, sign, fraction or exponent.
fn has_one_text(text: &str) -> bool {
    let is_plain_string = text.starts_with('"') && !text.contains('\\');
    let is_plain =
        |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'd' | b'f'..=b'z' | b'"' | b',' | b'[' | b']');
    is_plain_string || text.bytes().all(is_plain)
}

/// A key as the store holds it.
pub(super) type Key = String;

/// A value as the store holds it.
pub(super) fn kept(value: &RawValue) -> Box<RawValue> {
    value.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn values_are_compared_as_json_and_not_as_text() {
        assert!(same(
            raw(r#"{"a":1,"b":[2]}"#),
            raw(r#"{"b": [2], "a": 1}"#)
        ));
        assert!(same(raw(r#""a""#), raw(r#""\u0061""#)));
        assert!(same(raw(r#""10""#), raw(r#""\u00310""#)));
        assert!(!same(raw(r#"[1,"n0"]"#), raw(r#"[1,"n1"]"#)));
        assert!(!same(raw("[1,2]"), raw("[2,1]")));
        assert!(!same(raw("null"), raw("false")));
        assert!(!same(raw("[1]"), raw("[1,2]")));
        assert!(!same(raw(r#"{"a":1}"#), raw(r#"{"b":1}"#)));
        assert!(!same(raw("[]"), raw("{}")));
    }

    #[test]
    fn whole_numbers_are_exact_and_others_are_doubles() {
        for (one, other, are_same) in [
            ("10", "11", false),
            ("0", "-0", true),
            ("1180591620717411303424", "1180591620717411303425", false),
            ("9007199254740992", "9007199254740993", false),
            ("1", "1.0", false),
            ("10", "1e1", false),
            ("10.0", "1e1", true),
            ("1.5", "15E-1", true),
            ("0.1", "0.10000000000000001", true),
            ("0.0", "-0.0", true),
        ] {
            assert_eq!(same(raw(one), raw(other)), are_same, "{one} {other}");
            let nested = |number: &str| format!(r#"{{"a": [ {number} ]}}"#);
            let (nested, other_nested) = (nested(one), nested(other));
            let are_same_nested = same(raw(&nested), raw(&other_nested));
            assert_eq!(are_same_nested, are_same, "{nested} {other_nested}");
        }
    }

    #[test]
    fn strings_that_are_not_unicode_are_equal_only_if_written_the_same() {
        for (one, other) in [
            (r#""\ud800""#, r#""\ud801""#),
            (r#"{"\ud800":1}"#, r#"{"\ud801":1}"#),
        ] {
            assert!(same(raw(one), raw(one)));
            assert!(!same(raw(one), raw(other)));
            assert!(!same(raw(&format!("[{one}]")), raw(&format!("[{other}]"))));
        }
    }

    #[test]
    fn values_that_are_nested_too_deep_to_parse_are_equal_only_if_written_the_same() {
        let nested = |value: &str| format!("{}{value}{}", "[".repeat(100_000), "]".repeat(100_000));
        let (one, other) = (nested("1"), nested(" 1"));
        assert!(same(raw(&one), raw(&one)));
        assert!(!same(raw(&one), raw(&other)));
    }

    #[test]
    fn a_key_is_the_same_however_it_is_written() {
        assert_eq!(text_of(raw(r#""\u0061""#)), text_of(raw(r#""a""#)));
        assert_eq!(text_of(raw("[1, 2]")), text_of(raw("[1,2]")));
        assert_eq!(
            text_of(raw(r#"["\u200b", "E"]"#)),
            text_of(raw("[\"\u{200b}\",\"E\"]"))
        );
        assert_ne!(text_of(raw("1")), text_of(raw(r#""1""#)));
    }
}
