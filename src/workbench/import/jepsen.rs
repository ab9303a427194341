//! Reads Jepsen's histories, in which an operation is two events: an invocation, and a completion unless there was no
//! reply.
//!
//! A process has at most one operation under way. The order of the events is that of the file; their times only show
//! the distances. Events without times are taken to be a millisecond apart.
//!
//! The process of a client is a number. The only process with a name is `:nemesis`, whose events are faults.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Builder, Wrong};
use crate::protocol::ErrorCode;
use crate::workbench::history::{Operation, Outcome};
use crate::workbench::nemesis::FaultWindow;
use crate::workbench::workload::{Event, Workload, json_error};

/// The process whose events are faults, as JSON.
const NEMESIS: &str = "\"nemesis\"";

/// The time between events that have no times.
const STEP: Duration = Duration::from_millis(1);

/// The state of the history after the events so far.
#[derive(Default)]
pub(super) struct Events {
    clock: Clock,
    /// The operation that each process has under way.
    under_way: HashMap<usize, UnderWay>,
}

struct UnderWay {
    function: String,
    /// Its index in the history; `None` if it sends no request to a node.
    operation: Option<usize>,
}

/// An event.
#[derive(Deserialize)]
struct Map<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    process: Option<&'a RawValue>,
    #[serde(borrow, rename = "f")]
    function: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    time: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(rename = "final?")]
    is_final: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Invoke,
    Ok,
    Fail,
    Info,
}

impl Map<'_> {
    fn kind(&self) -> Result<Kind, Wrong> {
        match self.kind.map(RawValue::get) {
            Some("\"invoke\"") => Ok(Kind::Invoke),
            Some("\"ok\"") => Ok(Kind::Ok),
            Some("\"fail\"") => Ok(Kind::Fail),
            Some("\"info\"") => Ok(Kind::Info),
            Some(other) => Err(Wrong::Form(format!(
                "its type is {other}, not invoke, ok, fail or info"
            ))),
            None => Err(Wrong::Form(String::from(
                "this map has no type: invoke, ok, fail or info. Is the file a history?",
            ))),
        }
    }

    /// The number of the process; `None` for the nemesis.
    fn process(&self) -> Result<Option<usize>, Wrong> {
        let Some(process) = self.process.map(RawValue::get) else {
            return Err(Wrong::Form(String::from(
                "this event has no process. The number of the process pairs a completion with its invocation",
            )));
        };
        match process.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) if process == NEMESIS => Ok(None),
            Err(_) => Err(Wrong::Form(format!(
                "its process is {process}. That of a client is a whole number from 0 up, and only nemesis, whose events \
                 are faults, has a name"
            ))),
        }
    }

    /// Its time in nanoseconds.
    fn time_ns(&self) -> Result<Option<u64>, Wrong> {
        let Some(time) = self.time.map(RawValue::get) else {
            return Ok(None);
        };
        let whole = time.parse().ok();
        let whole = whole.or_else(|| time.parse::<f64>().ok().map(|time| time as u64));
        let wrong = || {
            Wrong::Form(format!(
                "its time is {time}, which is not a number of nanoseconds"
            ))
        };
        whole.map(Some).ok_or_else(wrong)
    }

    /// The reason why an operation failed or has an unknown outcome.
    fn why(&self, otherwise: &str) -> String {
        String::from(self.error.map_or(otherwise, RawValue::get))
    }

    /// The code of an error that shows something about the nodes' contents, by Maelstrom's name for it in `:error
    /// [:name text]`.
    fn error_code(&self) -> Option<i64> {
        let error = self.error?.get();
        let (name, _): (&str, &RawValue) = serde_json::from_str(error).ok()?;
        let codes = [
            ("key-does-not-exist", ErrorCode::KEY_DOES_NOT_EXIST),
            ("key-already-exists", ErrorCode::KEY_ALREADY_EXISTS),
            ("precondition-failed", ErrorCode::PRECONDITION_FAILED),
        ];
        codes
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, code)| code.0)
    }
}

