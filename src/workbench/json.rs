//! JSON values in the form in which they are compared.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::protocol::Text;
use crate::workload::json::{JSON_DEPTH_MAX, canonical};

/// Any JSON value.
///
/// Two of them are equal if Maelstrom takes them for equal: whole numbers are exact whatever their size, `1.0` is not
/// `1`, and neither the order of an object's members nor the way in which a string is escaped makes a difference.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Json {
    /// `null`.
    Null,
    /// A whole number of 64 bits.
    Whole(i64),
    /// A list.
    List(Box<[Json]>),
    /// The canonical text of any other value.
    Text(Box<str>),
}

impl Json {
    /// The value of a text.
    pub fn read(value: &RawValue) -> Self {
        Self::read_nested(value, 0)
    }

    fn read_nested(value: &RawValue, depth: usize) -> Self {
        let text = value.get();
        if let Ok(number) = text.parse() {
            return Json::Whole(number);
        }
        if text == "null" {
            return Json::Null;
        }
        if text.starts_with('[') && depth < JSON_DEPTH_MAX {
            let items: Vec<&RawValue> = serde_json::from_str(text).expect("it was parsed before");
            let items = items.into_iter();
            return Json::List(
                items
                    .map(|item| Self::read_nested(item, depth + 1))
                    .collect(),
            );
        }
        // What is nested too deep is equal only to what is written the same.
        let canonical = canonical(value).unwrap_or_else(|_| String::from(text));
        Json::Text(canonical.into())
    }

    /// The items of a list, if it is one.
    pub fn as_list(&self) -> Option<&[Json]> {
        match self {
            Json::List(items) => Some(items),
            Json::Null | Json::Whole(_) | Json::Text(_) => None,
        }
    }

    /// The whole number from 0 up that a string holds, if it is such a string.
    pub fn number_in_string(&self) -> Option<u64> {
        let Json::Text(text) = self else {
            return None;
        };
        text.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        match i64::try_from(number) {
            Ok(number) => Json::Whole(number),
            Err(_) => Json::Text(number.to_string().into()),
        }
    }
}

/// A string.
impl From<&str> for Json {
    fn from(string: &str) -> Self {
        let value = serde_json::value::to_raw_value(string);
        Json::read(&value.expect("a string can be written as JSON"))
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Whole(number) => number.fmt(f),
            Json::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    f.write_str(if index > 0 { "," } else { "" })?;
                    item.fmt(f)?;
                }
                f.write_str("]")
            }
            Json::Text(text) => f.write_str(text),
        }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Whole(number) => serializer.serialize_i64(*number),
            Json::List(items) => items.serialize(serializer),
            Json::Text(text) => {
                let value: &RawValue =
                    serde_json::from_str(text).expect("the text of a value is JSON");
                value.serialize(serializer)
            }
        }
    }
}

/// From text only.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(Json::read)
    }
}

/// The members of an object, with the text of each value.
#[derive(Default)]
pub struct Members<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The value of a member, if the object has it. If it has two of that name the last one counts, as upstream.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        let mut members = self.0.iter().rev();
        members.find_map(|(other, value)| (other == name).then_some(*value))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::with_capacity(4);
                while let Some((Text(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        Json::read(&serde_json::value::to_raw_value(&value).expect("JSON"))
    }
}

/// Whether a text is that of a whole number: upstream takes those for whole that have no fraction and no exponent.
pub fn is_whole_number(json: &str) -> bool {
    let digits = json.strip_prefix('-').unwrap_or(json);
    digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads a list, of which `null` is the empty one: Go writes an empty slice like that.
///
/// # Errors
///
/// When it is neither.
pub fn list_or_null<'de, D: Deserializer<'de>, L: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<L, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Json {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn whole_numbers_of_any_size_are_exact() {
        assert_ne!(read("1"), read("1.0"));
        assert_ne!(read("9007199254740992"), read("9007199254740993"));
        assert_ne!(
            read("1180591620717411303424"),
            read("1180591620717411303425")
        );
        assert_eq!(read("18446744073709551615"), Json::from(u64::MAX));
        assert_eq!(read("-0"), read("0"));
        assert_eq!(
            read(r#"{"a":[1,2],"b":"A"}"#),
            read(r#"{ "b": "\u0041", "a": [1, 2] }"#)
        );
        assert_eq!(read("\"a\\/b\""), Json::from("a/b"));
    }

    #[test]
    fn a_list_is_as_deep_as_it_is_written() {
        let mut items = read("[[ 7, [] ]]");
        assert_eq!(items, read("[[7,[]]]"));
        let mut depth = 0;
        while let Some([item, ..]) = items.as_list() {
            (items, depth) = (item.clone(), depth + 1);
        }
        assert_eq!((items, depth), (read("7"), 2));
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let deep: &RawValue = serde_json::from_str(&deep).expect("JSON");
        assert_eq!(Json::read(deep), Json::read(deep));
    }

    #[test]
    fn a_value_is_shown_as_it_is_written() {
        for text in [
            "null",
            "-7",
            "1.0",
            "1180591620717411303425",
            r#"{"a":[1.5,"b"]}"#,
            r#"[1,[],{"a":[]},[1180591620717411303425]]"#,
        ] {
            let value = read(text);
            assert_eq!(value.to_string(), text);
            assert_eq!(serde_json::to_string(&value).expect("JSON"), text);
        }
    }
}
