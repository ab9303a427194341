//! Whether results can be printed.

use std::io;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Checks that stdout takes what is written, without writing anything: nobody waits for a run to learn that its result
/// can't be printed.
///
/// A stdout that was closed when this program was started passes: Rust's standard library has put `/dev/null` in its place,
/// and many who want only the exit status say `> /dev/null`.
///
/// # Errors
///
/// The error that writing would have.
pub fn check() -> io::Result<()> {
    let stdout = io::stdout();
    // A full device refuses even nothing, and so does a file that is open for reading only.
    match rustix::io::write(&stdout, &[]) {
        Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
        Err(error) => return Err(error.into()),
    }
    // A pipe takes nothing, whether anybody reads it or not.
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
