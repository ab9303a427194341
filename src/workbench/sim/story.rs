use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::workbench::nemesis::FaultWindow;
use crate::workbench::world::{MessageEvent, Observer};

/// So many messages are told at most. A longer story is told by its end.
const TOLD_MAX: usize = 60;

/// What happened in a run, message by message.
#[derive(Default)]
pub struct Story {
    messages: BTreeMap<u64, Message>,
    faults: Vec<FaultWindow>,
}

struct Message {
    sent_at: Duration,
    /// When each copy arrived.
    arrivals: Vec<Duration>,
    src: String,
    dest: String,
    body: String,
}

impl Story {
    /// Adds what was broken, and when.
    pub fn with_faults(mut self, faults: &[FaultWindow]) -> Self {
        self.faults = faults.to_vec();
        self
    }
}

impl Observer for Story {
    fn sent(&mut self, message: &MessageEvent<'_>) {
        self.messages.insert(
            message.id,
            Message {
                sent_at: message.at,
                arrivals: Vec::new(),
                src: String::from(message.src),
                dest: String::from(message.dest),
                body: message.body.to_owned(),
            },
        );
    }

    fn received(&mut self, message: &MessageEvent<'_>) {
        if let Some(sent) = self.messages.get_mut(&message.id) {
            sent.arrivals.push(message.at);
        }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_told = |message: &&Message| !message.body.starts_with(r#"{"type":"init"#);
        let told: Vec<&Message> = self.messages.values().filter(is_told).collect();
        let hidden = told.len().saturating_sub(TOLD_MAX);
        if hidden > 0 {
            writeln!(f, "({hidden} earlier messages are left out)")?;
        }
        let mut faults: Vec<(Duration, String)> = Vec::new();
        for window in &self.faults {
            faults.push((window.began_at, format!("{} begins", window.what)));
            faults.extend(
                window
                    .ended_at
                    .map(|at| (at, format!("{} ends", window.what))),
            );
        }
        faults.sort();
        let mut faults = faults.into_iter().peekable();
        for message in &told[hidden..] {
            while let Some((at, what)) = faults.next_if(|(at, _)| *at <= message.sent_at) {
                writeln!(f, "{:>10.4} s  --- {what}", at.as_secs_f64())?;
            }
            writeln!(f, "{message}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Message {
            sent_at,
            arrivals,
            src,
            dest,
            body,
        } = self;
        write!(
            f,
            "{:>10.4} s  {src} → {dest}  {body}",
            sent_at.as_secs_f64()
        )?;
        match &arrivals[..] {
            [] => f.write_str("  (never arrives)"),
            [at] if at == sent_at => Ok(()),
            arrivals => {
                f.write_str("  (arrives at ")?;
                for (index, at) in arrivals.iter().enumerate() {
                    let and = if index > 0 { " and again at " } else { "" };
                    write!(f, "{and}{:.4} s", at.as_secs_f64())?;
                }
                f.write_str(")")
            }
        }
    }
}
