//! `eddy challenge` runs the Gossip Glomers challenges with their own parameters and limits.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Write};
use std::process;

use clap::{Args, Parser};
use serde::Serialize;

use super::challenges::{CHALLENGES, Challenge};
use super::console::harmless;
use super::error::CommandError;
use super::help;
use super::options::TestOptions;
use super::test;
use super::watch::{self, Watched};
use super::{COULD_NOT_RUN, Cli};
use crate::workbench::check::Validity;
use crate::workbench::process::{Program, RunError};
use crate::workbench::report::Report;
use crate::workbench::words::{clipped_to, counted};

/// The maximum length of the finding in the line of a challenge, in characters. The report has all of it.
const FINDING_CHARS_MAX: usize = 120;

/// The command line of `eddy challenge`.
#[derive(Args)]
#[command(after_help = format!("{}\n\n{}", help::challenges(), help::EXIT_STATUS))]
pub(super) struct ChallengeOptions {
    /// The challenges, such as 3d or all; then the program of the nodes; then flags of eddy test that override the
    /// challenge's; then, after --, the arguments of the nodes. For challenges of several workloads, each workload can
    /// have its own program: --bin echo=./echo --bin broadcast=./broadcast.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "NAME... --bin [WORKLOAD=]FILE... [FLAGS] [-- NODE ARGS]"
    )]
    words: Vec<OsString>,
}

impl ChallengeOptions {
    /// The flag that asks for help, if there is one. Behind the first word, clap takes it for another word.
    fn help_flag(&self) -> Option<&OsStr> {
        let words = self.words.iter().map(OsString::as_os_str);
        let mut flags = words.take_while(|word| *word != "--");
        flags.find(|word| *word == "-h" || *word == "--help")
    }
}

/// The parsed command line.
struct Request {
    challenges: Vec<&'static Challenge>,
    /// The programs by workload. The program for all other workloads has an empty name.
    programs: BTreeMap<String, OsString>,
    /// The other arguments for `eddy test`.
    rest: Vec<OsString>,
}

impl Request {
    fn read(words: &[OsString]) -> Result<Self, String> {
        let mut words = words.iter().peekable();
        let mut challenges = Vec::new();
        while let Some(name) = words.next_if(|word| !word.as_encoded_bytes().starts_with(b"-")) {
            let name = name.to_string_lossy();
            let found = CHALLENGES
                .iter()
                .filter(|challenge| name == "all" || challenge.name == name);
            let count = challenges.len();
            challenges.extend(found);
            if challenges.len() == count {
                let names: Vec<_> = CHALLENGES.iter().map(|challenge| challenge.name).collect();
                return Err(format!(
                    "there is no challenge {name}. There are {}, and all",
                    names.join(" ")
                ));
            }
        }
        if challenges.is_empty() {
            return Err(
                "name a challenge first, such as eddy challenge 3d --bin ./broadcast, or all"
                    .into(),
            );
        }
        let mut request = Request {
            challenges,
            programs: BTreeMap::new(),
            rest: Vec::new(),
        };
        while let Some(word) = words.next() {
            let text = word.to_string_lossy();
            if text == "--" {
                request.rest.push(word.clone());
                request.rest.extend(words.by_ref().cloned());
            } else if text == "--bin" {
                let program = words.next().ok_or("--bin needs a program")?;
                request.add_program(program)?;
            } else if let Some(program) = text.strip_prefix("--bin=") {
                request.add_program(OsStr::new(program))?;
            } else {
                request.rest.push(word.clone());
            }
        }
        Ok(request)
    }

    fn add_program(&mut self, program: &OsStr) -> Result<(), String> {
        let text = program.to_string_lossy();
        let (workload, program) = match text.split_once('=') {
            Some((workload, file)) if !workload.contains('/') => (workload, OsStr::new(file)),
            _ => ("", program),
        };
        let is_known =
            |challenge: &Challenge| workload.is_empty() || challenge.workload == workload;
        if !CHALLENGES.iter().any(is_known) {
            return Err(format!(
                "--bin {text}: no challenge has the workload {workload}"
            ));
        }
        self.programs.insert(workload.into(), program.into());
        Ok(())
    }

