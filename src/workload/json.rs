use alloc::{borrow::ToOwned, collections::BTreeMap, format, string::String, vec::Vec};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::protocol::{Array, Error, Object, Raw, Text, to_json};

/// The deepest nesting of a value that is compared with others: 64.
pub(crate) const JSON_DEPTH_MAX: usize = 64;

/// The canonical form of a value, which is the same for all texts of that value: no spaces, keys in order, strings with
/// the fewest escapes, whole numbers as digits.
///
/// Values are compared by it. Comparing their texts would not do: Maelstrom parses each message and writes it anew, which
/// may change the order of an object's keys. Numbers of any size differ if their digits do; `1` and `1.0` differ, as they
/// do to Maelstrom. Fails when the value is nested deeper than [`JSON_DEPTH_MAX`], or holds a string that is not Unicode.
pub(crate) fn canonical(value: &RawValue) -> Result<String, Error> {
    canonical_at(0, value)
}

fn canonical_at(depth: usize, value: &RawValue) -> Result<String, Error> {
    if depth > JSON_DEPTH_MAX {
        let text = format!("a value is nested deeper than {JSON_DEPTH_MAX}");
        return Err(Error::malformed(text));
    }
    let inner = |value| canonical_at(depth + 1, value).map(Raw);
    let text = value.get();
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let fields: BTreeMap<String, &RawValue> = parse(value, "an object")?;
            let fields = fields.into_iter();
            let fields = fields.map(|(name, value)| Ok((name, inner(value)?)));
            let fields: BTreeMap<_, _> = fields.collect::<Result<_, Error>>()?;
            to_json(&Object(fields.iter()))
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = parse(value, "a list")?;
            let items = items.into_iter().map(inner);
            let items: Vec<_> = items.collect::<Result<_, _>>()?;
            to_json(&Array(items.iter()))
        }
        Some(b'"') => to_json(&parse::<Text>(value, "a string")?.0),
        Some(b'-' | b'0'..=b'9') => number(text),
        _ => text.to_owned(),
    })
}

/// Decodes a value, which has to be `what`.
pub(super) fn parse<'a, T: Deserialize<'a>>(value: &'a RawValue, what: &str) -> Result<T, Error> {
    serde_json::from_str(value.get())
        .map_err(|error| Error::malformed(format!("not {what}: {error}")))
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
        let values = r#"0 "0" 0.0 null "null" [] {} [[]] [0] {"0":0} false ""
            36893488147419103232 36893488147419103233 1e999 2e999"#;
        let values: Vec<&str> = values.split_whitespace().collect();
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
