//! Operations in few words.

use std::io::{self, Write};

use serde::Serialize;

use crate::workbench::body::BodyWriter;
use crate::workbench::history::Outcome;
use crate::workbench::workload::Workload;

/// What is longer is cut off: an answer may hold thousands of values.
const CHARS_MAX: usize = 160;

/// What was asked: `add {"delta":3}`.
pub(super) fn call<W: Workload>(call: &W::Call) -> String {
    let kind = W::request_kind(call);
    let mut bare = Vec::new();
    drop(BodyWriter::new(&mut bare, kind));
    let mut body = Vec::new();
    drop(W::write_request(call, BodyWriter::new(&mut body, kind)));
    // What stands after the type: nothing, or a comma and the other fields.
    match &body[bare.len() - 1..] {
        [b',', fields @ ..] => format!("{kind} {{{}", clipped(fields)),
        _ => String::from(kind),
    }
}

/// What came of it: `{"value":7}`.
pub(super) fn outcome<A: Serialize>(outcome: &Outcome<A>) -> String {
    match outcome {
        Outcome::Ok(answer) => {
            let mut json = Beginning(Vec::new());
            // It fails on purpose, when there is enough.
            let _ = serde_json::to_writer(&mut json, answer);
            clipped(&json.0)
        }
        Outcome::Failed(why) => format!("failed, {}", clipped(why.as_bytes())),
        Outcome::Indeterminate(why) => format!("unknown, {}", clipped(why.as_bytes())),
    }
}

/// The beginning of a text, and a sign if there is more.
pub(super) fn clipped(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

/// Takes little more than can be shown.
struct Beginning(Vec<u8>);

impl Write for Beginning {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A character is up to four bytes.
        if self.0.len() > 4 * CHARS_MAX {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::check::counter::{Answer, Call};
    use crate::workbench::workload::GCounter;

    #[test]
    fn an_operation_is_told_as_it_is_on_the_wire() {
        assert_eq!(call::<GCounter>(&Call::Add(3)), r#"add {"delta":3}"#);
        assert_eq!(call::<GCounter>(&Call::Read), "read");
        assert_eq!(outcome(&Outcome::Ok(Answer::Value(7))), r#"{"value":7}"#);
        assert_eq!(
            outcome::<Answer>(&Outcome::Failed("no".into())),
            "failed, no"
        );
    }

    #[test]
    fn a_long_answer_is_cut_off_between_characters() {
        let answer = vec!["ä"; 1_000_000];
        let told = outcome(&Outcome::Ok(answer));
        assert_eq!(told.chars().count(), CHARS_MAX + 1);
        assert!(told.ends_with('…'));
    }
}
