use alloc::{borrow::ToOwned, collections::BTreeMap, format, string::String, vec::Vec};

use serde::de::Error as _;
use serde_json::value::RawValue;

use crate::protocol::{Encode, Error, Text};

/// The deepest nesting of a value that is compared with others: 64.
pub(crate) const JSON_DEPTH_MAX: usize = 64;

/// The canonical form of a value, which is the same for all texts of that value: no spaces, keys in order, strings with
/// the fewest escapes, whole numbers as digits.
///
/// Values are compared by it. Comparing their texts would not do: Maelstrom parses each message and writes it anew, which
/// may change the order of an object's keys. Numbers of any size differ if their digits do; `1` and `1.0` differ, as they
/// do to Maelstrom.
///
/// # Errors
///
/// When the value is nested deeper than [`JSON_DEPTH_MAX`], or holds a string that is not Unicode.
pub(crate) fn canonical(value: &RawValue) -> Result<String, serde_json::Error> {
    let mut out = Vec::with_capacity(value.get().len());
    encode(value, 0, &mut out)?;
    Ok(String::from_utf8(out).expect("made of strings"))
}

/// The canonical form of the key of a request.
pub(super) fn canonical_key(key: &RawValue) -> Result<String, Error> {
    canonical(key).map_err(|error| Error::malformed(format!("key: {error}")))
}

fn encode(value: &RawValue, depth: usize, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    if depth > JSON_DEPTH_MAX {
        let text = format!("nested deeper than {JSON_DEPTH_MAX}");
        return Err(serde_json::Error::custom(text));
    }
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
            let mut separator = b'{';
            for (name, value) in &fields {
                out.push(separator);
                name.encode(out);
                out.push(b':');
                encode(value, depth + 1, out)?;
                separator = b',';
            }
            out.extend_from_slice(if fields.is_empty() { b"{}" } else { b"}" });
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            let mut separator = b'[';
            for item in &items {
                out.push(separator);
                encode(item, depth + 1, out)?;
                separator = b',';
            }
            out.extend_from_slice(if items.is_empty() { b"[]" } else { b"]" });
        }
        Some(b'"') => serde_json::from_str::<Text>(text)?.0.encode(out),
        Some(b'-' | b'0'..=b'9') => out.extend_from_slice(number(text).as_bytes()),
        _ => out.extend_from_slice(text.as_bytes()),
    }
    Ok(())
}

/// The elements of a list of any JSON.
///
/// # Errors
///
/// When it is no list.
pub(super) fn list(list: &RawValue) -> Result<Vec<&RawValue>, Error> {
    serde_json::from_str(list.get())
        .map_err(|error| Error::malformed(format!("not a list: {error}")))
}

fn number(text: &str) -> String {
    let is_whole = !text.contains(['.', 'e', 'E']);
    match text.parse::<f64>() {
        // The sum of the two zeros is the positive one: to Maelstrom, 0.0 and -0.0 are the same.
        Ok(number) if !is_whole && number.is_finite() => format!("{:?}", number + 0.0),
        _ if text == "-0" => "0".into(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        canonical(serde_json::from_str(text).expect("JSON")).expect("shallow")
    }

    #[test]
    fn texts_of_the_same_value_are_the_same() {
        assert_eq!(of(r#"{"b": [1, 2], "a": {}}"#), of(r#"{"a":{},"b":[1,2]}"#));
        assert_eq!(of(r#""\u0041\/""#), of(r#""A/""#));
        assert_eq!(of("1.50"), of("15e-1"));
        assert_eq!(of("-0"), of("0"));
        assert_eq!(of("-0.0"), of("0.0"));
    }

    #[test]
    fn other_values_have_other_texts() {
        let values = [
            "0",
            "\"0\"",
            "0.0",
            "null",
            "\"null\"",
            "[]",
            "{}",
            "[[]]",
            "[0]",
            "{\"0\":0}",
            "false",
            "\"\"",
            "36893488147419103232",
            "36893488147419103233",
            "1e999",
            "2e999",
        ];
        for (index, value) in values.iter().enumerate() {
            for other in &values[..index] {
                assert_ne!(of(value), of(other));
            }
        }
    }

    #[test]
    fn a_value_that_is_nested_too_deep_is_refused() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        let canonical_of = |text: &str| canonical(serde_json::from_str(text).expect("JSON"));
        assert!(canonical_of(&nested(JSON_DEPTH_MAX)).is_ok());
        assert!(canonical_of(&nested(100_000)).is_err());
    }
}
