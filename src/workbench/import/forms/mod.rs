//! Reads EDN or JSON form by form, and converts each form to JSON.
//!
//! serde_json then reads the JSON of both languages, with numbers of any size. The existing crates for EDN build a
//! tree of each form first, have numbers of 64 bits (Maelstrom's nodes may generate larger ids), and do not limit the
//! depth. Values that JSON lacks are converted to the closest ones:
//!
//! | EDN | JSON |
//! |---|---|
//! | keyword, symbol, character, ratio, `##Inf` | string, a keyword's without its colon |
//! | set, list | array |
//! | `1N`, `1.5M` | `1`, `1.5` |
//! | key of a map that is no string, such as `7` or `[1 2]` | the string of its JSON |
//! | `#tag form` | the form |
//!
//! Comments and discarded forms (`#_`) are left out. One reader serves both languages: it treats commas as blanks in
//! both, and colons as blanks in JSON.

use serde_json::value::RawValue;
use thiserror::Error;

use crate::workbench::workload::shortened;

/// The maximum depth of nesting. serde_json reads up to 127 levels.
const DEPTH_MAX: usize = 100;

/// An error in a text, and its position.
#[derive(Debug, PartialEq, Error)]
#[error("{what}")]
pub(super) struct SyntaxError {
    /// The offset in the text, in bytes.
    pub at: usize,
    pub what: Problem,
}

/// An error in a text.
#[derive(Debug, PartialEq, Error)]
pub(super) enum Problem {
    /// `at` is the beginning of the form.
    #[error("what begins here has no end: the file was cut off")]
    CutOff,
    #[error("{expected:?} is missing before this {found:?}")]
    Mismatch { found: char, expected: char },
    #[error("this {0:?} closes nothing")]
    NothingOpen(char),
    #[error("the list of the history ends before this")]
    MoreFollows,
    #[error("this is nested more than {DEPTH_MAX} levels deep")]
    TooDeep,
    #[error("this map has a key without a value")]
    NoValue,
    #[error("{0} is neither EDN nor JSON")]
    Unreadable(String),
}

/// The language of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Syntax {
    Edn,
    Json,
}

impl Syntax {
    /// JSON if the first token after brackets is a string: the keys of events in EDN are keywords.
    fn of(text: &str) -> Self {
        let is_open = |char: char| char.is_whitespace() || "[({".contains(char);
        match text.trim_start_matches(is_open).starts_with('"') {
            true => Syntax::Json,
            false => Syntax::Edn,
        }
    }
}

/// The forms of a text. If the text begins with a list, the forms in that list.
pub(super) struct Forms<'a> {
    text: &'a str,
    at: usize,
    syntax: Syntax,
    place: Place,
    open: Vec<Open>,
    json: String,
}

/// The position of the next form.
#[derive(Clone, Copy)]
enum Place {
    Start,
    /// In the list of all forms, which ends with the byte `end`.
    List {
        began_at: usize,
        end: u8,
    },
    /// Outside a list.
    Outside,
    /// After the list.
    After,
}

/// A form.
pub(super) struct Form<'f> {
    /// Where it begins in the text.
    pub at: usize,
    pub json: &'f str,
}

/// A form that has begun but not ended.
struct Open {
    kind: Kind,
    began_at: usize,
    /// The number of complete forms in it. Those of a map are alternately keys and values.
    count: usize,
    /// Where the last key of a map, or the form to discard, begins in the JSON.
    json_at: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A list, vector or set that ends with this byte.
    List(u8),
    Map,
    /// `#_`, which discards the next form.
    Discard,
}

