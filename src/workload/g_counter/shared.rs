//! The one register that all nodes change, for the levels that have one.

use alloc::vec::Vec;
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::kv::{Register, Seen, check_version};
use crate::protocol::{Encode, Name, Text};

/// `{"version": 42, "value": 17, "by": "n1", "rounds": {"n0": 5120, "n1": 977}}`: how many changes there were, the
/// counter's value, who made the last change, and for each node the id of its last round that was applied.
///
/// A round id is used once, by any life of any node, so finding it here proves that the round was applied.
#[derive(Default, Debug)]
pub(super) struct Shared {
    version: u64,
    value: i64,
    by: Name,
    rounds: Vec<(Name, i64)>,
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

    /// The node that made the last change.
    pub(super) fn author(&self) -> &str {
        self.by.as_str()
    }

    /// The id of `node`'s last round, 0 if there is none.
    pub(super) fn last_round(&self, node: &str) -> i64 {
        let round = self.rounds.iter().find(|(name, _)| name == node);
        round.map_or(0, |&(_, round_id)| round_id)
    }

    /// Whether no node but `node` has made a round since the state `before`.
    pub(super) fn is_only_by(&self, node: &str, before: &Shared) -> bool {
        let mut others = self.rounds.iter().filter(|(name, _)| name != node);
        others.all(|(name, round_id)| before.last_round(name.as_str()) == *round_id)
    }

    /// Makes this the next state, written by `node`, but for the steps that it takes.
    pub(super) fn change(&mut self, node: &Name) {
        self.version += 1;
        self.by.clone_from(node);
    }

    /// Takes a step of `node`, if it follows on this state. One that would take the value out of its range is made
    /// without its delta, under the negative of its id: it can't be taken any more after that.
    pub(super) fn take(&mut self, node: &Name, step: &Step) {
        if self.last_round(node.as_str()) != step.after {
            return;
        }
        let round_id = match self.value.checked_add(step.delta) {
            Some(value) => {
                self.value = value;
                step.round_id
            }
            None => -step.round_id,
        };
        match self.rounds.iter_mut().find(|(name, _)| name == node) {
            Some((_, last)) => *last = round_id,
            None => self.rounds.push((node.clone(), round_id)),
        }
    }

    /// What became of a step of `node`, if this is the newest state that is known.
    pub(super) fn judge(&self, node: &str, step: &Step) -> Seen {
        match self.last_round(node) {
            last if last == step.round_id => Seen::Applied,
            last if last == step.after => Seen::Open,
            _ => Seen::Lost,
        }
    }
}

/// What a node adds in one round, in a form that any node can put into the register.
///
/// It takes the id of the node's round from `after` to `round_id` and is taken on a state in which it is `after`. Ids
/// are never used again, so it is taken once or never, whoever takes it and however often it is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Step {
    /// The id of the node's round before, 0 if there was none.
    pub(super) after: i64,
    pub(super) round_id: i64,
    pub(super) delta: i64,
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
            by,
            rounds,
        } = source;
        (self.version, self.value) = (*version, *value);
        self.by.clone_from(by);
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
}

impl Encode for Shared {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"version\":");
        self.version.encode(out);
        out.extend_from_slice(b",\"value\":");
        self.value.encode(out);
        out.extend_from_slice(b",\"by\":");
        self.by.as_str().encode(out);
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
        f.write_str("a counter's register: version, value, by and rounds")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut version, mut value, mut by, mut rounds) = (None, None, None, None);
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "version" => version = Some(map.next_value()?),
                "value" => value = Some(map.next_value()?),
                "by" => {
                    let Text(name) = map.next_value()?;
                    by = Some(Name::from(&*name));
                }
                "rounds" => rounds = Some(map.next_value_seed(Rounds(&mut self.rounds))?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let version = version.ok_or_else(|| A::Error::missing_field("version"))?;
        self.version = check_version(version)?;
        self.value = value.ok_or_else(|| A::Error::missing_field("value"))?;
        self.by = by.ok_or_else(|| A::Error::missing_field("by"))?;
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
