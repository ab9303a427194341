//! How serde reads a message.
//!
//! By hand and not with `#[serde(flatten)]`, which would buffer every field: the keys that the protocol knows are taken
//! out as they pass by, the others go on to `F`. And all is written where it is to be: handed up from call to call, a
//! message would cost a fifteenth more.

use alloc::borrow::Cow;
use core::{fmt, mem};

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::{Body, Message};
use crate::protocol::message_id::{MessageId, code_from_json};

/// Reads a message into its place, which holds the default.
pub(super) struct MessageVisitor<'m, 'de, F>(pub(super) &'m mut Message<'de, F>);

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
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message: a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let MessageVisitor(message) = self;
        let (mut has_src, mut has_dest, mut has_body) = (false, false, false);
        while let Some(key) = map.next_key()? {
            match key {
                MessageKey::Src => {
                    once("src", mem::replace(&mut has_src, true))?;
                    map.next_value_seed(TextInto(&mut message.src))?;
                }
                MessageKey::Dest => {
                    once("dest", mem::replace(&mut has_dest, true))?;
                    map.next_value_seed(TextInto(&mut message.dest))?;
                }
                MessageKey::Body => {
                    once("body", mem::replace(&mut has_body, true))?;
                    map.next_value_seed(BodyVisitor(&mut message.body))?;
                }
                MessageKey::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match has_body {
            true => Ok(()),
            false => Err(A::Error::missing_field("body")),
        }
    }
}

fn once<E: Error>(name: &'static str, is_known: bool) -> Result<(), E> {
    match is_known {
        true => Err(E::duplicate_field(name)),
        false => Ok(()),
    }
}

/// The same for a body.
struct BodyVisitor<'m, 'de, F>(&'m mut Body<'de, F>);

impl<'de, F: Deserialize<'de>> DeserializeSeed<'de> for BodyVisitor<'_, 'de, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: Deserialize<'de>> Visitor<'de> for BodyVisitor<'_, 'de, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a body: a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let BodyVisitor(body) = self;
        let others = OtherFields { map, body };
        body.fields = F::deserialize(MapAccessDeserializer::new(others))?;
        Ok(())
    }
}

/// Puts a string in its place, borrowed from the line unless it holds escapes.
struct TextInto<'m, 'de>(&'m mut Cow<'de, str>);

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

/// The fields of a body without those that the protocol knows, which go to `body`.
struct OtherFields<'m, 'de, A, F> {
    map: A,
    body: &'m mut Body<'de, F>,
}

impl<'de, A: MapAccess<'de>, F> MapAccess<'de> for OtherFields<'_, 'de, A, F> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let mut seed = Some(seed);
        loop {
            match self.map.next_key_seed(KeySeed(&mut seed))? {
                Some(Key::Type) => self.map.next_value_seed(TextInto(&mut self.body.kind))?,
                Some(Key::MsgId) => {
                    self.body.msg_id = MessageId::from_json(self.map.next_value()?)?;
                }
                Some(Key::InReplyTo) => {
                    self.body.in_reply_to = MessageId::from_json(self.map.next_value()?)?;
                }
                Some(Key::Code) => self.body.code = code_from_json(self.map.next_value()?)?,
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