    /// The command line of `eddy test` that runs a challenge. `eddy` is its first word.
    fn command(&self, eddy: &OsStr, challenge: &Challenge) -> Result<Vec<OsString>, String> {
        let workload = challenge.workload;
        let program = self.programs.get(workload).or(self.programs.get(""));
        let program = program.ok_or_else(|| {
            format!(
                "challenge {} needs a program: --bin {workload}=FILE",
                challenge.name
            )
        })?;
        let mut command = vec![eddy.into(), "test".into()];
        command.extend(challenge.words().map(OsString::from));
        command.extend(["--bin".into(), program.clone()]);
        command.extend(self.rest.iter().cloned());
        Ok(command)
    }
}

/// The parser of the command line of `eddy test`.
#[derive(Parser)]
#[command(name = "eddy challenge", bin_name = "eddy test", no_binary_name = true)]
struct TestLine {
    #[command(flatten)]
    options: TestOptions,
}

/// The result of a challenge.
#[derive(Serialize)]
struct Outcome<'a> {
    challenge: &'static str,
    report: &'a Report,
}

/// `3d passed: 2.9 messages an operation (30 allowed), median 238 ms (400 allowed), …`.
impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { challenge, report } = self;
        let finding = report.first_finding();
        let finding = finding.lines().next().unwrap_or_default();
        let finding = clipped_to(finding.as_bytes(), FINDING_CHARS_MAX);
        match report.validity() {
            Validity::Valid => {
                let all = || counted(report.operation_count(), "operation");
                let operations = report.few_succeeded().unwrap_or_else(all);
                let warnings = match report.warning_count() {
                    0 => String::new(),
                    count => format!(" with {}", counted(count, "warning")),
                };
                write!(f, "{challenge} passed{warnings}: {operations}")?;
            }
            Validity::Invalid => return write!(f, "{challenge} FAILED: {finding}"),
            Validity::Unknown => return write!(f, "{challenge} undecided: {finding}"),
        }
        for measure in report.limits() {
            write!(f, ", {measure}")?;
        }
        Ok(())
    }
}

/// The command line of `eddy test` that runs a challenge.
struct Line {
    /// The name of the challenge, which begins what is printed of it.
    name: &'static str,
    options: TestOptions,
    /// The command line as words.
    args: Vec<OsString>,
    /// The seed of the first run. With `--watch`, runs that are compared have the same.
    seed: u64,
}

/// Runs the challenges one after the other, prints the result of each, and returns the worst verdict. `args` is the whole
/// command line.
pub(super) fn challenge(
    options: &ChallengeOptions,
    args: &[OsString],
) -> Result<Validity, CommandError> {
    if let Some(flag) = options.help_flag() {
        let help = Cli::try_parse_from([OsStr::new("eddy"), OsStr::new("challenge"), flag]);
        help.err().expect("help in place of a command").exit();
    }
    let request = Request::read(&options.words).map_err(CommandError::Options)?;
    let mut lines: Vec<Line> = Vec::new();
    for challenge in &request.challenges {
        let args = request.command(&args[0], challenge);
        let args = args.map_err(CommandError::Options)?;
        let line = TestLine::try_parse_from(&args[2..]);
        let line = line.unwrap_or_else(|error| {
            // Whoever closed the stream doesn't want to know.
            let _ = error.print();
            process::exit(COULD_NOT_RUN.into());
        });
        let options = line.options;
        // All are looked for before the first runs, as that takes its time.
        Program::find(&options.bin, Vec::new()).map_err(RunError::Program)?;
        lines.push(Line {
            name: challenge.name,
            seed: options.run.clients.first_seed(),
            options,
            args,
        });
    }
    if lines.iter().any(|line| line.options.watch) {
        return watch(&lines);
    }
    let mut worst = Validity::Valid;
    for line in &lines {
        let keep = &line.options.output.keep;
        let done = line.run(|report| {
            let is_clean = report.validity() == Validity::Valid && report.warning_count() == 0;
            if !keep.json && (lines.len() == 1 || !is_clean) {
                writeln!(io::stdout(), "{}\n", harmless(&report.to_string()))?;
            }
            line.print(&report)
        });
        worst = worst.max(done.map_err(|error| error.after(worst))?);
    }
    Ok(worst)
}

