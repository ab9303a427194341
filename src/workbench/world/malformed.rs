//! Explains what is wrong with a message that can't be read: serde reports what it expected, but not in which field.

use serde_json::{Map, Value};

use super::violations::shown;
use crate::workbench::json::is_whole_number;

/// The expected type of a field, and a test for it.
type Form = (&'static str, fn(&Value) -> bool);

const TEXT: Form = ("a string", Value::is_string);
const OBJECT: Form = ("an object", Value::is_object);
const WHOLE_NUMBER: Form = ("a whole number", |value| {
    is_whole_number(&value.to_string())
});

/// The fields that a message needs.
const NEEDED: [(&str, Form); 3] = [("src", TEXT), ("dest", TEXT), ("body", OBJECT)];

/// The field that a message may have.
const OPTIONAL: [(&str, Form); 1] = [("id", WHOLE_NUMBER)];

/// The field of a message that is wrong, if the message is an object.
pub(super) fn wrong_field(message: &str) -> Option<String> {
    let message: Map<String, Value> = serde_json::from_str(message).ok()?;
    let is_undeclared = |name: &&String| {
        let mut declared = NEEDED.iter().chain(&OPTIONAL);
        !declared.any(|(other, _)| other == name)
    };
    let undeclared = || {
        let name = message.keys().find(is_undeclared)?;
        Some(format!(
            "it has a field {name:?}, and Maelstrom refuses messages with fields that are not declared"
        ))
    };
    missing(&message, &NEEDED)
        .or_else(|| misformed(&message, &NEEDED))
        .or_else(|| misformed(&message, &OPTIONAL))
        .or_else(undeclared)
}

/// What is wrong with the type of a request to a service.
pub(super) fn wrong_field_of_body(body: &str) -> Option<String> {
    let body: Map<String, Value> = serde_json::from_str(body).ok()?;
    let fields = [("type", TEXT)];
    missing(&body, &fields).or_else(|| misformed(&body, &fields))
}

fn missing(object: &Map<String, Value>, fields: &[(&str, Form)]) -> Option<String> {
    let (name, _) = fields
        .iter()
        .find(|(name, _)| !object.contains_key(*name))?;
    Some(format!("it has no {name}"))
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
            (
                r#"{"id":null,"src":"n0","dest":"n1","body":{}}"#,
                Some("its id is null, not a whole number"),
            ),
            (
                r#"{"id":1.5,"src":"n0","dest":"n1","body":{}}"#,
                Some("its id is 1.5, not a whole number"),
            ),
            (
                r#"{"src":"n0","dest":"n1","body":{},"to":"n1"}"#,
                Some(
                    r#"it has a field "to", and Maelstrom refuses messages with fields that are not declared"#,
                ),
            ),
            (r#"{"id":7,"src":"n0","dest":"n1","body":{}}"#, None),
            ("[1]", None),
            ("hello", None),
        ] {
            assert_eq!(wrong_field(message).as_deref(), expected, "{message}");
        }
        for (body, expected) in [
            (r#"{"type":5}"#, Some("its type is 5, not a string")),
            ("{}", Some("it has no type")),
            (r#"{"type":"a"}"#, None),
        ] {
            assert_eq!(wrong_field_of_body(body).as_deref(), expected, "{body}");
        }
    }
}
