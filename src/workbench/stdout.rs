//! Checks whether results can be printed.

use std::io;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Checks that stdout can be written to, without writing anything. Otherwise a run would go on to its end although its
/// result can't be printed.
///
/// A stdout that was closed when this program was started passes: Rust's standard library has put `/dev/null` in its place,
/// and `> /dev/null` is the usual way to get only the exit status.
///
/// # Errors
///
/// The error that writing would have.
pub fn check() -> io::Result<()> {
    let stdout = io::stdout();
    // Writing nothing fails on a full device, and on a file that is open for reading only.
    match rustix::io::write(&stdout, &[]) {
        Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
        Err(error) => return Err(error.into()),
    }
    // Writing nothing to a pipe succeeds even if nobody reads it.
    let mut stdouts = [PollFd::new(&stdout, PollFlags::empty())];
    poll(&mut stdouts, Some(&Timespec::default()))?;
    match stdouts[0]
        .revents()
        .intersects(PollFlags::ERR | PollFlags::HUP)
    {
        true => Err(Errno::PIPE.into()),
        false => Ok(()),
    }
}
