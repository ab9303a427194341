mod visitors;

use alloc::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::value::RawValue;

use super::{MessageId, NAME_BYTES_MAX};

use visitors::MessageVisitor;

/// One message, borrowed from its line. `F` holds the fields that only the workload knows.
///
/// Unknown fields are ignored, in the message and in the body.
#[derive(Debug, Default)]
pub struct Message<'a, F> {
    /// Who sent it.
    pub src: Cow<'a, str>,
    /// To whom it is addressed; empty if the line doesn't say.
    pub dest: Cow<'a, str>,
    /// What it says.
    pub body: Body<'a, F>,
}

/// The body of a message: what the protocol itself has names for, and the rest as `F`.
#[derive(Debug, Default)]
pub struct Body<'a, F> {
    /// The field `type`; empty if there is none.
    pub kind: Cow<'a, str>,
    /// What a reply has to name, if one is wanted.
    pub msg_id: Option<MessageId<'a>>,
    /// The message that this one answers.
    pub in_reply_to: Option<MessageId<'a>>,
    /// The number of an error.
    pub code: Option<i64>,
    /// The workload's own fields.
    pub fields: F,
}

impl<'a, F: Deserialize<'a> + Default> Message<'a, F> {
    /// Reads a line in one pass.
    ///
    /// ```
    /// # use eddy::protocol::Message;
    /// #[derive(Default, serde::Deserialize)]
    /// struct Add {
    ///     delta: Option<u64>,
    /// }
    /// let line = r#"{"id":7,"src":"c1","dest":"n0","body":{"msg_id":1,"delta":3,"type":"add"}}"#;
    /// let message = Message::<Add>::parse(line)?;
    /// assert_eq!((&*message.body.kind, message.body.fields.delta), ("add", Some(3)));
    /// assert_eq!(message.body.msg_id.and_then(|id| id.number()), Some(1));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What is wrong, and where, when the line is no JSON object, lacks `src` or `body`, a field has the wrong type, or
    /// `src` is empty or longer than [`NAME_BYTES_MAX`]. [`unanswered`](Message::unanswered) tells whether it can be
    /// answered all the same.
    pub fn parse(line: &'a str) -> Result<Self, serde_json::Error> {
        let mut message = Message::default();
        message.read(line)?;
        Ok(message)
    }

    /// The same, into a message that is still the default: a message is too large to be moved for nothing.
    pub(crate) fn read(&mut self, line: &'a str) -> Result<(), serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(line);
        json.deserialize_map(MessageVisitor(self))?;
        json.end()?;
        match self.src.len() {
            0 => Err(serde_json::Error::custom("src is missing or empty")),
            1..=NAME_BYTES_MAX => Ok(()),
            bytes => Err(serde_json::Error::custom(format_args!(
                "src has {bytes} bytes, and {NAME_BYTES_MAX} are allowed"
            ))),
        }
    }
}

impl<'a> Message<'a, ()> {
    /// A second, lenient look at a line that is no message: a request that can't be served but can be answered, as the line
    /// still says who sent it. No more than `src`, `dest` and `msg_id` is known of it.
    pub fn unanswered(line: &'a str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Outer<'a> {
            #[serde(borrow)]
            src: Cow<'a, str>,
            #[serde(borrow)]
            dest: Option<&'a RawValue>,
            #[serde(borrow)]
            body: &'a RawValue,
        }
        #[derive(Deserialize)]
        struct Ids<'a> {
            #[serde(borrow)]
            msg_id: &'a RawValue,
            #[serde(borrow)]
            in_reply_to: Option<&'a RawValue>,
        }
        let Outer { src, dest, body } = serde_json::from_str(line).ok()?;
        let ids: Ids = serde_json::from_str(body.get()).ok()?;
        // serde would read a struct from an array as well.
        let is_object = |json: &str| json.trim_ascii_start().starts_with('{');
        let is_message = is_object(line) && is_object(body.get()) && !src.is_empty();
        // A reply is never answered, however odd it is.
        if !is_message || ids.in_reply_to.is_some() {
            return None;
        }
        let msg_id = MessageId::from_json::<serde_json::Error>(ids.msg_id).ok()??;
        let dest = dest.and_then(|dest| serde_json::from_str::<Text>(dest.get()).ok());
        Some(Message {
            src,
            dest: dest.map_or(Cow::Borrowed(""), |Text(dest)| dest),
            body: Body {
                msg_id: Some(msg_id),
                ..Body::default()
            },
        })
    }
}

/// For a field of any JSON: `null` is a value too, and not the same as no field.
///
/// ```
/// # use serde_json::value::RawValue;
/// #[derive(serde::Deserialize)]
/// struct Echo<'a> {
///     #[serde(borrow, default, deserialize_with = "eddy::protocol::present")]
///     echo: Option<&'a RawValue>,
/// }
/// assert!(serde_json::from_str::<Echo>(r#"{"echo":null}"#)?.echo.is_some());
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// A string that is borrowed from the line unless it holds escapes.
#[derive(Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);
