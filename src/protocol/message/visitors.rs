//! How serde reads a message.
//!
//! By hand and not with `#[serde(flatten)]`, which would buffer every field: the keys that the protocol knows are taken
//! out as they pass by, the others go on to `F`. All is written where it is to be: handed up from call to call, a message
//! would cost a fifteenth more. And closures write it, each of a type of its own, so that each is compiled into its place:
//! with functions that all places call, a message would cost up to a twentieth more.

use alloc::borrow::Cow;
use core::{fmt, mem};

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::{Body, Message};
use crate::protocol::message_id::{MessageId, code};

/// Reads a message into its place, which holds the default.
pub(super) struct MessageVisitor<'m, 'de, F>(pub(super) &'m mut Message<'de, F>);

/// What a message consists of.
const KEYS: [&str; 3] = ["src", "dest", "body"];

impl<'de, F: Deserialize<'de>> Visitor<'de> for MessageVisitor<'_, 'de, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message: a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let MessageVisitor(message) = self;
        let mut seen = [false; KEYS.len()];
        let mut is_new = |key: usize| !mem::replace(&mut seen[key], true);
        while let Some(key) = map.next_key_seed(KeyBy(|key: &str| match key {
            "src" => Some(0),
            "dest" => Some(1),
            "body" => Some(2),
            _ => None,
        }))? {
            match key {
                Some(0) if is_new(0) => map.next_value_seed(TextTo(|src| message.src = src))?,
                Some(1) if is_new(1) => map.next_value_seed(TextTo(|dest| message.dest = dest))?,
                Some(2) if is_new(2) => map.next_value_seed(BodyVisitor(&mut message.body))?,
                Some(key) => return Err(A::Error::duplicate_field(KEYS[key])),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        match seen {
            [.., true] => Ok(()),
            [.., false] => Err(A::Error::missing_field("body")),
        }
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

/// What a closure makes of a string, which is borrowed from the line unless it holds escapes.
struct TextTo<F>(F);

impl<'de, T, F: FnOnce(Cow<'de, str>) -> T> DeserializeSeed<'de> for TextTo<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, T, F: FnOnce(Cow<'de, str>) -> T> Visitor<'de> for TextTo<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<T, E> {
        Ok(self.0(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Ok(self.0(Cow::Owned(text.into())))
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
        let OtherFields { map, body } = self;
        let mut seed = Some(seed);
        loop {
            let key = map.next_key_seed(KeyBy(|key: &str| {
                Ok(match key {
                    "type" => Key::Type,
                    "msg_id" => Key::MsgId,
                    "in_reply_to" => Key::InReplyTo,
                    "code" => Key::Code,
                    _ => {
                        let seed = seed.take().expect("the first key for `F` ends the loop");
                        Key::Other(seed.deserialize(StrDeserializer::new(key))?)
                    }
                })
            }));
            match key?.transpose()? {
                Some(Key::Type) => map.next_value_seed(TextTo(|kind| body.kind = kind))?,
                Some(Key::MsgId) => body.msg_id = MessageId::from_json(map.next_value()?)?,
                Some(Key::InReplyTo) => body.in_reply_to = MessageId::from_json(map.next_value()?)?,
                Some(Key::Code) => {
                    body.code = map.next_value::<Option<_>>()?.map(code).transpose()?
                }
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

/// What a closure makes of a key, without a copy of the key.
struct KeyBy<F>(F);

impl<'de, K, F: FnOnce(&str) -> K> DeserializeSeed<'de> for KeyBy<F> {
    type Value = K;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<K, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, K, F: FnOnce(&str) -> K> Visitor<'de> for KeyBy<F> {
    type Value = K;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<K, E> {
        Ok(self.0(key))
    }
}
