use alloc::borrow::Cow;
use core::{fmt, marker::PhantomData};

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::NAME_BYTES_MAX;

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
    pub msg_id: Option<i64>,
    /// The message that this one answers.
    pub in_reply_to: Option<i64>,
    /// The number of an error.
    pub code: Option<i64>,
    /// The workload's own fields.
    pub fields: F,
}

impl<'a, F: Deserialize<'a>> Message<'a, F> {
    /// Reads a line in one pass.
    ///
    /// ```
    /// # use eddy::protocol::Message;
    /// #[derive(serde::Deserialize)]
    /// struct Add {
    ///     delta: Option<u64>,
    /// }
    /// let line = r#"{"id":7,"src":"c1","dest":"n0","body":{"msg_id":1,"delta":3,"type":"add"}}"#;
    /// let message = Message::<Add>::parse(line)?;
    /// assert_eq!((&*message.body.kind, message.body.msg_id, message.body.fields.delta), ("add", Some(1), Some(3)));
    /// # Ok::<(), eddy::protocol::Malformed>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Malformed`] when the line is no JSON object, lacks `src` or `body`, a field has the wrong type, or `src` is
    /// empty or longer than [`NAME_BYTES_MAX`]. It holds what is needed to answer the sender, where the line says it.
    pub fn parse(line: &'a str) -> Result<Self, Malformed<'a>> {
        let mut header = Message::default();
        match header.read(line) {
            Ok(fields) => Ok(Message {
                src: header.src,
                dest: header.dest,
                body: header.body.with(fields),
            }),
            Err(reason) => Err(Malformed {
                reason,
                unanswered: Unanswered::find(line),
            }),
        }
    }
}

impl<'a> Message<'a, ()> {
    /// Reads all but the workload's own fields from a line; the answer is those.
    fn read<F: Deserialize<'a>>(&mut self, line: &'a str) -> Result<F, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(line);
        let fields = json.deserialize_map(MessageVisitor {
            header: self,
            fields: PhantomData,
        })?;
        json.end()?;
        match self.src.len() {
            0 => Err(serde_json::Error::custom("src is missing or empty")),
            1..=NAME_BYTES_MAX => Ok(fields),
            bytes => Err(serde_json::Error::custom(format_args!(
                "src has {bytes} bytes, and {NAME_BYTES_MAX} are allowed"
            ))),
        }
    }
}

impl<'a> Body<'a, ()> {
    fn with<F>(self, fields: F) -> Body<'a, F> {
        Body {
            kind: self.kind,
            msg_id: self.msg_id,
            in_reply_to: self.in_reply_to,
            code: self.code,
            fields,
        }
    }
}

/// Why a line is no message.
#[derive(Debug)]
pub struct Malformed<'a> {
    /// What is wrong, and where in the line.
    pub reason: serde_json::Error,
    /// Whom to tell, if the line still says who asked.
    pub unanswered: Option<Unanswered<'a>>,
}

impl fmt::Display for Malformed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a message: {}", self.reason)
    }
}

impl core::error::Error for Malformed<'_> {}

/// A request that can't be served but can be answered.
#[derive(Debug)]
pub struct Unanswered<'a> {
    /// Who asked.
    pub src: Cow<'a, str>,
    /// Who was asked; empty if the line doesn't say.
    pub dest: Cow<'a, str>,
    /// What the reply has to name.
    pub msg_id: i64,
}

impl<'a> Unanswered<'a> {
    /// A second, lenient look at a line: whom to tell that it can't be served.
    fn find(line: &'a str) -> Option<Self> {
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
            msg_id: i64,
            #[serde(borrow)]
            in_reply_to: Option<&'a RawValue>,
        }
        let is_object_in_object = |outer: &Outer| is_object(line) && is_object(outer.body.get());
        let outer: Outer = serde_json::from_str(line)
            .ok()
            .filter(is_object_in_object)?;
        let Outer { src, dest, body } = outer;
        if src.is_empty() {
            return None;
        }
        let ids: Ids = serde_json::from_str(body.get()).ok()?;
        // A reply is never answered, however odd it is.
        if ids.in_reply_to.is_some() {
            return None;
        }
        let dest = dest.and_then(|dest| serde_json::from_str::<Text>(dest.get()).ok());
        Some(Unanswered {
            src,
            dest: dest.map_or(Cow::Borrowed(""), |Text(dest)| dest),
            msg_id: ids.msg_id,
        })
    }
}

