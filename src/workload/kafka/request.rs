//! What the requests of clients hold, checked against the limits.

use alloc::{borrow::Cow, collections::BTreeMap, vec::Vec};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{KEY_BYTES_MAX, KEYS_MAX};
use crate::protocol::{Error, Message, present};
use crate::workload::log::ENTRY_BYTES_MAX;

type Offsets<'a> = BTreeMap<Cow<'a, str>, u64>;

/// What the messages of clients and the store's answers hold.
#[derive(Deserialize)]
pub struct Fields<'a> {
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    msg: Option<&'a RawValue>,
    #[serde(borrow)]
    offsets: Option<Offsets<'a>>,
    #[serde(borrow)]
    keys: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) value: Option<&'a RawValue>,
}

/// A message to this node.
pub(super) type Received<'a> = Message<'a, Fields<'a>>;

/// What each request has to hold.
///
/// # Errors
///
/// When it lacks something, or breaks a limit.
impl<'a> Fields<'a> {
    pub(super) fn send(&self) -> Result<(&str, &'a RawValue), Error> {
        let key = self.key.as_ref().ok_or_else(|| Error::missing("key"))?;
        let msg = self.msg.ok_or_else(|| Error::missing("msg"))?;
        if msg.get().len() > ENTRY_BYTES_MAX {
            return Err(too_much("msg", ENTRY_BYTES_MAX, "bytes"));
        }
        check_lengths([key].into_iter())?;
        Ok((key, msg))
    }

    pub(super) fn poll(&self) -> Result<&Offsets<'a>, Error> {
        let offsets = self.offsets.as_ref();
        let offsets = offsets.ok_or_else(|| Error::missing("offsets"))?;
        check_lengths(offsets.keys())?;
        Ok(offsets)
    }

    pub(super) fn commit(&self) -> Result<&Offsets<'a>, Error> {
        let offsets = self.poll()?;
        check_count(offsets.len())?;
        Ok(offsets)
    }

    pub(super) fn list(&self) -> Result<&[Cow<'a, str>], Error> {
        let keys = self.keys.as_ref().ok_or_else(|| Error::missing("keys"))?;
        check_lengths(keys.iter())?;
        check_count(keys.len())?;
        Ok(keys)
    }
}

fn check_count(keys: usize) -> Result<(), Error> {
    match keys <= KEYS_MAX {
        true => Ok(()),
        false => Err(too_much("the request", KEYS_MAX, "keys")),
    }
}

fn check_lengths<'a>(mut keys: impl Iterator<Item = &'a Cow<'a, str>>) -> Result<(), Error> {
    match keys.all(|key| key.len() <= KEY_BYTES_MAX) {
        true => Ok(()),
        false => Err(too_much("a key", KEY_BYTES_MAX, "bytes")),
    }
}

fn too_much(what: &str, max: usize, unit: &str) -> Error {
    Error::malformed(alloc::format!("{what} has more than {max} {unit}"))
}
