//! What the operating system refuses.

use std::io;

use thiserror::Error;

/// The operating system refused something that a loop can't go on without.
#[derive(Debug, Error)]
#[error("the operating system refused to {what}: {error}")]
pub struct SystemError {
    what: &'static str,
    error: io::Error,
}

/// Converts an error of the operating system to one that names the refused action, such as "watch pipes".
pub fn refused(what: &'static str) -> impl FnOnce(io::Error) -> SystemError {
    move |error| SystemError { what, error }
}
