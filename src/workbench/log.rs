//! The log of a run: one line for each event, in the order of events.
//!
//! ```text
//! start+0.000000 s  n1 joins the network
//!       0.000000 s  all nodes are ready
//!       0.012345 s  #0 c6 → n1: add {"delta":3}
//!       0.012345 s  recv #8 c6 → n1 {"type":"add","delta":3,"msg_id":1}
//!       0.013011 s  n1: a line that n1 has printed on stderr
//!       0.013402 s  #0 c6 ← n1: add_ok
//!       5.200000 s  fault begins: partition: n1 cut off
//! ```
//!
//! Times are seconds since all nodes were ready. Until then they are seconds since the first node was started.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::time::Duration;

use super::words::counted;
use super::world::{Event, Loss, MessageEvent, Observer, Progress};

/// The kinds of lines that a log has.
#[derive(Clone, Copy, Default)]
pub struct Topics {
    /// Operations, faults, and nodes that join the network.
    pub run: bool,
    /// Lines that nodes print on stderr.
    pub stderr: bool,
    /// Messages, when they are sent.
    pub sent: bool,
    /// Messages, when they arrive or are lost.
    pub received: bool,
}

/// The destination of the lines of a log.
pub trait Sink {
    /// Takes a line. `node` is the name of the node if the line is one of its stderr.
    fn line(&mut self, line: &str, node: Option<&str>);

    /// Called at intervals during a run in real time.
    fn progress(&mut self, _: &Progress<'_>) {}
}

/// An observer that writes a log to a sink.
pub struct Log<S> {
    topics: Topics,
    sink: S,
    /// The driver's time at which all nodes were ready.
    began_at: Option<Duration>,
    /// The line that is being written; kept to save allocations.
    line: String,
}

impl<S: Sink> Log<S> {
    /// A log of these topics.
    pub fn new(topics: Topics, sink: S) -> Self {
        Log {
            topics,
            sink,
            began_at: None,
            line: String::new(),
        }
    }

    /// The driver's time at which all nodes were ready.
    pub fn began_at(&self) -> Option<Duration> {
        self.began_at
    }

    /// The sink.
    pub fn sink(&mut self) -> &mut S {
        &mut self.sink
    }

    /// Ends the log and returns its sink.
    pub fn into_sink(self) -> S {
        self.sink
    }

    fn write(&mut self, at: Duration, node: Option<&str>, what: fmt::Arguments<'_>) {
        self.line.clear();
        write!(self.line, "{:>16}  {what}", time(self.began_at, at))
            .expect("memory takes every line, and no value fails to be shown");
        self.sink.line(&self.line, node);
    }

    fn write_message(&mut self, what: &str, message: &MessageEvent<'_>) {
        let MessageEvent {
            at,
            id,
            sent_at,
            src,
            dest,
            body,
            is_stale,
        } = *message;
        let stale = if is_stale { "  (stale)" } else { "" };
        let sent = match sent_at == at {
            true => String::new(),
            false => format!("  (sent at {})", time(self.began_at, sent_at)),
        };
        self.write(
            at,
            None,
            format_args!("{what} #{id} {src} → {dest} {body}{sent}{stale}"),
        );
    }
}

/// The text of a time, in whole microseconds as in the other files of a run.
fn time(began_at: Option<Duration>, at: Duration) -> String {
    let (name, time) = match began_at.and_then(|began_at| at.checked_sub(began_at)) {
        Some(since) => ("", since),
        None => ("start+", at),
    };
    let micros = time.as_micros();
    format!("{name}{}.{:06} s", micros / 1_000_000, micros % 1_000_000)
}

/// Splits a line of a log into its time and the rest. The time is in microseconds since all nodes were ready, which was at
/// `began_at` by the driver's time. Returns `None` for a line without a time, and without `began_at` also for an earlier
/// line.
pub fn split(line: &str, began_at: Option<Duration>) -> Option<(i64, &str)> {
    let (time, what) = line.split_once(" s  ")?;
    let micros = |seconds: &str| seconds.replace('.', "").parse::<i64>().ok();
    let time = time.trim_start();
    let at_us = match time.strip_prefix("start+") {
        Some(time) => micros(time)? - began_at?.as_micros() as i64,
        None => micros(time)?,
    };
    Some((at_us, what))
}

impl<S: Sink> Observer for Log<S> {
    fn began(&mut self, at: Duration) {
        self.began_at = Some(at);
        if self.topics.run {
            self.write(at, None, format_args!("all nodes are ready"));
        }
    }

    fn sent(&mut self, message: &MessageEvent<'_>) {
        if self.topics.sent {
            self.write_message("send", message);
        }
    }

    fn received(&mut self, message: &MessageEvent<'_>) {
        if self.topics.received {
            self.write_message("recv", message);
        }
    }

    fn lost(&mut self, message: &MessageEvent<'_>, why: Loss) {
        if self.topics.received {
            self.write_message(why.fate(), message);
        }
    }

