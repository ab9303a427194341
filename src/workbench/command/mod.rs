//! The command `eddy`: parses the command line and runs a subcommand.

mod challenge;
mod challenges;
mod check;
mod clients;
mod console;
mod error;
mod help;
mod keep;
mod load;
mod matrix;
mod options;
mod repeat;
mod requests;
mod runs;
mod serve;
mod settings;
mod show;
mod sim;
mod stores;
mod test;
mod unsupported;
mod values;
mod watch;
mod workloads;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use super::check::Validity;
use super::stdout;
use challenge::ChallengeOptions;
use check::CheckOptions;
use console::say;
use error::CommandError;
use help::EXIT_STATUS;
use load::LoadOptions;
use matrix::MatrixOptions;
use options::TestOptions;
use runs::RunsOptions;
use serve::ServeOptions;
use show::ShowOptions;
use sim::SimOptions;

/// The exit code if there is nothing to check. Lower codes are those of upstream and of the checkers.
const COULD_NOT_RUN: u8 = 3;

/// A workbench for Maelstrom nodes: their network, services, clients, faults and checkers in one native program.
#[derive(Parser)]
#[command(name = "eddy", version, after_help = format!("{}\n\n{EXIT_STATUS}", help::challenges()))]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tests a node: runs it as real processes, and checks the replies to clients.
    Test(Box<TestOptions>),
    /// Runs Gossip Glomers challenges with their own parameters and limits.
    Challenge(ChallengeOptions),
    /// Simulates this crate's own nodes in virtual time from a seed, hundreds of runs per second.
    Sim(Box<SimOptions>),
    /// Sends requests to nodes that run elsewhere, such as behind eddy serve, and checks the replies.
    Load(LoadOptions),
    /// Checks a history from a file of Jepsen, Maelstrom, or any program that writes its JSON.
    Check(CheckOptions),
    /// Runs one node as a network service: for clients by TCP, other nodes, and etcd as the store.
    Serve(Box<ServeOptions>),
    /// Lists the runs in the store, here and in its page index.html, and removes old ones.
    Runs(RunsOptions),
    /// Shows the findings of a stored run, one of its operations with its messages, or all messages.
    Show(ShowOptions),
    /// Simulates the counter at each level on each store, and shows which guarantees hold.
    Matrix(MatrixOptions),
    /// Prints a completion script for a shell. For bash: `source <(eddy completions bash)`.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Runs the command line in `args`, and returns the exit code of the process.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(instead) = unsupported::instead(&args) {
        say(format_args!("error: {instead}"));
        return ExitCode::from(COULD_NOT_RUN);
    }
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => {
            // If it can't be printed, the exit code still shows the error.
            let _ = error.print();
            if may_be_the_nodes_own(&error, &args) {
                say(format_args!(
                    "\nWhat is meant for the node goes last, after --."
                ));
            }
            return ExitCode::from(if error.use_stderr() { COULD_NOT_RUN } else { 0 });
        }
    };
    if let Err(error) = stdout::check() {
        say(format_args!("eddy: {}", CommandError::Print(error)));
        return ExitCode::from(COULD_NOT_RUN);
    }
    let verdict = match cli.command {
        Command::Test(options) => test::test(&options, &args),
        Command::Challenge(options) => challenge::challenge(&options, &args),
        Command::Sim(options) => sim::sim(&options, &args),
        Command::Load(options) => load::load(&options, &args),
        Command::Check(options) => check::check(&options, &args),
        Command::Serve(options) => serve::serve(&options).map(|()| Validity::Valid),
        Command::Runs(options) => runs::list(&options),
        Command::Show(options) => show::show(&options),
        Command::Matrix(options) => matrix::matrix(&options),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "eddy", &mut io::stdout());
            return ExitCode::SUCCESS;
        }
    };
    let verdict = verdict.map(Some).unwrap_or_else(|error| {
        say(format_args!("eddy: {error}"));
        error.verdict()
    });
    ExitCode::from(match verdict {
        Some(Validity::Valid) => 0,
        Some(Validity::Invalid) => 1,
        Some(Validity::Unknown) => 2,
        None => COULD_NOT_RUN,
    })
}

/// Whether the command line has an argument that may be meant for the node: upstream passes the node every argument
/// that is not a flag.
fn may_be_the_nodes_own(error: &clap::Error, args: &[OsString]) -> bool {
    let has_node_args = args
        .get(1)
        .is_some_and(|name| name == "test" || name == "sim");
    let has_suggestion = error.get(ContextKind::Suggested).is_some();
    has_node_args && error.kind() == ErrorKind::UnknownArgument && !has_suggestion
}
