//! Parsers of values on the command line.

use std::ffi::OsStr;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command, ValueEnum};

pub(super) fn whole<N: FromStr>(text: &str) -> Result<N, String> {
    let number = text.parse();
    number.map_err(|_| String::from("expected a whole number from 0 up"))
}

pub(super) fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(String::from("expected a number from 1 up")),
    }
}

/// The most of what takes memory for each: clients, nodes, keys and steps of a transaction.
pub(super) const COUNT_MAX: usize = 1_000_000;

pub(super) fn count(text: &str) -> Result<usize, String> {
    let number = positive(text).ok().filter(|number| *number <= COUNT_MAX);
    number.ok_or_else(|| format!("expected a number from 1 to {COUNT_MAX}"))
}

pub(super) fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.0..=1e9).contains(&number) => Ok(number),
        _ => Err(String::from("expected a number from 0 to 1e9")),
    }
}

pub(super) fn milliseconds(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(number) if number <= 1_000_000_000 => Ok(number),
        _ => Err(String::from("expected a whole number from 0 to 1000000000")),
    }
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    not_negative(text).map(Duration::from_secs_f64)
}

pub(super) fn some_seconds(text: &str) -> Result<Duration, String> {
    seconds(text).and_then(|duration| match duration {
        Duration::ZERO => Err(String::from("expected more than no time")),
        _ => Ok(duration),
    })
}

/// Removes spaces around a value: upstream permits them beside the commas of a list.
#[derive(Clone)]
pub(super) struct Trimmed<P>(pub(super) P);

impl<P: TypedValueParser> TypedValueParser for Trimmed<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<P::Value, clap::Error> {
        let value = value.to_str().map_or(value, |text| OsStr::new(text.trim()));
        self.0.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        self.0.possible_values()
    }
}

/// The name of a value on the command line.
pub(super) fn flag_value(value: impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or_else(String::new, |value| String::from(value.get_name()))
}