    fn happened(&mut self, at: Duration, event: &Event<'_>) {
        let is_wanted = match event {
            Event::Logged { .. } => self.topics.stderr,
            _ => self.topics.run,
        };
        if !is_wanted {
            return;
        }
        match *event {
            Event::Joined(node) => self.write(at, None, format_args!("{node} joins the network")),
            Event::OperationBegan {
                index,
                client,
                node,
                request,
            } => {
                let request = request();
                self.write(
                    at,
                    None,
                    format_args!("#{index} c{client} → {node}: {request}"),
                );
            }
            Event::OperationEnded {
                index,
                client,
                node,
                outcome,
            } => {
                // The text of an error may have several lines.
                let outcome = outcome().replace('\n', " ");
                self.write(
                    at,
                    None,
                    format_args!("#{index} c{client} ← {node}: {outcome}"),
                );
            }
            Event::FaultBegan(what) => self.write(at, None, format_args!("fault begins: {what}")),
            Event::FaultEnded(what) => self.write(at, None, format_args!("fault ends: {what}")),
            Event::Logged { node, line } => {
                self.write(at, Some(node), format_args!("{node}: {line}"));
            }
        }
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        self.sink.progress(progress);
    }
}

/// The last lines of a log, kept in memory.
#[derive(Default)]
pub struct LastLines {
    lines: VecDeque<String>,
    omitted_count: usize,
}

impl LastLines {
    /// The number of lines to keep.
    const MAX: usize = 120;
}

impl Sink for LastLines {
    fn line(&mut self, line: &str, _: Option<&str>) {
        if self.lines.len() == LastLines::MAX {
            self.lines.pop_front();
            self.omitted_count += 1;
        }
        self.lines.push_back(String::from(line));
    }
}

impl fmt::Display for LastLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.omitted_count > 0 {
            let omitted = counted(self.omitted_count, "earlier line");
            writeln!(f, "({omitted} left out)")?;
        }
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The log of a node that joins, receives a message, prints a line and answers.
    fn log(topics: Topics) -> String {
        let ms = Duration::from_millis;
        let mut log = Log::new(topics, LastLines::default());
        log.happened(ms(5), &Event::Joined("n0"));
        log.began(ms(10));
        log.happened(ms(12), &Event::FaultBegan("killed: n0"));
        let began = Event::OperationBegan {
            index: 3,
            client: 2,
            node: "n0",
            request: &|| String::from("read"),
        };
        log.happened(ms(1_010), &began);
        let message = MessageEvent {
            at: ms(1_010),
            id: 7,
            sent_at: ms(1_010),
            src: "c2",
            dest: "n0",
            body: "{}",
            is_stale: false,
        };
        log.sent(&message);
        let later = MessageEvent {
            at: ms(1_015),
            is_stale: true,
            ..message
        };
        log.received(&later);
        log.lost(&later, Loss::NodeDown);
        let (node, line) = ("n0", "asked");
        log.happened(ms(1_016), &Event::Logged { node, line });
        let ended = Event::OperationEnded {
            index: 3,
            client: 2,
            node: "n0",
            outcome: &|| String::from("failed, not\nnow"),
        };
        log.happened(ms(1_020), &ended);
        log.happened(ms(2_000), &Event::FaultEnded("killed: n0"));
        log.into_sink().to_string()
    }

    #[test]
    fn each_line_has_its_time_in_the_run_and_what_happened() {
        let all = Topics {
            run: true,
            stderr: true,
            sent: true,
            received: true,
        };
        assert_eq!(
            log(all),
            "start+0.005000 s  n0 joins the network
      0.000000 s  all nodes are ready
      0.002000 s  fault begins: killed: n0
      1.000000 s  #3 c2 → n0: read
      1.000000 s  send #7 c2 → n0 {}
      1.005000 s  recv #7 c2 → n0 {}  (sent at 1.000000 s)  (stale)
      1.005000 s  lost: node down #7 c2 → n0 {}  (sent at 1.000000 s)  (stale)
      1.006000 s  n0: asked
      1.010000 s  #3 c2 ← n0: failed, not now
      1.990000 s  fault ends: killed: n0\n"
        );
    }

    #[test]
    fn a_line_is_split_into_its_time_and_what_happened() {
        let began_at = Some(Duration::from_millis(10));
        let us = |line| split(line, began_at).map(|(at_us, _)| at_us);
        let log = log(Topics {
            run: true,
            stderr: true,
            ..Topics::default()
        });
        let times: Vec<Option<i64>> = log.lines().map(us).collect();
        let expected = [-5_000, 0, 2_000, 1_000_000, 1_006_000, 1_010_000, 1_990_000];
        assert_eq!(times, expected.map(Some));
        let line = log.lines().nth(4).expect("a line");
        assert_eq!(split(line, None), Some((1_006_000, "n0: asked")));
        let early = log.lines().next().expect("a line");
        assert_eq!(split(early, None), None);
        assert_eq!(us("(eddy: this log has reached its limit)"), None);
    }

    #[test]
    fn a_topic_that_is_not_wanted_is_left_out() {
        let stderr = Topics {
            stderr: true,
            ..Topics::default()
        };
        assert_eq!(log(stderr), "      1.006000 s  n0: asked\n");
        assert_eq!(log(Topics::default()), "");
    }

    #[test]
    fn a_long_log_keeps_its_end_and_reports_the_cut() {
        let mut lines = LastLines::default();
        for number in 0..LastLines::MAX + 2 {
            lines.line(&number.to_string(), None);
        }
        let shown = lines.to_string();
        assert!(shown.starts_with("(2 earlier lines left out)\n2\n3\n"));
        assert!(shown.ends_with("\n121\n"));
    }
}
