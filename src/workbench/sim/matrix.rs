//! Runs every level of the counter on every store, to find which guarantees hold.

use std::fmt;
use std::ops::Range;

use super::{campaign, run, start};
use crate::node::Node;
use crate::workbench::check::Validity;
use crate::workbench::check::consistency::{self, Level};
use crate::workbench::check::counter::History;
use crate::workbench::service::SequentialStore;
use crate::workbench::workload::GCounter;
use crate::workbench::world::Settings;
use crate::workload as node;
use crate::workload::g_counter::{Consistency, Options};

/// A store for the registers of a counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Store {
    /// A variant of `seq-kv`.
    Sequential(SequentialStore),
    /// `lin-kv`.
    Linearizable,
}

/// All stores: the variants of `seq-kv`, the weakest last, and `lin-kv`.
pub const STORES: [Store; 4] = [
    Store::Sequential(SequentialStore::Maelstrom),
    Store::Sequential(SequentialStore::Strict),
    Store::Sequential(SequentialStore::Lazy),
    Store::Linearizable,
];

/// All levels that use a store.
pub const LEVELS: [Consistency; 3] = [
    Consistency::Regular,
    Consistency::Linearizable,
    Consistency::Sequential,
];

/// How many runs kept a guarantee.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Cell {
    /// Runs that kept it.
    pub held: u64,
    /// Runs that broke it.
    pub broken: u64,
    /// Runs that could not be decided.
    pub unknown: u64,
}

impl Cell {
    /// All runs.
    pub fn total(&self) -> u64 {
        self.held + self.broken + self.unknown
    }
}

/// A level on a store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The level.
    pub level: Consistency,
    /// The name of the store.
    pub store: String,
    /// Each guarantee, the weakest first.
    pub cells: [Cell; 4],
}

impl Row {
    /// A row without runs, with the name of the store.
    pub fn new(level: Consistency, store: String) -> Self {
        Row {
            level,
            store,
            cells: [Cell::default(); 4],
        }
    }

    /// Counts one run: whether it kept each guarantee, the weakest first.
    pub fn count(&mut self, validities: [Validity; 4]) {
        for (cell, validity) in self.cells.iter_mut().zip(validities) {
            match validity {
                Validity::Valid => cell.held += 1,
                Validity::Invalid => cell.broken += 1,
                Validity::Unknown => cell.unknown += 1,
            }
        }
    }

    /// The number of runs.
    pub fn run_count(&self) -> usize {
        self.cells[0].total() as usize
    }

    /// The counts for this guarantee.
    pub fn cell(&self, level: Level) -> Cell {
        let index = Level::ALL.iter().position(|&other| other == level);
        self.cells[index.expect("all levels have a cell")]
    }

    /// The name of the level.
    pub fn level_name(&self) -> &'static str {
        match self.level {
            Consistency::Regular => "regular",
            Consistency::Linearizable => "linearizable",
            Consistency::Sequential => "sequential",
            Consistency::Eventual => "eventual",
        }
    }
}

/// Whether a history keeps each guarantee, the weakest first.
pub fn validities(history: &History) -> [Validity; 4] {
    consistency::classify(history).map(|(_, verdict)| verdict.validity)
}

/// Runs `level` on `store` for each seed, and calls `done` after each run. Stops early when `done` returns `false`.
pub fn row(
    level: Consistency,
    store: Store,
    settings: &Settings,
    seeds: Range<u64>,
    mut done: impl FnMut() -> bool,
) -> Row {
    let mut options = Options {
        consistency: level,
        ..Options::default()
    };
    let mut settings = settings.clone();
    match store {
        Store::Sequential(variant) => settings.sequential_store = variant,
        Store::Linearizable => options.service = String::from("lin-kv"),
    }
    let start = start(move |seed| Node::new(node::GCounter::new(options.clone(), seed)));
    let classify = |seed| {
        let settings = Settings {
            seed,
            ..settings.clone()
        };
        let (record, ()) =
            run(GCounter::default(), settings, &start, ()).expect("our nodes answer init");
        validities(&record.history)
    };
    let mut row = Row::new(level, store.to_string());
    campaign::each_seed(
        seeds,
        campaign::worker_count(),
        classify,
        |_, validities| {
            row.count(validities);
            done()
        },
    );
    row
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Store::Sequential(SequentialStore::Maelstrom) => "maelstrom",
            Store::Sequential(SequentialStore::Strict) => "strict",
            Store::Sequential(SequentialStore::Lazy) => "lazy",
            Store::Linearizable => "lin-kv",
        })
    }
}

/// All rows. Displays as a table.
pub struct Matrix(pub Vec<Row>);

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guarantees = Level::ALL.map(|level| String::from(level.name()));
        let heads = [String::from("level"), String::from("store")];
        let mut lines: Vec<Vec<String>> = vec![heads.into_iter().chain(guarantees).collect()];
        for row in &self.0 {
            let heads = [String::from(row.level_name()), row.store.clone()];
            let cells = row.cells.map(|cell| cell.to_string());
            lines.push(heads.into_iter().chain(cells).collect());
        }
        let width = |column: usize| lines.iter().map(|line| line[column].len()).max();
        let widths: Vec<usize> = (0..lines[0].len()).filter_map(width).collect();
        for (index, line) in lines.iter().enumerate() {
            let cells = line.iter().zip(&widths);
            let padded: String = cells
                .map(|(cell, width)| format!("{cell:<width$}  "))
                .collect();
            let end = if index > 0 { "\n" } else { "" };
            write!(f, "{end}{}", padded.trim_end())?;
        }
        Ok(())
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cell {
            broken, unknown, ..
        } = *self;
        let total = self.total();
        match (broken, unknown) {
            (0, 0) => write!(f, "yes"),
            (0, _) => write!(f, "unknown in {unknown} of {total}"),
            _ => write!(f, "no, broken in {broken} of {total}"),
        }
    }
}
