//! The command line of a node: flags with values.

use std::fmt;
use std::time::Duration;

/// One flag of the command line.
pub(super) struct Flag<'a> {
    /// Its name, with the dashes.
    pub(super) name: &'a str,
    /// What stands behind `=`, or the next argument.
    value: Option<&'a str>,
}

/// What is wrong with a flag.
#[derive(Debug)]
pub struct Wrong(String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

impl<'a> Flag<'a> {
    /// The next flag. Every flag has a value.
    pub(super) fn next(mut arguments: impl Iterator<Item = &'a String>) -> Option<Self> {
        let argument = arguments.next()?;
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (&**argument, arguments.next().map(String::as_str)),
        };
        Some(Flag { name, value })
    }

    /// The error for a flag that there isn't.
    pub(super) fn unknown(&self) -> Result<(), Wrong> {
        Err(Wrong(format!("there is no {}", self.name)))
    }

    /// Sets `target` to the value of that name, which the flag names.
    pub(super) fn set_one_of<T: Clone>(
        &self,
        target: &mut T,
        choices: &[(&str, T)],
    ) -> Result<(), Wrong> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        self.set(target, &names.join(" or "), |value| {
            let chosen = choices.iter().find(|(name, _)| *name == value);
            chosen.map(|(_, choice)| choice.clone())
        })
    }

    /// Sets `target` to a whole number from 1 to `max`.
    pub(super) fn set_count(&self, target: &mut usize, max: usize) -> Result<(), Wrong> {
        let expected = format!("a whole number from 1 to {max}");
        self.set(target, &expected, |value| {
            value.parse().ok().filter(|count| (1..=max).contains(count))
        })
    }

    /// Sets `target` to a time such as `500ms`, `2s` or, in milliseconds, `500`, from a millisecond to a day.
    pub(super) fn set_time(&self, target: &mut Duration) -> Result<(), Wrong> {
        self.set(target, "a time such as 500ms or 2s", |value| {
            let (number, unit_ms) = match (value.strip_suffix("ms"), value.strip_suffix('s')) {
                (Some(number), _) => (number, 1),
                (None, Some(number)) => (number, 1000),
                (None, None) => (value, 1),
            };
            let time_ms = number.parse::<u64>().ok()?.checked_mul(unit_ms)?;
            let is_allowed = (1..=86_400_000).contains(&time_ms);
            is_allowed.then(|| Duration::from_millis(time_ms))
        })
    }

    /// Sets `target` to what `read` makes of the flag's value.
    fn set<T>(
        &self,
        target: &mut T,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<(), Wrong> {
        let value = self.value;
        let value = value.ok_or_else(|| Wrong(format!("{} needs a value", self.name)))?;
        *target = read(value)
            .ok_or_else(|| Wrong(format!("{} {value}: it must be {expected}", self.name)))?;
        Ok(())
    }
}
