use alloc::vec::Vec;
use core::fmt;

use smallvec::SmallVec;

use super::encode::{Encode, encode_text};

/// The longest id of a sender: 1 KiB. Pending operations remember who asked, so it bounds what they take.
pub const NAME_BYTES_MAX: usize = 1 << 10;

/// The id of a node, a client or a service: an opaque string.
///
/// Up to 16 bytes are kept in place, so that remembering who asked costs no allocation with the ids that
/// Maelstrom gives out.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Name(SmallVec<[u8; 16]>);

// By hand, because a derived one would go through the bytes one by one.
impl Clone for Name {
    fn clone(&self) -> Self {
        Name(SmallVec::from_slice(&self.0))
    }
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).expect("a name is only ever made from a str")
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Name(SmallVec::from_slice(text.as_bytes()))
    }
}

// Not by way of `as_str`, which looks through its bytes.
impl Encode for Name {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_text(&self.0, out);
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.0.as_slice() == other.as_bytes()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
