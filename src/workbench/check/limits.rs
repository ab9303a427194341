//! Checks a run against limits on its messages and on the latency with which values reach every node.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Finding, Verdict};

/// The limits of a run. `None` means no limit.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Limits {
    /// The maximum number of messages between servers, services included, per client operation.
    pub messages_per_op_max: Option<f64>,
    /// The maximum time from the acknowledgement of a value until every node has it.
    pub stable_latency_max: Option<StableLatency>,
}

/// Limits on stable latencies, as `--max-stable-latency` takes them: `median=400,max=600`.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct StableLatency {
    /// The limit on the median, in milliseconds.
    pub median_ms: Option<f64>,
    /// The limit on the maximum, in milliseconds.
    pub max_ms: Option<f64>,
}

impl FromStr for StableLatency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not such as median=400,max=600, in milliseconds");
        let mut limits = StableLatency::default();
        for part in text.split(',') {
            let (name, value) = part.split_once('=').ok_or_else(wrong)?;
            let value: f64 = value.trim().parse().map_err(|_| wrong())?;
            if !(0.0..=1e9).contains(&value) {
                return Err(wrong());
            }
            match name.trim() {
                "median" => limits.median_ms = Some(value),
                "max" => limits.max_ms = Some(value),
                _ => return Err(wrong()),
            }
        }
        Ok(limits)
    }
}

impl fmt::Display for StableLatency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [("median", self.median_ms), ("max", self.max_ms)];
        let given = named
            .into_iter()
            .filter_map(|(name, limit)| Some((name, limit?)));
        for (index, (name, limit)) in given.enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{name}={limit}")?;
        }
        Ok(())
    }
}

/// A measurement and its limit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Measure {
    /// Its name, for display.
    pub name: Cow<'static, str>,
    /// Its unit, for display.
    pub unit: Cow<'static, str>,
    /// The measured value; `None` if the run has none.
    pub measured: Option<f64>,
    /// The limit.
    pub limit: f64,
}

impl Measure {
    fn is_kept(&self) -> bool {
        self.measured.is_some_and(|measured| measured <= self.limit)
    }
}

/// As `median 238 ms (400 allowed)` or `2.9 messages an operation (30 allowed)`.
impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measure {
            name, unit, limit, ..
        } = self;
        let name = if name.is_empty() {
            ""
        } else {
            &format!("{name} ")
        };
        match self.measured {
            Some(measured) => {
                let digits = if measured < 100.0 { 1 } else { 0 };
                write!(f, "{name}{measured:.digits$} {unit} ({limit} allowed)")
            }
            None => write!(f, "{name}no {unit} ({limit} allowed)"),
        }
    }
}

const FEWER_MESSAGES: &str = "Combine what arrives within a short time into one message, do not send a node what it sent \
                              you. In broadcast, have each value pass each link once: links that form a tree, or a star, do that";

const LESS_HOPS: &str =
    "Let values take fewer hops (a star takes two), and wait less before a message is sent on";

impl Limits {
    /// The measurements that these limits are about: messages between servers per operation, and quantiles of the
    /// stable latency as the broadcast checker computes them.
    pub fn measure(&self, messages_per_op: f64, facts: &Map<String, Value>) -> Vec<Measure> {
        let latency_ms = |quantile| facts.get("stable_latencies_ms")?.get(quantile)?.as_f64();
        let StableLatency { median_ms, max_ms } = self.stable_latency_max.unwrap_or_default();
        let measure = |name: &'static str, unit: &'static str, measured, limit: Option<f64>| {
            limit.map(|limit| Measure {
                name: name.into(),
                unit: unit.into(),
                measured,
                limit,
            })
        };
        let messages = Some(messages_per_op);
        let measures = [
            measure(
                "",
                "messages an operation",
                messages,
                self.messages_per_op_max,
            ),
            measure("median", "ms", latency_ms("0.5"), median_ms),
            measure("max", "ms", latency_ms("1"), max_ms),
        ];
        measures.into_iter().flatten().collect()
    }
}

/// Reports each exceeded limit, by how much it was exceeded, and what to try.
pub fn check(measures: &[Measure]) -> Verdict {
    let mut verdict = Verdict::valid();
    for measure in measures.iter().filter(|measure| !measure.is_kept()) {
        let Measure {
            name, unit, limit, ..
        } = measure;
        let is_latency = *unit == "ms";
        let what = match measure.measured {
            None => {
                let what = format!(
                    "The {name} stable latency is limited to {limit} ms, and this run shows none: nothing was added and \
                     read by every node."
                );
                verdict.add(Finding::undecided(what, []));
                continue;
            }
            Some(measured) if is_latency => format!(
                "The {name} stable latency was {measured:.0} ms; the limit is {limit} ms, so it is {:.0} ms too long. \
                 {LESS_HOPS}.",
                measured - limit
            ),
            Some(measured) => format!(
                "There were {measured:.2} messages between servers for each operation; the limit is {limit}, so there \
                 are {:.2} too many. {FEWER_MESSAGES}.",
                measured - limit
            ),
        };
        verdict.add(Finding::violation(what, []));
    }
    verdict
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workbench::check::testing::*;

    /// The verdict on a run with this many messages per operation and these stable latencies.
    fn verdict(messages_per_op: f64, stable_latencies_ms: Value) -> Verdict {
        let limits = Limits {
            messages_per_op_max: Some(30.0),
            stable_latency_max: Some("median=400,max=600".parse().expect("limits")),
        };
        let mut facts = Map::new();
        facts.insert("stable_latencies_ms".into(), stable_latencies_ms);
        check(&limits.measure(messages_per_op, &facts))
    }

    #[test]
    fn a_run_within_its_limits_is_valid() {
        assert_valid(&verdict(30.0, json!({"0.5": 400, "1": 600})));
    }

    #[test]
    fn an_exceeded_limit_is_reported_with_the_excess_and_what_to_try() {
        let slow = verdict(2.0, json!({"0.5": 410, "1": 590}));
        assert_invalid(
            &slow,
            "The median stable latency was 410 ms; the limit is 400 ms, so it is 10 ms too long. Let",
            &[],
        );
        let slowest = verdict(2.0, json!({"0.5": 300, "1": 601}));
        assert_invalid(&slowest, "The max stable latency was 601 ms", &[]);
        let busy = verdict(31.5, json!({"0.5": 300, "1": 500}));
        assert_invalid(
            &busy,
            "31.50 messages between servers for each operation; the limit is 30, so there are 1.50 too many",
            &[],
        );
    }

    #[test]
    fn latencies_that_were_not_seen_prove_nothing() {
        let unseen = verdict(2.0, json!({}));
        assert_eq!(unseen.validity, crate::workbench::check::Validity::Unknown);
        assert_eq!(unseen.findings.len(), 2);
    }

    #[test]
    fn what_has_no_limit_is_not_measured() {
        assert_eq!(Limits::default().measure(1e9, &Map::new()), []);
    }

    #[test]
    fn limits_on_latencies_are_read_as_they_are_written() {
        let limits: StableLatency = "median=400, max=600.5".parse().expect("limits");
        assert_eq!(
            (limits.median_ms, limits.max_ms),
            (Some(400.0), Some(600.5))
        );
        assert_eq!(limits.to_string(), "median=400,max=600.5");
        for wrong in [
            "",
            "400",
            "median",
            "median=",
            "median=x",
            "mean=1",
            "max=-1",
            "max=1,",
            "max=1;median=2",
        ] {
            assert!(wrong.parse::<StableLatency>().is_err(), "{wrong}");
        }
    }
}
