//! What the operating system refuses.

use std::io;

use rustix::process::{Resource, getrlimit};
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

/// This process may open too few files.
#[derive(Debug, Error)]
#[error(
    "this process may open {limit} files at a time, and needs at least {needed}. Raise the limit: ulimit -n {needed}"
)]
pub struct FewDescriptors {
    limit: usize,
    needed: usize,
}

/// The number of file descriptors that are kept free for whatever does not grow with the number of nodes or clients.
pub const DESCRIPTORS_RESERVED: usize = 64;

/// How many of the files that this process may open at a time are left when `needed` of them are taken.
///
/// # Errors
///
/// When it may not open so many.
pub fn descriptors_beyond(needed: usize) -> Result<usize, FewDescriptors> {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let left = limit.checked_sub(needed);
    left.ok_or(FewDescriptors { limit, needed })
}
