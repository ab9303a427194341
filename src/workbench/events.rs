//! Waiting for events.

use std::io::ErrorKind;
use std::time::Duration;

use mio::{Events, Poll};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::system::{SystemError, refused};

/// Waits for events, at most for `timeout`. It may end early, and without an event.
///
/// mio rounds a timeout up to whole milliseconds, which is long for a gap between operations or for a latency. So it only
/// takes the events that are there, after a wait as exact as the operating system's.
///
/// # Errors
///
/// When the operating system refuses it.
pub fn wait_for_events(
    poll: &mut Poll,
    events: &mut Events,
    timeout: Duration,
) -> Result<(), SystemError> {
    if !timeout.is_zero() {
        let mut files = [PollFd::new(poll.registry(), PollFlags::IN)];
        // What does not fit is for ever.
        let timeout = Timespec::try_from(timeout).ok();
        match rustix::event::poll(&mut files, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(refused("wait for events")(error.into())),
        }
    }
    match poll.poll(events, Some(Duration::ZERO)) {
        Err(error) if error.kind() != ErrorKind::Interrupted => {
            Err(refused("wait for events")(error))
        }
        _ => Ok(()),
    }
}
