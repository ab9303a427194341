//! What Maelstrom takes for a message although it is no JSON to the letter.
//!
//! Its parser, Cheshire on Jackson, reads the first value of a line and ignores what follows it, takes the last of two fields
//! of the same name, and lets strings hold control characters as they are.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::violations::ProtocolViolation;
use crate::protocol::{Object, to_json};
use crate::workbench::json::Members;

/// A message that is no JSON to the letter.
pub(super) struct Lenient {
    /// What kind of violation it is.
    pub(super) violation: ProtocolViolation,
    /// The message that Maelstrom takes it for, as JSON to the letter.
    pub(super) message: String,
    /// What is odd about it, in words that follow "printed".
    pub(super) oddity: String,
    /// What Maelstrom makes of that.
    pub(super) made_of_it: &'static str,
}

impl Lenient {
    /// Reads a line. None if there is nothing to be lenient about, or if Maelstrom can't read it either.
    pub(super) fn read(line: &str) -> Option<Self> {
        let escaped = escape_control_characters(line);
        let mut json = serde_json::Deserializer::from_str(&escaped);
        let Members(members) = Members::deserialize(&mut json).ok()?;
        let mut fields = BTreeMap::new();
        let mut twice = None;
        for (name, value) in &members {
            if fields.insert(&**name, *value).is_some() {
                twice = Some(name);
            }
        }
        let (violation, oddity, made_of_it) = if json.end().is_err() {
            (
                ProtocolViolation::PrintedSeveral,
                String::from("more than a message on a line"),
                "Maelstrom passes the message on and drops what follows it. Write each message together with its newline, \
                 so that nothing gets between them.",
            )
        } else if let Some(name) = twice {
            (
                ProtocolViolation::PrintedOddly,
                format!("a message with two fields {name:?}"),
                "Maelstrom takes the last one.",
            )
        } else if escaped != line {
            (
                ProtocolViolation::PrintedOddly,
                String::from("a message with control characters in a string"),
                "Maelstrom takes them as they are. In JSON they are escaped.",
            )
        } else {
            return None;
        };
        Some(Lenient {
            violation,
            message: to_json(&Object(fields.iter())),
            oddity,
            made_of_it,
        })
    }
}

/// Escapes the control characters in the strings of a text that is JSON but for those.
fn escape_control_characters(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    let (mut is_in_string, mut is_escape) = (false, false);
    for character in line.chars() {
        is_in_string ^= character == '"' && !is_escape;
        is_escape = character == '\\' && !is_escape;
        match character {
            '\0'..' ' if is_in_string => escaped += &format!("\\u{:04x}", u32::from(character)),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_message_that_maelstrom_takes_it_for() {
        for (line, expected, what) in [
            (r#"{"a":1} hello"#, r#"{"a":1}"#, "more than a message"),
            (r#"{"a":1}{"a":2}"#, r#"{"a":1}"#, "more than a message"),
            (
                r#"{"b":{},"a":1,"a":2}"#,
                r#"{"a":2,"b":{}}"#,
                r#"two fields "a""#,
            ),
            (
                "{\"a\":\"\t\\\"\u{1}\"}\t",
                r#"{"a":"\u0009\"\u0001"}"#,
                "control characters",
            ),
        ] {
            let lenient = Lenient::read(line).expect("a message");
            assert_eq!(lenient.message, expected);
            assert!(lenient.oddity.contains(what), "{}", lenient.oddity);
        }
        for line in [
            r#"{"a":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            "",
            "hello",
            "[1] 2",
            r#"{"a":1"#,
            "{\"a\":1\u{b}}",
        ] {
            assert!(Lenient::read(line).is_none(), "{line}");
        }
    }
}
