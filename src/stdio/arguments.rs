//! The command line of a node: flags with values, `--help` and `--version`.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// Reads the command line of the program `name`. `set` is called with each flag; see [`Flag`].
///
/// `--help` prints `usage` and `--version` the version, and both end the program well. A wrong flag ends it with exit
/// code 2 and two lines on standard error: what is wrong, and how to list the flags. Whoever starts nodes may show only the
/// last lines of each.
///
/// # Errors
///
/// The exit code with which to end the program.
pub fn parse(
    name: &str,
    usage: &str,
    mut set: impl FnMut(&mut Flag) -> Result<(), Wrong>,
) -> Result<(), ExitCode> {
    let arguments = std::env::args_os().skip(1);
    let arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
    // Nobody is left to tell when printing fails.
    each(arguments, |flag| match flag.name {
        "--help" | "-h" => {
            let _ = std::io::stdout().write_all(usage.as_bytes());
            Err(ExitCode::SUCCESS)
        }
        "--version" | "-V" => {
            let version = env!("CARGO_PKG_VERSION");
            let _ = writeln!(std::io::stdout(), "{name} {version}");
            Err(ExitCode::SUCCESS)
        }
        _ => set(flag).map_err(|wrong| {
            let _ = writeln!(
                std::io::stderr(),
                "{name}: {wrong}\nUsage: {name} [flags]; {name} --help lists them."
            );
            ExitCode::from(2)
        }),
    })
}

/// Calls `set` with each flag, up to the first with which something is wrong.
///
/// # Errors
///
/// What is wrong with it.
pub fn each<E>(
    mut arguments: impl Iterator<Item = String>,
    mut set: impl FnMut(&mut Flag) -> Result<(), E>,
) -> Result<(), E> {
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_string())),
            None => (&*argument, None),
        };
        set(&mut Flag {
            name,
            value,
            arguments: &mut arguments,
        })?;
    }
    Ok(())
}

/// One flag of the command line.
pub struct Flag<'a> {
    /// Its name, with the dashes.
    pub name: &'a str,
    /// What stands behind `=`.
    value: Option<String>,
    arguments: &'a mut dyn Iterator<Item = String>,
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

impl Flag<'_> {
    /// The error for a flag that there isn't.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn unknown(&self) -> Result<(), Wrong> {
        Err(Wrong(format!("there is no {}", self.name)))
    }

    /// Sets `target` to the value of that name, which the flag names.
    ///
    /// # Errors
    ///
    /// When it names none of `choices`.
    pub fn set_one_of<T: Clone>(
        &mut self,
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
    ///
    /// # Errors
    ///
    /// When the flag's value is not one.
    pub fn set_count(&mut self, target: &mut usize, max: usize) -> Result<(), Wrong> {
        self.set(
            target,
            &format!("a whole number from 1 to {max}"),
            |value| value.parse().ok().filter(|count| (1..=max).contains(count)),
        )
    }

    /// Sets `target` to a time such as `500ms`, `2s` or, in milliseconds, `500`.
    ///
    /// # Errors
    ///
    /// When the flag's value is not a time between a millisecond and a day.
    pub fn set_time(&mut self, target: &mut Duration) -> Result<(), Wrong> {
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

    /// Sets `target` to what `read` makes of the flag's value: what stands behind `=`, or the next argument.
    fn set<T>(
        &mut self,
        target: &mut T,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<(), Wrong> {
        let value = self.value.take().or_else(|| self.arguments.next());
        let value = value.ok_or_else(|| Wrong(format!("{} needs a value", self.name)))?;
        *target = read(&value)
            .ok_or_else(|| Wrong(format!("{} {value}: it must be {expected}", self.name)))?;
        Ok(())
    }
}