/// Whether this JSON is no array: serde would read a struct from one as well.
fn is_object(json: &str) -> bool {
    json.trim_ascii_start().starts_with('{')
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
///
/// # Errors
///
/// When it is no JSON.
pub fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// A string that is borrowed from the line unless it holds escapes.
#[derive(Deserialize)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

// By hand and not with `#[serde(flatten)]`, which would buffer every field: the keys that the protocol knows are
// taken out as they pass by, the others go on to `F`. And what is taken out is written where it is to be: handed up from
// call to call, a message would cost a fifteenth more.
struct MessageVisitor<'h, 'de, F> {
    header: &'h mut Message<'de, ()>,
    fields: PhantomData<F>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum MessageKey {
    Src,
    Dest,
    Body,
    #[serde(other)]
    Unknown,
}

impl<'de, F: Deserialize<'de>> Visitor<'de> for MessageVisitor<'_, 'de, F> {
    type Value = F;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message: a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<F, A::Error> {
        let header = self.header;
        let mut fields = None;
        while let Some(key) = map.next_key()? {
            match key {
                MessageKey::Src if !header.src.is_empty() => {
                    return Err(A::Error::duplicate_field("src"));
                }
                MessageKey::Body if fields.is_some() => {
                    return Err(A::Error::duplicate_field("body"));
                }
                MessageKey::Src => map.next_value_seed(TextInto(&mut header.src))?,
                MessageKey::Dest => map.next_value_seed(TextInto(&mut header.dest))?,
                MessageKey::Body => {
                    let body = BodyVisitor {
                        header: &mut header.body,
                        fields: PhantomData,
                    };
                    fields = Some(map.next_value_seed(body)?);
                }
                MessageKey::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        fields.ok_or_else(|| A::Error::missing_field("body"))
    }
}

struct BodyVisitor<'h, 'de, F> {
    header: &'h mut Body<'de, ()>,
    fields: PhantomData<F>,
}

impl<'de, F: Deserialize<'de>> DeserializeSeed<'de> for BodyVisitor<'_, 'de, F> {
    type Value = F;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<F, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: Deserialize<'de>> Visitor<'de> for BodyVisitor<'_, 'de, F> {
    type Value = F;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a body: a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<F, A::Error> {
        let header = self.header;
        F::deserialize(MapAccessDeserializer::new(OtherFields { map, header }))
    }
}

impl<'de: 'a, 'a, F: Deserialize<'de>> Deserialize<'de> for Body<'a, F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut header = Body::default();
        let body = BodyVisitor {
            header: &mut header,
            fields: PhantomData,
        };
        let fields = body.deserialize(deserializer)?;
        Ok(header.with(fields))
    }
}

/// Puts a string in its place, borrowed from the line unless it holds escapes.
struct TextInto<'h, 'de>(&'h mut Cow<'de, str>);

impl<'de> DeserializeSeed<'de> for TextInto<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for TextInto<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        *self.0 = Cow::Borrowed(text);
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        *self.0 = Cow::Owned(text.into());
        Ok(())
    }
}

/// The fields of a body without those that the protocol knows, which go to `header`.
struct OtherFields<'h, 'de, A> {
    map: A,
    header: &'h mut Body<'de, ()>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for OtherFields<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let mut seed = Some(seed);
        loop {
            match self.map.next_key_seed(KeySeed(&mut seed))? {
                Some(Key::Type) => self.map.next_value_seed(TextInto(&mut self.header.kind))?,
                Some(Key::MsgId) => self.header.msg_id = self.map.next_value()?,
                Some(Key::InReplyTo) => self.header.in_reply_to = self.map.next_value()?,
                Some(Key::Code) => self.header.code = self.map.next_value()?,
                Some(Key::Other(key)) => return Ok(Some(key)),
                None => return Ok(None),
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// A key of a body.
enum Key<K> {
    Type,
    MsgId,
    InReplyTo,
    Code,
    /// One for `F`.
    Other(K),
}

/// Tells the keys of a body apart without a copy of any. It holds what makes a key for `F`, which is used up by the
/// first one.
struct KeySeed<'s, S>(&'s mut Option<S>);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for KeySeed<'_, S> {
    type Value = Key<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for KeySeed<'_, S> {
    type Value = Key<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(match key {
            "type" => Key::Type,
            "msg_id" => Key::MsgId,
            "in_reply_to" => Key::InReplyTo,
            "code" => Key::Code,
            _ => {
                let seed = self.0.take().expect("a key is asked for once");
                Key::Other(seed.deserialize(StrDeserializer::new(key))?)
            }
        })
    }
}
