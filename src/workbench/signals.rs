//! The signals that a loop waits for or looks at: a child has changed, or the program is to end.
//!
//! While no loop does, as between two runs or while a run is checked, SIGINT, SIGTERM and SIGHUP end the process at once.
//! That is their default, but it has to be emulated: signal-hook leaves its handlers in place when nobody listens any
//! longer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use mio::{Interest, Registry, Token};
use signal_hook::SigId;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_default};
use signal_hook::low_level::{emulate_default_handler, unregister};

use super::system::{SystemError, refused};

/// The signals that are sent to end a program.
const END: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Whether the signals in [`END`] end the process at once. They do while nobody listens, and after an [`EndRequest`].
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
///
/// A signal that comes when the one before has not been taken ends the process at once: the loop does not get to take any,
/// as when it waits for somebody to read standard error.
pub struct Signals {
    received: signal_hook_mio::v1_0::Signals,
    _request: EndRequest,
}

impl Signals {
    /// Listens from now on. Signals are events with this token.
    ///
    /// # Errors
    ///
    /// When the operating system refuses it.
    pub fn listen(registry: &Registry, token: Token) -> Result<Self, SystemError> {
        // Before the rest, as actions run in the order of their registration. Else, where another thread receives the signal,
        // this one could take it and stop listening before the action runs that ends the process if nobody listens.
        let _request = EndRequest::listen()?;
        let all = END.into_iter().chain([SIGCHLD]);
        let mut received =
            signal_hook_mio::v1_0::Signals::new(all).map_err(refused("watch signals"))?;
        registry
            .register(&mut received, token, Interest::READABLE)
            .map_err(refused("watch signals"))?;
        Ok(Signals { received, _request })
    }

    /// Takes the signals that have arrived.
    pub fn take(&mut self) -> impl Iterator<Item = Received> {
        let taken: Vec<i32> = self.received.pending().collect();
        ENDS_AT_ONCE.store(false, Ordering::SeqCst);
        taken.into_iter().map(|signal| match signal {
            SIGCHLD => Received::Child,
            _ => Received::End,
        })
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        ENDS_AT_ONCE.store(true, Ordering::SeqCst);
        // It came too late for the loop to take it.
        if let Some(signal) = self.received.pending().find(|signal| END.contains(signal)) {
            // This fails only for signals that do not exist.
            let _ = emulate_default_handler(signal);
        }
    }
}

/// Until it is dropped, the first signal only asks for the end, and a second one ends the process at once. For work that
/// looks between two steps. At any time there is at most one, that of [`Signals`] included.
pub struct EndRequest(Vec<SigId>);

impl EndRequest {
    /// Takes the next signal for a request.
    ///
    /// # Errors
    ///
    /// When the operating system refuses it.
    pub fn listen() -> Result<Self, SystemError> {
        // The action that ends the process was registered before, so it does not see what the same signal sets here.
        let ends_at_once = LazyLock::force(&ENDS_AT_ONCE);
        let mut request = EndRequest(Vec::new());
        for signal in END {
            let id =
                register(signal, Arc::clone(ends_at_once)).map_err(refused("watch signals"))?;
            request.0.push(id);
        }
        ends_at_once.store(false, Ordering::SeqCst);
        Ok(request)
    }

    /// Whether a signal has come.
    pub fn is_made(&self) -> bool {
        ENDS_AT_ONCE.load(Ordering::SeqCst)
    }
}

impl Drop for EndRequest {
    fn drop(&mut self) {
        ENDS_AT_ONCE.store(true, Ordering::SeqCst);
        for id in self.0.drain(..) {
            unregister(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;
    use std::thread;

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

    const CASES: [Case; 11] = [
        Case {
            when: "while somebody looks for a request",
            act: |signal| {
                drop(listen());
                let request = end_request();
                assert!(!request.is_made());
                send(signal);
                assert!(request.is_made());
            },
            ends: false,
        },
        Case {
            when: "when a request has been made",
            act: |signal| {
                let _request = end_request();
                send(signal);
                send(signal);
            },
            ends: true,
        },
        Case {
            when: "after somebody has looked for a request",
            act: |signal| {
                drop(end_request());
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
            when: "when nobody has taken the one before",
            act: |signal| {
                let signals = listen();
                send(signal);
                send(signal);
                std::mem::forget(signals);
            },
            ends: true,
        },
        Case {
            when: "when somebody has taken the one before and goes on",
            act: |signal| {
                let mut signals = listen();
                for _ in 0..2 {
                    send(signal);
                    assert_eq!(Vec::from_iter(signals.take()), [Received::End]);
                }
            },
            ends: false,
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
            when: "while somebody listens who then stops, and another thread receives it",
            act: |signal| {
                for _ in 0..100 {
                    let mut signals = listen();
                    thread::scope(|scope| {
                        scope.spawn(|| send(signal));
                        while signals.take().next().is_none() {}
                        drop(signals);
                    });
                }
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

    fn end_request() -> EndRequest {
        EndRequest::listen().expect("signals can be watched")
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
