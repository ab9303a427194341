use alloc::{borrow::Cow, collections::BTreeMap, string::String, vec::Vec};
use core::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{KEY_BYTES_MAX, KEYS_MAX, POLL_BYTES_MAX, POLL_ENTRIES_MAX};
use crate::protocol::{Encode, Error, ErrorCode, Name, present};
use crate::workload::log::{ENTRY_BYTES_MAX, Logs};

/// What the messages of the log and the store's answers hold.
#[derive(Deserialize)]
pub struct Fields<'a> {
    #[serde(borrow)]
    pub(super) key: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) msg: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) offsets: Option<BTreeMap<Cow<'a, str>, u64>>,
    #[serde(borrow)]
    pub(super) keys: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) value: Option<&'a RawValue>,
}

/// One client's operation, until it is answered.
pub(super) struct Rider {
    pub(super) client: Name,
    pub(super) msg_id: Option<i64>,
    pub(super) deadline: Duration,
    pub(super) want: Want,
}

/// What a client wants.
pub(super) enum Want {
    Send {
        key: String,
    },
    Poll {
        /// What is polled: each key with the offset.
        offsets: Vec<(String, u64)>,
        /// It is answered when so many keys have been looked up.
        missing: usize,
        since: Duration,
    },
    Commit,
    List {
        keys: Vec<String>,
        since: Duration,
    },
}

impl Want {
    /// What a request of type `kind` wants, where it is enough to know what was so at a time since `since`.
    ///
    /// # Errors
    ///
    /// When it lacks something, or breaks a limit.
    pub(super) fn of(kind: &str, fields: &Fields<'_>, since: Duration) -> Result<Self, Error> {
        let offsets = || {
            fields
                .offsets
                .as_ref()
                .ok_or_else(|| Error::missing("offsets"))
        };
        match kind {
            "send" => {
                let key = fields.key.as_ref().ok_or_else(|| Error::missing("key"))?;
                let msg = fields.msg.ok_or_else(|| Error::missing("msg"))?;
                if msg.get().len() > ENTRY_BYTES_MAX {
                    return Err(malformed(alloc::format!(
                        "msg has more than {ENTRY_BYTES_MAX} bytes"
                    )));
                }
                check([key].into_iter())?;
                Ok(Want::Send {
                    key: (&**key).into(),
                })
            }
            "poll" => {
                let offsets = offsets()?;
                check_lengths(offsets.keys())?;
                let offsets = offsets.iter();
                let offsets = offsets.map(|(key, offset)| ((&**key).into(), *offset));
                Ok(Want::Poll {
                    offsets: offsets.collect(),
                    missing: 0,
                    since,
                })
            }
            "commit_offsets" => check(offsets()?.keys()).map(|()| Want::Commit),
            "list_committed_offsets" => {
                let keys = fields.keys.as_ref().ok_or_else(|| Error::missing("keys"))?;
                check(keys.iter())?;
                let keys = keys.iter().map(|key| (&**key).into());
                Ok(Want::List {
                    keys: keys.collect(),
                    since,
                })
            }
            kind => Err(Error::not_supported(kind)),
        }
    }
}

fn malformed(text: String) -> Error {
    Error::new(ErrorCode::MALFORMED_REQUEST, text)
}

/// Whether the keys of a request keep to the limits.
fn check<'a>(keys: impl ExactSizeIterator<Item = &'a Cow<'a, str>>) -> Result<(), Error> {
    if keys.len() > KEYS_MAX {
        return Err(malformed(alloc::format!(
            "a request has more than {KEYS_MAX} keys"
        )));
    }
    check_lengths(keys)
}

fn check_lengths<'a>(mut keys: impl Iterator<Item = &'a Cow<'a, str>>) -> Result<(), Error> {
    if keys.any(|key| key.len() > KEY_BYTES_MAX) {
        return Err(malformed(alloc::format!(
            "a key has more than {KEY_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

/// The answer to a poll: `{"k1": [[0, "a"], [1, "b"]]}`.
pub(super) struct Polled<'a> {
    pub(super) logs: &'a Logs,
    pub(super) offsets: &'a [(String, u64)],
}

impl Encode for Polled<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.push(b'{');
        for (key, offset) in self.offsets {
            let mut separator = None;
            for (offset, entry) in self.logs.entries_from(key, *offset).take(POLL_ENTRIES_MAX) {
                if out.len() - start > POLL_BYTES_MAX {
                    break;
                }
                match separator {
                    Some(separator) => out.push(separator),
                    None => {
                        if out.len() > start + 1 {
                            out.push(b',');
                        }
                        key.encode(out);
                        out.extend_from_slice(b":[");
                    }
                }
                separator = Some(b',');
                out.push(b'[');
                offset.encode(out);
                out.push(b',');
                out.extend_from_slice(entry.as_bytes());
                out.push(b']');
            }
            if separator.is_some() {
                out.push(b']');
            }
        }
        out.push(b'}');
    }
}
