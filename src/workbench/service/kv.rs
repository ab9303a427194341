//! What the key-value services have in common: requests, keys, and when two values are the same.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Call;
use crate::protocol::{Error, ErrorCode, present};

/// The fields that any service's request may have. `null` is a value as any other.
#[derive(Deserialize)]
pub struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    key: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    from: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    to: Option<&'a RawValue>,
    create_if_not_exists: Option<bool>,
}

/// What a client asks of one key.
pub(super) enum Request<'a> {
    /// Its value.
    Read,
    /// To set it.
    Write { value: &'a RawValue },
    /// To set it if it is `from`.
    CompareAndSet {
        from: &'a RawValue,
        to: &'a RawValue,
        /// Also if there is none yet.
        create: bool,
    },
}

impl<'a> Request<'a> {
    /// The key and what is asked of it.
    pub(super) fn new(call: &Call<'a>) -> Result<(Cow<'a, str>, Self), Error> {
        let fields = call.fields;
        let request = match call.kind {
            "read" => Request::Read,
            "write" => Request::Write {
                value: needed(fields.value, "value")?,
            },
            "cas" => Request::CompareAndSet {
                // As upstream: who creates a key has nothing to compare with.
                from: fields.from.unwrap_or(RawValue::NULL),
                to: needed(fields.to, "to")?,
                create: fields.create_if_not_exists.unwrap_or(false),
            },
            other => {
                return Err(Error::new(
                    ErrorCode::NOT_SUPPORTED,
                    format!("this store knows read, write and cas, not {other:?}"),
                ));
            }
        };
        Ok((canonical(needed(fields.key, "key")?), request))
    }

    /// The value that the request sets, if it sets one.
    pub(super) fn sets(&self, current: Option<&RawValue>) -> Option<&'a RawValue> {
        match *self {
            Request::Read => None,
            Request::Write { value } => Some(value),
            Request::CompareAndSet { from, to, create } => current
                .map_or(create, |current| same(current, from))
                .then_some(to),
        }
    }

    /// The value that the request sets, if that is another one than before.
    pub(super) fn changes(&self, current: Option<&RawValue>) -> Option<&'a RawValue> {
        self.sets(current)
            .filter(|new| current.is_none_or(|current| !same(current, new)))
    }
}

fn needed<'a>(field: Option<&'a RawValue>, name: &str) -> Result<&'a RawValue, Error> {
    field.ok_or_else(|| Error::missing(name))
}

/// One text for every way to write the same JSON value.
fn canonical(key: &RawValue) -> Cow<'_, str> {
    let text = key.get();
    let is_plain_string = text.starts_with('"') && !text.contains('\\');
    if is_plain_string || text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Cow::Borrowed(text);
    }
    serde_json::from_str(text).map_or(Cow::Borrowed(text), |value: Value| {
        Cow::Owned(value.to_string())
    })
}

/// Values are looked into so deep; deeper ones are the same only if they are written the same. As deep as serde_json goes.
const DEPTH_MAX: u32 = 127;

/// Whether two texts are the same JSON value. The order of an object's keys says nothing; 1 and 1.0 differ.
pub(super) fn same(one: &RawValue, other: &RawValue) -> bool {
    if one.get() == other.get() {
        return true;
    }
    let can_be_the_same = !(has_one_spelling(one) && has_one_spelling(other));
    can_be_the_same && same_to_depth(one, other, DEPTH_MAX).unwrap_or(false)
}

/// Whether the value certainly has no other text than this one, as lists of whole numbers and of plain strings: there
/// is no space, no escape, no object, no fraction and no exponent. Most values that are compared are such, and differ.
fn has_one_spelling(value: &RawValue) -> bool {
    value.get().bytes().all(|byte| {
        matches!(byte, b'0'..=b'9' | b'a'..=b'd' | b'f'..=b'z' | b'"' | b'-' | b',' | b'[' | b']')
    })
}

/// The same, up to the first difference: most values that are compared have changed. `None` where it can't be told,
/// because they are nested too deep, or no string or number is what a text says.
fn same_to_depth(one: &RawValue, other: &RawValue, depth: u32) -> Option<bool> {
    let (one, other) = (one.get(), other.get());
    if one == other {
        return Some(true);
    }
    let depth = depth.checked_sub(1)?;
    let are_same =
        |(one, other): (&&RawValue, &&RawValue)| same_to_depth(one, other, depth).unwrap_or(false);
    Some(match (one.as_bytes()[0], other.as_bytes()[0]) {
        (b'[', b'[') => {
            let one: Vec<&RawValue> = serde_json::from_str(one).ok()?;
            let other: Vec<&RawValue> = serde_json::from_str(other).ok()?;
            one.len() == other.len() && one.iter().zip(&other).all(are_same)
        }
        (b'{', b'{') => {
            let one: BTreeMap<Cow<str>, &RawValue> = serde_json::from_str(one).ok()?;
            let other: BTreeMap<Cow<str>, &RawValue> = serde_json::from_str(other).ok()?;
            one.keys().eq(other.keys()) && one.values().zip(other.values()).all(are_same)
        }
        (b'[' | b'{', _) | (_, b'[' | b'{') => false,
        _ => {
            let one: Value = serde_json::from_str(one).ok()?;
            one == serde_json::from_str::<Value>(other).ok()?
        }
    })
}

/// A key as it is kept.
pub(super) type Key = String;

/// A value as it is kept.
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
        assert!(same(raw("10.0"), raw("1e1")));
        assert!(same(raw(r#""10""#), raw(r#""\u00310""#)));
        assert!(!same(raw("1"), raw("1.0")));
        assert!(!same(raw("10"), raw("11")));
        assert!(!same(raw(r#"[1,"n0"]"#), raw(r#"[1,"n1"]"#)));
        assert!(!same(raw("[1,2]"), raw("[2,1]")));
        assert!(!same(raw("null"), raw("false")));
        assert!(!same(raw("[1]"), raw("[1,2]")));
        assert!(!same(raw(r#"{"a":1}"#), raw(r#"{"b":1}"#)));
        assert!(!same(raw("[]"), raw("{}")));
    }

    #[test]
    fn what_is_no_value_is_the_same_only_if_written_the_same() {
        for (one, other) in [(r#""\ud800""#, r#""\ud801""#), ("1e999", "2e999")] {
            assert!(same(raw(one), raw(one)));
            assert!(!same(raw(one), raw(other)));
            assert!(!same(raw(&format!("[{one}]")), raw(&format!("[{other}]"))));
        }
    }

    #[test]
    fn values_that_are_nested_too_deep_to_be_looked_into_are_the_same_if_written_the_same() {
        let nested = |value: &str| format!("{}{value}{}", "[".repeat(100_000), "]".repeat(100_000));
        let (one, other) = (nested("1"), nested(" 1"));
        assert!(same(raw(&one), raw(&one)));
        assert!(!same(raw(&one), raw(&other)));
    }

    #[test]
    fn a_key_is_the_same_however_it_is_written() {
        assert_eq!(canonical(raw(r#""\u0061""#)), canonical(raw(r#""a""#)));
        assert_eq!(canonical(raw("[1, 2]")), canonical(raw("[1,2]")));
        assert_ne!(canonical(raw("1")), canonical(raw(r#""1""#)));
    }
}
