//! The one register that all nodes change, for the levels that have one.

use alloc::vec::Vec;
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::kv::{Register, check_version};
use crate::protocol::{Encode, Name, Text};

/// `{"version": 42, "value": 17, "rounds": {"n0": 5120, "n1": 977}}`: how many changes there were, the counter's
/// value, and for each node the id of its last round that was applied.
///
/// A round id is used once, by any life of any node, so finding it here proves that the round was applied.
#[derive(Default, Debug)]
pub(super) struct Shared {
    version: u64,
    value: i64,
    rounds: Vec<(Name, i64)>,
    /// Which of the rounds led to this state, if this node made it. Not part of the stored value.
    author: usize,
}

impl Shared {
    /// The counter's value.
    pub(super) fn value(&self) -> i128 {
        self.value.into()
    }

    /// Whether the value can grow by `delta`.
    pub(super) fn fits(&self, delta: i64) -> bool {
        self.value.checked_add(delta).is_some()
    }

    /// Makes this the next state: `delta` more, by the round `round_id` of `node`.
    pub(super) fn change(&mut self, delta: i64, node: &Name, round_id: i64) {
        self.version += 1;
        self.value += delta;
        let known = self.rounds.iter().position(|(name, _)| name == node);
        self.author = known.unwrap_or(self.rounds.len());
        match known {
            Some(index) => self.rounds[index].1 = round_id,
            None => self.rounds.push((node.clone(), round_id)),
        }
    }
}

// By hand, because a derived `clone_from` would not reuse the memory of the state before.
impl Clone for Shared {
    fn clone(&self) -> Self {
        let mut clone = Shared::default();
        clone.clone_from(self);
        clone
    }

    fn clone_from(&mut self, source: &Self) {
        let Shared {
            version,
            value,
            rounds,
            author,
        } = source;
        (self.version, self.value, self.author) = (*version, *value, *author);
        self.rounds.clone_from(rounds);
    }
}

impl Register for Shared {
    fn decode(&mut self, json: &str) -> Result<(), serde_json::Error> {
        serde_json::Deserializer::from_str(json).deserialize_map(self)
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn proves(&self, change: &Self) -> bool {
        self.rounds.contains(&change.rounds[change.author])
    }
}

impl Encode for Shared {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"version\":");
        self.version.encode(out);
        out.extend_from_slice(b",\"value\":");
        self.value.encode(out);
        out.extend_from_slice(b",\"rounds\":{");
        for (index, (name, round_id)) in self.rounds.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            name.as_str().encode(out);
            out.push(b':');
            round_id.encode(out);
        }
        out.extend_from_slice(b"}}");
    }
}

// By hand, so that decoding reuses the memory of the state before.
impl<'de> Visitor<'de> for &mut Shared {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a counter's register: version, value and rounds")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut version, mut value, mut rounds) = (None, None, None);
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "version" => version = Some(map.next_value()?),
                "value" => value = Some(map.next_value()?),
                "rounds" => rounds = Some(map.next_value_seed(Rounds(&mut self.rounds))?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let version = version.ok_or_else(|| A::Error::missing_field("version"))?;
        self.version = check_version(version)?;
        self.value = value.ok_or_else(|| A::Error::missing_field("value"))?;
        rounds.ok_or_else(|| A::Error::missing_field("rounds"))
    }
}

/// Where the rounds of a register go.
struct Rounds<'a>(&'a mut Vec<(Name, i64)>);

impl<'de> DeserializeSeed<'de> for Rounds<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.clear();
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Rounds<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("round ids by node id")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((Text(name), round_id)) = map.next_entry()? {
            self.0.push((Name::from(&*name), round_id));
        }
        Ok(())
    }
}