impl Events {
    /// Adds the next event.
    pub(super) fn add<W: Workload>(
        &mut self,
        json: &str,
        workload: &mut W,
        history: &mut Builder<W>,
    ) -> Result<(), Wrong> {
        if !json.starts_with('{') {
            let what = "this is not a map. A history has maps, such as {:type :invoke, :process 0, :f :read}";
            return Err(Wrong::Form(String::from(what)));
        }
        let map: Map<'_> = serde_json::from_str(json).map_err(|error| {
            Wrong::Form(format!("this is not an event: {}", json_error(&error)))
        })?;
        let kind = map.kind()?;
        let process = map.process()?;
        let at = self.clock.at(map.time_ns()?);
        let Some(process) = process else {
            note_fault(
                map.function.as_deref().unwrap_or_default(),
                at,
                &mut history.fault_windows,
            );
            return Ok(());
        };
        let mut event = Event {
            process,
            function: map.function.as_deref().unwrap_or_default(),
            value: map.value.map_or("null", RawValue::get),
            is_final: map.is_final.unwrap_or(false),
            json,
        };
        match kind {
            Kind::Invoke => self.invoke(&mut event, at, workload, history),
            _ => self.complete(kind, &map, &event, at, workload, history),
        }
    }

    fn invoke<W: Workload>(
        &mut self,
        event: &mut Event<'_>,
        at: Duration,
        workload: &mut W,
        history: &mut Builder<W>,
    ) -> Result<(), Wrong> {
        let Event {
            process, function, ..
        } = *event;
        if let Some(before) = self.under_way.get(&process) {
            return Err(Wrong::Form(format!(
                "process {process} begins {function:?} while its {:?} is under way: either the completion of that is \
                 missing, or two clients have the same process",
                before.function
            )));
        }
        let call = workload.read_invocation(event).map_err(Wrong::Workload)?;
        let operation = call.map(|call| {
            let node = history.node(&format!("p{process}"));
            history.operations.push(Operation {
                client: process,
                node,
                call,
                is_final: event.is_final,
                invoked_at: at,
                completed_at: at,
                outcome: Outcome::Indeterminate(String::from("the history has no completion")),
            });
            history.operations.len() - 1
        });
        let function = String::from(function);
        self.under_way.insert(
            process,
            UnderWay {
                function,
                operation,
            },
        );
        Ok(())
    }

    fn complete<W: Workload>(
        &mut self,
        kind: Kind,
        map: &Map<'_>,
        event: &Event<'_>,
        at: Duration,
        workload: &mut W,
        history: &mut Builder<W>,
    ) -> Result<(), Wrong> {
        let Event {
            process, function, ..
        } = *event;
        let Some(UnderWay {
            function: asked,
            operation,
        }) = self.under_way.remove(&process)
        else {
            return Err(Wrong::Form(format!(
                "process {process} completes {function:?} without an invocation before it"
            )));
        };
        if asked != function {
            return Err(Wrong::Form(format!(
                "process {process} completes {function:?} after it began {asked:?}"
            )));
        }
        let Some(operation) = operation else {
            return Ok(());
        };
        let operation = &mut history.operations[operation];
        operation.completed_at = at;
        operation.outcome = match kind {
            Kind::Ok => {
                let answer = workload.read_completion(&operation.call, event);
                Outcome::Ok(answer.map_err(Wrong::Workload)?)
            }
            Kind::Fail => {
                let code = map.error_code();
                match code.and_then(|code| W::answer_in_error(&operation.call, code)) {
                    Some(answer) => Outcome::Ok(answer),
                    None => Outcome::Failed(map.why("the history gives no reason")),
                }
            }
            Kind::Invoke | Kind::Info => Outcome::Indeterminate(map.why("the outcome is unknown")),
        };
        Ok(())
    }

    /// Ends the history. Operations under way get no reply.
    pub(super) fn finish<W: Workload>(self, history: &mut Builder<W>) {
        history.has_times = self.clock.first_ns.is_some();
        for operation in self
            .under_way
            .into_values()
            .filter_map(|under_way| under_way.operation)
        {
            history.operations[operation].completed_at = self.clock.last.unwrap_or_default();
        }
    }
}

/// The times of events since the first.
#[derive(Default)]
struct Clock {
    /// The first time in the history.
    first_ns: Option<u64>,
    /// The time of the last event.
    last: Option<Duration>,
}

impl Clock {
    /// The time of the next event: its own, but always later than the last event.
    fn at(&mut self, time_ns: Option<u64>) -> Duration {
        let time = time_ns.map(|time_ns| {
            let first_ns = *self.first_ns.get_or_insert(time_ns);
            Duration::from_nanos(time_ns.saturating_sub(first_ns))
        });
        let next = match self.last {
            None => Duration::ZERO,
            Some(last) => match time {
                Some(time) => time.max(last + Duration::from_nanos(1)),
                None => last + STEP,
            },
        };
        self.last = Some(next);
        next
    }
}

/// Begins or ends a fault, by the names in Jepsen's nemesis packages. A fault with an unknown name does not end.
fn note_fault(function: &str, at: Duration, windows: &mut Vec<FaultWindow>) {
    let open = |what: &str, windows: &[FaultWindow]| {
        windows
            .iter()
            .rposition(|window| window.what == what && window.ended_at.is_none())
    };
    let (what, begins) = match function {
        // These names are those of Jepsen's package for databases, which kills nodes with :kill. Elsewhere :start
        // begins a fault.
        "start" if open("kill", windows).is_some() => ("kill", false),
        "start" => ("fault", true),
        "stop" => ("fault", false),
        "resume" => ("pause", false),
        _ => match (
            function.strip_prefix("start-"),
            function.strip_prefix("stop-"),
        ) {
            (Some(what), _) => (what, true),
            (_, Some(what)) => (what, false),
            _ => (function, true),
        },
    };
    match open(what, windows) {
        None if begins => windows.push(FaultWindow {
            what: String::from(what),
            began_at: at,
            ended_at: None,
        }),
        Some(window) if !begins => windows[window].ended_at = Some(at),
        _ => {}
    }
}
