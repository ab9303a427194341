//! What is wrong with a message that can't be read, for a person. serde says what it expected, but not in which field.

use serde_json::{Map, Value};

use super::violations::shown;

/// What a field has to be, and whether a value is.
type Form = (&'static str, fn(&Value) -> bool);

const TEXT: Form = ("a string", Value::is_string);
const TEXT_OR_NULL: Form = ("a string", |value| value.is_null() || value.is_string());
const NUMBER_OR_NULL: Form = ("a whole number below 2^63", |value| {
    value.is_null() || value.is_i64()
});
const OBJECT: Form = ("an object", Value::is_object);

/// The fields of a message, all of which it needs.
const MESSAGE: [(&str, Form); 3] = [("src", TEXT), ("dest", TEXT), ("body", OBJECT)];

/// The fields of a body that clients and services know by their form.
const BODY: [(&str, Form); 5] = [
    ("type", TEXT),
    ("msg_id", NUMBER_OR_NULL),
    ("in_reply_to", NUMBER_OR_NULL),
    ("code", NUMBER_OR_NULL),
    ("text", TEXT_OR_NULL),
];

/// Which field of a message is wrong, if it is an object at all.
pub(super) fn wrong_field(message: &str) -> Option<String> {
    let message: Map<String, Value> = serde_json::from_str(message).ok()?;
    let is_missing = |name: &&str| !message.contains_key(*name);
    let missing = MESSAGE.iter().map(|(name, _)| *name).find(is_missing);
    missing
        .map(|name| format!("it has no {name}"))
        .or_else(|| misformed(&message, &MESSAGE))
}

/// Which field of a body is wrong.
pub(super) fn wrong_field_of_body(body: &str) -> Option<String> {
    misformed(&serde_json::from_str(body).ok()?, &BODY)
}

fn misformed(object: &Map<String, Value>, fields: &[(&str, Form)]) -> Option<String> {
    fields.iter().find_map(|(name, (form, has_form))| {
        let value = object.get(*name).filter(|value| !has_form(value))?;
        Some(format!(
            "its {name} is {}, not {form}",
            shown(&value.to_string())
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wrong_field_is_named() {
        for (message, expected) in [
            (
                r#"{"src":null,"dest":"n1","body":{}}"#,
                Some("its src is null, not a string"),
            ),
            (r#"{"src":"n0"}"#, Some("it has no dest")),
            (
                r#"{"src":"n0","dest":"n1","body":[]}"#,
                Some("its body is [], not an object"),
            ),
            (r#"{"src":"n0","dest":"n1","body":{}}"#, None),
            ("[1]", None),
            ("hello", None),
        ] {
            assert_eq!(wrong_field(message).as_deref(), expected, "{message}");
        }
        for (body, expected) in [
            (r#"{"type":5}"#, Some("its type is 5, not a string")),
            (
                r#"{"type":"a","msg_id":null,"in_reply_to":"1"}"#,
                Some(r#"its in_reply_to is "1", not a whole number below 2^63"#),
            ),
            (r#"{"type":"a","code":null,"text":null}"#, None),
        ] {
            assert_eq!(wrong_field_of_body(body).as_deref(), expected, "{body}");
        }
    }
}
