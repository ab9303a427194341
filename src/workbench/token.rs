//! The secret that clients and peers of `eddy serve` must know.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use subtle::ConstantTimeEq;
use thiserror::Error;

use super::words::counted;

/// The minimum length of a token, in bytes. A shorter one could be guessed.
const BYTES_MIN: usize = 16;

/// The secret that clients and peers must know.
#[derive(Clone)]
pub struct Token(String);

/// The reason why a file holds no token.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The file can't be read as text.
    #[error("the token can't be read from {}: {error}", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The token is short.
    #[error(
        "the token in {} has {}, and at least {BYTES_MIN} are needed. Make one: head -c 32 /dev/urandom | base64 > {}",
        path.display(), counted(*bytes, "byte"), path.display()
    )]
    TooShort {
        /// The path of the file.
        path: PathBuf,
        /// The length of the token.
        bytes: usize,
    },
}

impl Token {
    /// Reads the token from a file, without the white space around it.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or has fewer than 16 bytes.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let path = path.to_path_buf();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => return Err(TokenError::Read { path, error }),
        };
        Token::new(text.trim()).map_err(|bytes| TokenError::TooShort { path, bytes })
    }

    /// This token.
    ///
    /// # Errors
    ///
    /// Its length, if it has fewer than 16 bytes.
    pub(super) fn new(token: &str) -> Result<Self, usize> {
        match token.len() {
            BYTES_MIN.. => Ok(Token(String::from(token))),
            bytes => Err(bytes),
        }
    }

    /// Whether `given` is the token. The time that this takes depends on nothing but the length of `given`.
    pub(super) fn is(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }

    /// The token, to be sent to a node.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

// A derived one would show the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}
