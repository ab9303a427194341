use alloc::borrow::Cow;
use core::fmt;

/// What an error reply says about the operation, as Maelstrom's protocol numbers it.
///
/// Codes that the protocol doesn't list are indefinite, and those from 1000 up are a node's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ErrorCode(pub i64);

impl ErrorCode {
    /// No answer in time. Indefinite: the operation may have happened, or may yet.
    pub const TIMEOUT: Self = Self(0);
    /// No such node in the network.
    pub const NODE_NOT_FOUND: Self = Self(1);
    /// The node doesn't know this type of request.
    pub const NOT_SUPPORTED: Self = Self(10);
    /// The node can't serve this now; a later try may succeed.
    pub const TEMPORARILY_UNAVAILABLE: Self = Self(11);
    /// The request is not of the form that its type asks for.
    pub const MALFORMED_REQUEST: Self = Self(12);
    /// Something broke. Indefinite: the operation may have happened.
    pub const CRASH: Self = Self(13);
    /// The operation was given up, and has not happened.
    pub const ABORT: Self = Self(14);
    /// The key is not in the store.
    pub const KEY_DOES_NOT_EXIST: Self = Self(20);
    /// The key is in the store already.
    pub const KEY_ALREADY_EXISTS: Self = Self(21);
    /// What the request named as given does not hold: the `from` of a compare-and-swap.
    pub const PRECONDITION_FAILED: Self = Self(22);
    /// The transaction was given up for the sake of another.
    pub const TXN_CONFLICT: Self = Self(30);

    /// Whether the operation certainly has not happened and never will. As to Maelstrom, nothing is certain about a
    /// code that the protocol doesn't list.
    pub fn is_definite(self) -> bool {
        matches!(self.0, 1 | 10..=12 | 14 | 20..=22 | 30)
    }
}

/// The error that answers a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// What it says of the operation. Never a definite code for something that may have happened.
    pub code: ErrorCode,
    /// What was wrong, for a person.
    pub text: Cow<'static, str>,
}

impl Error {
    /// An error with `code` that tells a person `text`.
    pub fn new(code: ErrorCode, text: impl Into<Cow<'static, str>>) -> Self {
        Error {
            code,
            text: text.into(),
        }
    }

    /// The answer to a request whose type the node doesn't know.
    pub fn not_supported(kind: &str) -> Self {
        Self::new(
            ErrorCode::NOT_SUPPORTED,
            alloc::format!("this node has no request of type {kind:?}"),
        )
    }

    /// The answer to a request that can't be served now. Nothing has been done for it.
    pub fn unavailable(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::TEMPORARILY_UNAVAILABLE, text)
    }

    /// The answer to a request that is not of the form that its type asks for.
    pub fn malformed(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::MALFORMED_REQUEST, text)
    }

    /// The answer to a request that lacks the field `name`.
    pub fn missing(name: &str) -> Self {
        Self::malformed(alloc::format!("the body has no {name:?}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {}: {}", self.code.0, self.text)
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_listed_codes_but_timeout_and_crash_are_definite() {
        for code in [1, 10, 11, 12, 14, 20, 21, 22, 30] {
            assert!(ErrorCode(code).is_definite(), "{code}");
        }
        for code in [0, 13, 1000, 123_456, -1, 2, 40, 500, 999] {
            assert!(!ErrorCode(code).is_definite(), "{code}");
        }
    }
}
