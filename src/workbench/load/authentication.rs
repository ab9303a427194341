//! The first exchange on each connection.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::protocol::Text;
use crate::workbench::body::BodyWriter;
use crate::workbench::token::Token;
use crate::workbench::workload::{Reply, json_error};
use crate::workbench::world::shown;

/// What a client sends first on each connection: `authenticate` with the token of the nodes.
#[derive(Clone)]
pub struct Authentication {
    request: Box<[u8]>,
    has_token: bool,
}

/// The answer.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    src: Option<Text<'a>>,
    #[serde(borrow)]
    body: &'a RawValue,
}

impl Authentication {
    /// With this token. Without one, a client is let in by nodes that have none.
    pub fn new(token: Option<&Token>) -> Self {
        let mut request = Vec::from(b"{\"body\":");
        BodyWriter::new(&mut request, "authenticate")
            .field("token", token.map_or("", Token::as_str))
            .field("msg_id", 1u64);
        request.extend_from_slice(b"}\n");
        Authentication {
            request: request.into(),
            has_token: token.is_some(),
        }
    }

    /// Whether there is a token.
    pub(super) fn has_token(&self) -> bool {
        self.has_token
    }

    /// The line that a client sends.
    pub(super) fn request(&self) -> &[u8] {
        &self.request
    }

    /// Reads the answer: the id of the node, where the line has one.
    ///
    /// # Errors
    ///
    /// Why the client is not let in, in words.
    pub(super) fn read_answer(&self, line: &str) -> Result<Option<String>, String> {
        let wrong = |why| format!("it answered authenticate with {} ({why})", shown(line));
        let no_json = |error| wrong(json_error(&error));
        let answer: Answer<'_> = serde_json::from_str(line).map_err(no_json)?;
        let reply = Reply::read(answer.body.get()).map_err(no_json)?;
        if reply.is_error() {
            let text = reply.field("text").unwrap_or("\"it gave no reason\"");
            let text = serde_json::from_str(text).map_or(text.into(), |Text(text)| text);
            return Err(shown(&text));
        }
        reply.check_kind("authenticate_ok").map_err(wrong)?;
        let id = answer.src.map(|Text(id)| String::from(id));
        Ok(id.filter(|id| !id.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_as_json() {
        let token = Token::new("sixteen \" bytes.").expect("it is long enough");
        let expected = b"{\"body\":{\"type\":\"authenticate\",\"token\":\"sixteen \\\" bytes.\",\"msg_id\":1}}\n";
        assert_eq!(Authentication::new(Some(&token)).request(), expected);
    }

    #[test]
    fn the_answer_names_the_node_or_says_why_the_client_is_not_let_in() {
        let authentication = Authentication::new(None);
        let read = |line: &str| authentication.read_answer(line);
        let ok = r#""body":{"type":"authenticate_ok","in_reply_to":1}}"#;
        let id = read(&format!("{{\"src\":\"n\\u0031\",\"dest\":\"c1\",{ok}"));
        assert_eq!(id, Ok(Some(String::from("n1"))));
        for without_id in [format!("{{{ok}"), format!("{{\"src\":\"\",{ok}")] {
            assert_eq!(read(&without_id), Ok(None));
        }
        for (line, expected) in [
            ("hello", "it is not JSON"),
            ("{}", "missing field `body`"),
            (r#"{"body":7}"#, "expected an object"),
            (r#"{"body":{"type":"echo_ok"}}"#, "not \"authenticate_ok\""),
            (
                r#"{"body":{"type":"error","code":1000,"text":"wrong token"}}"#,
                "wrong token",
            ),
            (r#"{"body":{"type":"error"}}"#, "it gave no reason"),
        ] {
            let why = read(line).expect_err("no client is let in by that");
            assert!(why.contains(expected), "{why}");
        }
    }
}
