//! The commands of `eddy` end to end, on nodes that are a few lines of Python or shell each.
#![cfg(feature = "workbench")]

mod challenge;
mod check;
#[path = "../command/mod.rs"]
mod command;
mod flags;
#[path = "../command/full_stdout.rs"]
mod full_stdout;
mod interrupted;
#[path = "../command/open_files.rs"]
mod open_files;
mod printing;
#[path = "../program/mod.rs"]
mod program;
mod python_node;
mod report_page;
mod running;
mod runs;
mod start;
mod store;
mod test;
mod watch;
mod webdriver;

// Where `open_files` finds it in every program.
use command::output;