impl<'a> Forms<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        // A byte-order mark is not part of the text.
        let at = text.len() - text.trim_start_matches('\u{feff}').len();
        Forms {
            text,
            at,
            syntax: Syntax::of(&text[at..]),
            place: Place::Start,
            open: Vec::new(),
            json: String::new(),
        }
    }

    /// The next form; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Form<'_>>, SyntaxError> {
        loop {
            self.skip_blanks();
            let next = self.peek();
            match (self.place, next) {
                (Place::Start, Some(begin @ (b'[' | b'('))) => {
                    let (began_at, end) = (self.at, end_of(begin));
                    self.place = Place::List { began_at, end };
                    self.at += 1;
                    continue;
                }
                (Place::Start, _) => self.place = Place::Outside,
                (Place::List { began_at, .. }, None) => {
                    return Err(error(began_at, Problem::CutOff));
                }
                (Place::List { end, .. }, Some(byte)) if byte == end => {
                    self.place = Place::After;
                    self.at += 1;
                    continue;
                }
                (Place::After, Some(_)) => return Err(error(self.at, Problem::MoreFollows)),
                _ => {}
            }
            if next.is_none() {
                return Ok(None);
            }
            let at = self.at;
            self.json.clear();
            if self.read_form()? {
                let json = &self.json;
                return Ok(Some(Form { at, json }));
            }
        }
    }

    /// Reads a form. Returns `false` if it is discarded.
    fn read_form(&mut self) -> Result<bool, SyntaxError> {
        let began_at = self.at;
        loop {
            self.skip_blanks();
            let Some(byte) = self.peek() else {
                return Err(error(began_at, Problem::CutOff));
            };
            let is_complete = match byte {
                b']' | b')' | b'}' => {
                    self.end(byte)?;
                    true
                }
                _ => self.begin(byte)?,
            };
            if is_complete && let Some(is_wanted) = self.complete() {
                return Ok(is_wanted);
            }
        }
    }

    /// Reads the beginning of a form, or the whole form if no other is nested in it. Returns whether it is complete.
    fn begin(&mut self, byte: u8) -> Result<bool, SyntaxError> {
        match byte {
            b'[' | b'(' => self.open(Kind::List(end_of(byte)), 1),
            b'{' => self.open(Kind::Map, 1),
            b'"' => self.read_string().map(|()| true),
            b'#' if self.syntax == Syntax::Edn => self.read_dispatch(),
            b'\\' if self.syntax == Syntax::Edn => self.read_character().map(|()| true),
            _ => self.read_token().map(|()| true),
        }
    }

    /// Begins a form in which others are nested. `length` is the number of bytes it begins with.
    fn open(&mut self, kind: Kind, length: usize) -> Result<bool, SyntaxError> {
        if self.open.len() == DEPTH_MAX {
            return Err(error(self.at, Problem::TooDeep));
        }
        let json_at = self.json.len();
        match kind {
            Kind::List(_) => self.place().push('['),
            Kind::Map => self.place().push('{'),
            Kind::Discard => {}
        }
        self.open.push(Open {
            kind,
            began_at: self.at,
            count: 0,
            json_at,
        });
        self.at += length;
        Ok(false)
    }

    /// Ends the form that began last.
    fn end(&mut self, found: u8) -> Result<(), SyntaxError> {
        let (at, found) = (self.at, char::from(found));
        let open = self
            .open
            .pop()
            .ok_or(error(at, Problem::NothingOpen(found)))?;
        let expected = match open.kind {
            Kind::List(end) => char::from(end),
            Kind::Map => '}',
            Kind::Discard => {
                return Err(error(open.began_at, Problem::Unreadable("#_".to_owned())));
            }
        };
        if found != expected {
            return Err(error(at, Problem::Mismatch { found, expected }));
        }
        if open.kind == Kind::Map && !open.count.is_multiple_of(2) {
            return Err(error(open.began_at, Problem::NoValue));
        }
        self.json
            .push(if open.kind == Kind::Map { '}' } else { ']' });
        self.at += 1;
        Ok(())
    }

    /// Counts a complete form. If it is not nested in another, returns whether it is kept.
    fn complete(&mut self) -> Option<bool> {
        let Some(open) = self.open.last_mut() else {
            return Some(true);
        };
        open.count += 1;
        match open.kind {
            Kind::List(_) => {}
            Kind::Map => {
                let is_key = !open.count.is_multiple_of(2);
                if is_key && !self.json[open.json_at..].starts_with('"') {
                    let key = self.json.split_off(open.json_at);
                    self.json.push_str(&quoted(&key));
                }
            }
            Kind::Discard => {
                self.json.truncate(open.json_at);
                self.open.pop();
                return self.open.is_empty().then_some(false);
            }
        }
        None
    }

    /// The JSON, with the comma or colon that the next form needs.
    fn place(&mut self) -> &mut String {
        if let Some(open) = self.open.last_mut() {
            match open.kind {
                Kind::Map if !open.count.is_multiple_of(2) => self.json.push(':'),
                Kind::List(_) | Kind::Map if open.count > 0 => self.json.push(','),
                _ => {}
            }
            if open.kind == Kind::Map && open.count.is_multiple_of(2) {
                open.json_at = self.json.len();
            }
        }
        &mut self.json
    }

    /// Reads a string. Both languages have the same escapes, but only EDN allows line ends in strings.
    fn read_string(&mut self) -> Result<(), SyntaxError> {
        let (text, began_at) = (self.text, self.at);
        let bytes = text.as_bytes();
        self.place().push('"');
        let (mut at, mut from) = (began_at + 1, began_at + 1);
        loop {
            match bytes.get(at) {
                None => return Err(error(began_at, Problem::CutOff)),
                Some(b'"') => break,
                Some(b'\\') => {
                    let escape = text[at + 1..].chars().next();
                    if let Some(escape) = escape.filter(|escape| !"\"\\/bfnrtu".contains(*escape)) {
                        return Err(error(at, unreadable(&format!("\\{escape}"))));
                    }
                    at += 2;
                }
                Some(control @ ..0x20) => {
                    self.json.push_str(&text[from..at]);
                    self.json.push_str(&format!("\\u{control:04x}"));
                    at += 1;
                    from = at;
                }
                Some(_) => at += 1,
            }
        }
        self.json.push_str(&text[from..=at]);
        self.at = at + 1;
        Ok(())
    }

    /// Reads a form that begins with `#`.
    fn read_dispatch(&mut self) -> Result<bool, SyntaxError> {
        match self.text.as_bytes().get(self.at + 1) {
            None => Err(error(self.at, Problem::CutOff)),
            Some(b'{') => self.open(Kind::List(b'}'), 2),
            Some(b'_') => self.open(Kind::Discard, 2),
            Some(b'#') => self.read_token().map(|()| true),
            Some(byte) if byte.is_ascii_alphabetic() => {
                // The tag is left out.
                self.take_token();
                Ok(false)
            }
            Some(_) => {
                let at = self.at;
                self.at += 1;
                let token = format!("#{}", self.take_token());
                Err(error(at, unreadable(&token)))
            }
        }
    }

    /// Reads a character, such as `\a` and `\newline`.
    fn read_character(&mut self) -> Result<(), SyntaxError> {
        let at = self.at;
        self.at += 1;
        // The character itself may be one that would end a token.
        let Some(first) = self.text[self.at..].chars().next() else {
            return Err(error(at, Problem::CutOff));
        };
        self.at += first.len_utf8();
        self.take_token();
        let name = &self.text[at + 1..self.at];
        let code = name.strip_prefix('u').filter(|code| code.len() == 4);
        let code = code.and_then(|code| u32::from_str_radix(code, 16).ok());
        let character = match name {
            "newline" => '\n',
            "return" => '\r',
            "space" => ' ',
            "tab" => '\t',
            _ if name.len() == first.len_utf8() => first,
            _ => code
                .and_then(char::from_u32)
                .ok_or_else(|| error(at, unreadable(&self.text[at..self.at])))?,
        };
        let string = quoted(&character.to_string());
        self.place().push_str(&string);
        Ok(())
    }

    /// Reads a number, a keyword or a symbol.
    fn read_token(&mut self) -> Result<(), SyntaxError> {
        let (at, syntax) = (self.at, self.syntax);
        let token = self.take_token();
        let json = self.place();
        if let Some(number) = number(token, syntax) {
            json.push_str(number);
        } else if matches!(token, "true" | "false" | "null") {
            json.push_str(token);
        } else if syntax == Syntax::Edn && token == "nil" {
            json.push_str("null");
        } else if syntax == Syntax::Edn && is_word(token) {
            json.push_str(&quoted(token.trim_start_matches(':')));
        } else {
            return Err(error(at, unreadable(token)));
        }
        Ok(())
    }

    /// Takes everything up to the next blank, string, comment or bracket.
    fn take_token(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let is_end =
            |byte: &u8| matches!(byte, b'[' | b']' | b'(' | b')' | b'{' | b'}' | b'"' | b';');
        let ends = |byte: &u8| is_end(byte) || self.is_blank(*byte);
        let end = rest.as_bytes().iter().position(ends).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn skip_blanks(&mut self) {
        while let Some(byte) = self.peek() {
            if byte == b';' && self.syntax == Syntax::Edn {
                let rest = &self.text[self.at..];
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if self.is_blank(byte) {
                self.at += 1;
            } else {
                break;
            }
        }
    }

    fn is_blank(&self, byte: u8) -> bool {
        let is_colon = byte == b':' && self.syntax == Syntax::Json;
        byte.is_ascii_whitespace() || byte == b',' || is_colon
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

fn error(at: usize, what: Problem) -> SyntaxError {
    SyntaxError { at, what }
}

fn unreadable(token: &str) -> Problem {
    // A longer token is from a file of another kind.
    Problem::Unreadable(shortened(token, 40))
}

/// The bracket that closes `begin`.
fn end_of(begin: u8) -> u8 {
    match begin {
        b'[' => b']',
        _ => b')',
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string can be written as JSON")
}

/// A number in JSON, if the token is a number.
fn number(token: &str, syntax: Syntax) -> Option<&str> {
    let digits = token.strip_prefix('-').unwrap_or(token);
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    // Nearly all numbers are of this form.
    if is_plain && digits.starts_with(|first| matches!(first, '1'..='9')) {
        return Some(token);
    }
    let number = match syntax {
        Syntax::Edn => {
            let number = token.strip_prefix('+').unwrap_or(token);
            number.strip_suffix(['N', 'M']).unwrap_or(number)
        }
        Syntax::Json => token,
    };
    let is_number = is_like_number(token) && serde_json::from_str::<&RawValue>(number).is_ok();
    is_number.then_some(number)
}

/// Whether a token is a keyword, a symbol, `##Inf` and the like, or a ratio.
fn is_word(token: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match token.trim_start_matches(['+', '-']).split_once('/') {
        Some((numerator, denominator)) if is_digits(numerator) => is_digits(denominator),
        _ => !token.trim_matches([':', '#']).is_empty() && !is_like_number(token),
    }
}

fn is_like_number(token: &str) -> bool {
    let digits = token.trim_start_matches(['+', '-']);
    digits.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests;