/// Runs each challenge again when its program has changed.
fn watch(lines: &[Line]) -> Result<Validity, CommandError> {
    let names: Vec<String> = lines
        .iter()
        .map(|line| format!("challenge {}: ", line.name))
        .collect();
    let tasks = lines.iter().zip(&names).map(|(line, name)| Watched {
        name,
        program: &line.options.bin,
    });
    let mut shown = Vec::from_iter(lines.iter().map(|_| watch::Lines::default()));
    Err(watch::watch(&Vec::from_iter(tasks), |index| {
        let line = &lines[index];
        line.run(|report| match line.options.output.keep.json {
            true => line.print(&report),
            false => shown[index].print(&format!("{} ", line.name), report),
        })
    }))
}

impl Line {
    /// Runs the challenge, passes each report to `print`, and returns the last verdict.
    fn run(
        &self,
        mut print: impl FnMut(Report) -> io::Result<()>,
    ) -> Result<Validity, CommandError> {
        let mut last = Validity::Valid;
        test::each_run(&self.options, &self.args, self.seed, |_, report| {
            last = report.validity();
            print(report)
        })?;
        Ok(last)
    }

    fn print(&self, report: &Report) -> io::Result<()> {
        self.options.output.keep.print(&Outcome {
            challenge: self.name,
            report,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::report::testing;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    fn request(text: &str) -> Result<Request, String> {
        Request::read(&words(text))
    }

    fn command(text: &str) -> Result<String, String> {
        let request = request(text)?;
        let command = request.command("eddy".as_ref(), request.challenges[0])?;
        let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
        Ok(words.join(" "))
    }

    #[test]
    fn every_challenge_is_a_command_line_of_eddy_test() {
        let request = request("all --bin node").expect("a request");
        assert_eq!(request.challenges.len(), CHALLENGES.len());
        for challenge in &request.challenges {
            let command = request
                .command("eddy".as_ref(), challenge)
                .expect("a command");
            let line = TestLine::try_parse_from(&command[2..]);
            assert!(line.is_ok(), "{}: {:?}", challenge.name, line.err());
        }
    }

    #[test]
    fn flags_that_are_given_come_after_the_challenges_own_and_so_take_their_place() {
        let command = command("3a --bin ./b --rate 7 -- --topology tree").expect("a command");
        let own = "eddy test -w broadcast --node-count 1 --time-limit 20 --rate 10";
        assert_eq!(
            command,
            format!("{own} --bin ./b --rate 7 -- --topology tree")
        );
        let line = TestLine::try_parse_from(&words(&command)[2..])
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(line.options.run.clients.rate, 7.0);
    }

    #[test]
    fn each_workload_can_have_a_program_of_its_own() {
        let line = "5a 1 --bin ./all --bin kafka=./k=1";
        assert!(command(line).expect("a command").contains("--bin ./k=1"));
        assert!(
            command(&line.replace("5a 1", "1 5a"))
                .expect("a command")
                .contains("--bin ./all")
        );
    }

    #[test]
    fn a_long_finding_is_cut_off_in_the_line_of_a_challenge() {
        let line = |what: &str| {
            let challenge = "1";
            let report = &testing::report(&[what], 1, 1.0);
            Outcome { challenge, report }.to_string()
        };
        assert_eq!(line("n0 died.\nMore."), "1 FAILED: n0 died.");
        let long = "x".repeat(FINDING_CHARS_MAX);
        assert_eq!(line(&long), format!("1 FAILED: {long}"));
        assert_eq!(line(&format!("{long}y")), format!("1 FAILED: {long}…"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, what) in [
            ("3x --bin ./b", "there is no challenge 3x. There are 1 2 3a"),
            ("--bin ./b", "name a challenge first"),
            ("3d --bin", "--bin needs a program"),
            ("3d", "challenge 3d needs a program: --bin broadcast=FILE"),
            (
                "3d --bin kafka=./k",
                "challenge 3d needs a program: --bin broadcast=FILE",
            ),
            (
                "3d --bin lin-kv=./k",
                "no challenge has the workload lin-kv",
            ),
        ] {
            let error = command(line).expect_err(line);
            assert!(error.contains(what), "{line}: {error}");
        }
    }
}
