//! `eddy load` sends requests to nodes that run elsewhere, and checks the replies.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use clap::builder::StringValueParser;

use super::clients::ClientOptions;
use super::console::{Console, say};
use super::error::CommandError;
use super::help::{EXIT_STATUS, SHOWN_AND_KEPT};
use super::keep::KeepOptions;
use super::options::check_names;
use super::repeat;
use super::values::Trimmed;
use super::workloads::{self, Task};
use crate::program::Wrong;
use crate::workbench::check::Validity;
use crate::workbench::load::{self, Authentication, LoadError, Target};
use crate::workbench::log::{Log, Topics};
use crate::workbench::sim::Start;
use crate::workbench::stdout;
use crate::workbench::token::Token;
use crate::workbench::workload::Workload;
use crate::workbench::world::{Settings, World};

const NOTES: &str = "\
Each client has a TCP connection of its own, on which it sends messages as lines of JSON, such as
{\"body\":{\"type\":\"add\",\"delta\":3,\"msg_id\":1}}, and receives the replies. eddy serve makes a node such a service.

The nodes have to be new: replies that show what was there before the run count as wrong. Only unique-ids and
echo can be run again on the same nodes.

Example, for three nodes:
  eddy load --connect 10.0.0.1:7000,10.0.0.2:7000,10.0.0.3:7000 -w g-counter --rate 1000 --concurrency 10n \\
    --time-limit 10 --consistency-models linearizable";

/// How `eddy load` is called. In an error, clap would show the flags that were given as if they were needed, too.
const USAGE: &str = "eddy load [OPTIONS] --connect <HOST:PORT,...>";

/// The flags of `eddy load`.
#[derive(Args)]
#[command(args_override_self = true, override_usage = USAGE, after_help = format!("{NOTES}\n\n{EXIT_STATUS}"))]
pub(super) struct LoadOptions {
    /// Where the nodes are: one address for each. Client i connects to address i, modulo their number.
    #[arg(
        long,
        value_name = "HOST:PORT,...",
        required = true,
        value_parser = Trimmed(StringValueParser::new()),
        value_delimiter = ','
    )]
    connect: Vec<String>,

    /// The file with the token that clients of these nodes must give: at least 16 bytes.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    #[command(flatten)]
    clients: ClientOptions,

    #[command(flatten, next_help_heading = SHOWN_AND_KEPT)]
    keep: KeepOptions,
}

/// Runs the clients, prints the report and returns the verdict. `args` is the whole command line.
pub(super) fn load(options: &LoadOptions, args: &[OsString]) -> Result<Validity, CommandError> {
    let token = options.token_file.as_deref().map(Token::read);
    let token = token.transpose().map_err(LoadError::Token)?;
    let authentication = Authentication::new(token.as_ref());
    let targets = load::find(&options.connect, &authentication).map_err(LoadError::Target)?;
    let nodes: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
    check_names(&nodes).map_err(|error| CommandError::Options(format!("--connect: {error}")))?;
    let clients = &options.clients;
    let run = Run {
        options,
        settings: &clients.settings(nodes, clients.first_seed()),
        targets: &targets,
        authentication: &authentication,
        args,
    };
    workloads::perform(clients.workload, &clients.requests, run)
}

/// One run of the clients.
struct Run<'a> {
    options: &'a LoadOptions,
    settings: &'a Settings,
    targets: &'a [Target],
    authentication: &'a Authentication,
    args: &'a [OsString],
}

impl Task for Run<'_> {
    type Done = Validity;

    fn with<W: Workload>(
        self,
        _: impl Fn(&[String]) -> Result<Start, Wrong>,
        workload: impl Fn(&Settings) -> W + Sync,
    ) -> Result<Validity, CommandError> {
        let Run {
            options,
            settings,
            targets,
            authentication,
            args,
        } = self;
        load::check_descriptors(settings.client_count, targets.len())?;
        let keep = &options.keep;
        let mut store = keep.new_store(W::NAME, &settings.nodes, Topics::default());
        let mut console = Log::new(Topics::default(), Console::new(settings.time_limit));
        let files = store
            .as_mut()
            .map(|store| (&mut store.messages, &mut store.log));
        let world = World::elsewhere(workload(settings), settings.clone(), (&mut console, files));
        let record = load::run(world, settings.client_count, targets, authentication);
        console.sink().clear();
        let mut record = match record {
            Ok(record) => record,
            Err(error) => {
                keep.not_begun(store, &error);
                // If the run was interrupted, this is the reason.
                stdout::check()?;
                return Err(error.into());
            }
        };
        let repeat = repeat::command(args, settings.seed);
        let report = keep.report(
            store,
            &mut record,
            settings,
            options.clients.demands(),
            repeat,
        );
        keep.print(&report)?;
        if report.validity() == Validity::Invalid {
            say(format_args!(
                "eddy: what an earlier run has left in the nodes counts as wrong, so they have to be new for each"
            ));
        }
        match record.is_interrupted {
            true => Err(CommandError::interrupted("", &report)),
            false => Ok(report.validity()),
        }
    }
}
