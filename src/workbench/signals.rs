//! The signals that a loop waits for: a child has changed, or the program is to end.
//!
//! While no loop listens, as between two runs or while a run is checked, SIGINT, SIGTERM and SIGHUP end the process at
//! once. That is their default, but it has to be emulated: signal-hook leaves its handlers in place when nobody listens any
//! longer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;

use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_default;
use signal_hook::iterator::{self, Handle};
use signal_hook::low_level::emulate_default_handler;

use super::system::{SystemError, refused};

/// The signals that are sent to end a program.
const END: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Whether the signals in [`END`] end the process at once. They do while nobody listens.
static ENDS_AT_ONCE: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| {
    let ends_at_once = Arc::new(AtomicBool::new(true));
    for signal in END {
        register_conditional_default(signal, Arc::clone(&ends_at_once))
            .expect("the signal exists and can be caught");
    }
    ends_at_once
});

/// A signal that has arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// A child has ended, or was stopped or continued.
    Child,
    /// The program is to end.
    End,
}

/// Receives the signals, instead of their default action, until it is dropped. At any time there is at most one.
pub struct Signals(signal_hook_mio::v1_0::Signals);

impl Signals {
    /// Listens from now on. Signals are events with this token.
    ///
    /// # Errors
    ///
    /// When the operating system refuses it.
    pub fn listen(registry: &Registry, token: Token) -> Result<Self, SystemError> {
        let all = END.into_iter().chain([SIGCHLD]);
        let mut signals =
            signal_hook_mio::v1_0::Signals::new(all).map_err(refused("watch signals"))?;
        registry
            .register(&mut signals, token, Interest::READABLE)
            .map_err(refused("watch signals"))?;
        ENDS_AT_ONCE.store(false, Ordering::SeqCst);
        Ok(Signals(signals))
    }

    /// Takes the signals that have arrived.
    pub fn take(&mut self) -> impl Iterator<Item = Received> {
        let pending = self.0.pending();
        pending.map(|signal| match signal {
            SIGCHLD => Received::Child,
            _ => Received::End,
        })
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        ENDS_AT_ONCE.store(true, Ordering::SeqCst);
        // It came too late for the loop to take it.
        if let Some(signal) = self.0.pending().find(|signal| END.contains(signal)) {
            // This fails only for signals that do not exist.
            let _ = emulate_default_handler(signal);
        }
    }
}

/// Calls a function before a signal ends the process, until it is dropped. For work without a loop, so never at the same
/// time as [`Signals`].
pub struct EndNotice(Handle);

impl EndNotice {
    /// Calls `notice` from now on.
    ///
    /// # Errors
    ///
    /// When the operating system refuses it.
    pub fn new(notice: impl Fn() + Send + 'static) -> Result<Self, SystemError> {
        let mut signals = iterator::Signals::new(END).map_err(refused("watch signals"))?;
        let handle = signals.handle();
        ENDS_AT_ONCE.store(false, Ordering::SeqCst);
        thread::spawn(move || {
            for signal in signals.forever() {
                notice();
                // This fails only for signals that do not exist.
                let _ = emulate_default_handler(signal);
            }
        });
        Ok(EndNotice(handle))
    }
}

impl Drop for EndNotice {
    fn drop(&mut self) {
        ENDS_AT_ONCE.store(true, Ordering::SeqCst);
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{self, Command};

    use mio::Poll;
    use signal_hook::low_level::raise;

    use super::*;

    const TEST: &str =
        "workbench::signals::tests::a_signal_goes_to_whoever_listens_and_else_ends_the_process";

    /// Names a case and a signal to the process that carries it out.
    const CASE: &str = "EDDY_SIGNALS_CASE";

    struct Case {
        when: &'static str,
        /// Sends a signal to its own process.
        act: fn(i32),
        ends: bool,
    }

    const CASES: [Case; 7] = [
        Case {
            when: "while there is a notice of the end",
            act: |signal| {
                drop(listen());
                let _notice = end_notice();
                send(signal);
                loop {
                    thread::park();
                }
            },
            ends: false,
        },
        Case {
            when: "when there is no notice of the end any longer",
            act: |signal| {
                drop(end_notice());
                send(signal);
            },
            ends: true,
        },
        Case {
            when: "after somebody has listened",
            act: |signal| {
                drop(listen());
                send(signal);
            },
            ends: true,
        },
        Case {
            when: "too late to be taken",
            act: |signal| {
                let _signals = listen();
                send(signal);
            },
            ends: true,
        },
        Case {
            when: "when another has been taken",
            act: |signal| {
                let mut signals = listen();
                send(signal);
                assert_eq!(Vec::from_iter(signals.take()), [Received::End]);
                drop(signals);
                send(signal);
            },
            ends: true,
        },
        Case {
            when: "while somebody listens",
            act: |signal| {
                let mut signals = listen();
                send(signal);
                assert_eq!(Vec::from_iter(signals.take()), [Received::End]);
            },
            ends: false,
        },
        Case {
            when: "while somebody listens again",
            act: |signal| {
                drop(listen());
                let mut signals = listen();
                send(signal);
                assert_eq!(Vec::from_iter(signals.take()), [Received::End]);
            },
            ends: false,
        },
    ];

    fn listen() -> Signals {
        let poll = Poll::new().expect("a poll");
        Signals::listen(poll.registry(), Token(0)).expect("signals can be watched")
    }

    /// A notice that prevents the end by the signal.
    fn end_notice() -> EndNotice {
        EndNotice::new(|| process::exit(0)).expect("signals can be watched")
    }

    fn send(signal: i32) {
        raise(signal).expect("it can be sent to oneself");
    }

    #[test]
    fn a_signal_goes_to_whoever_listens_and_else_ends_the_process() {
        if let Ok(case) = env::var(CASE) {
            let (case, signal) = case.split_once(' ').expect("two numbers");
            let case: usize = case.parse().expect("a number");
            return (CASES[case].act)(signal.parse().expect("a number"));
        }
        for (index, Case { when, ends, .. }) in CASES.iter().enumerate() {
            for signal in END {
                let output = Command::new(env::current_exe().expect("this program"))
                    .args(["--exact", TEST])
                    .env(CASE, format!("{index} {signal}"))
                    .output()
                    .expect("it is there");
                let status = output.status;
                assert_eq!(
                    status.signal(),
                    ends.then_some(signal),
                    "{when}: {output:?}"
                );
                assert!(*ends || status.success(), "{when}: {output:?}");
            }
        }
    }
}
