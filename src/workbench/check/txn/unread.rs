//! The warning that no transaction read what another one wrote.
//!
//! A node that stores nothing and answers every read with `null` satisfies the weak models: its reads come before all
//! writes. The warning compares reads and writes at one node only, as a node may learn late of what others wrote. A node
//! that stores what it acknowledges answers with that or with something newer, even if it is cut off from the others. Only
//! one that lost its memory or runs behind its own acknowledgements does not. The warning takes [`WRITES_MIN`] writes and
//! [`READS_MIN`] such reads, all in vain. Clients read and write the same keys alternately and at random, so for a node
//! that loses its memory now and then it is as good as impossible that all of its reads come right after such losses.

use std::collections::BTreeMap;

use super::index::{Index, Read};
use super::{DataType, Status};
use crate::workbench::check::Finding;
use crate::workbench::history::Node;

/// The number of acknowledged writes below which there is no warning.
const WRITES_MIN: usize = 20;

/// The number of reads below which there is no warning: of a key that the same node had acknowledged a write of before.
const READS_MIN: usize = 20;

/// The number of reads that the warning shows.
const EXAMPLES_MAX: usize = 2;

/// A warning if no read returned what another transaction wrote, although many had the chance.
pub fn warning<D: DataType>(index: &Index<'_>) -> Option<Finding> {
    if index
        .reads
        .iter()
        .any(|read| is_of_another::<D>(index, read))
    {
        return None;
    }
    let mut write_count = 0;
    let mut first: BTreeMap<(usize, &Node), usize> = BTreeMap::new();
    for (key, writes) in index.keys.iter().map(|key| &key.writes).enumerate() {
        for by in writes.iter().map(|&write| index.writes[write].by) {
            let writer = &index.transactions[by];
            if writer.status != Status::Committed {
                continue;
            }
            write_count += 1;
            let first = first.entry((key, writer.node)).or_insert(by);
            if writer.completed_at < index.transactions[*first].completed_at {
                *first = by;
            }
        }
    }
    // Each read in vain, with a write that came before it.
    let reads = index.reads.iter().filter(|read| read.is_first);
    let in_vain = reads.filter_map(|read| {
        let reader = &index.transactions[read.by];
        let writer = &index.transactions[*first.get(&(read.key, reader.node))?];
        (writer.completed_at < reader.invoked_at).then_some([writer.index, reader.index])
    });
    let in_vain: Vec<[usize; 2]> = in_vain.collect();
    if write_count < WRITES_MIN || in_vain.len() < READS_MIN {
        return None;
    }
    let what = format!(
        "No read returned any of the {write_count} acknowledged writes of other transactions, although {} reads were of a \
         key that the same node had acknowledged a write of before. Does the node store what is written?",
        in_vain.len()
    );
    let mut shown = in_vain[..EXAMPLES_MAX].concat();
    shown.sort_unstable();
    shown.dedup();
    Some(Finding::warning(what, shown))
}

/// Whether a read shows a write of another transaction.
fn is_of_another<D: DataType>(index: &Index<'_>, read: &Read<'_>) -> bool {
    let writes = &index.keys[read.key].by_value;
    let mut written = D::written(read.value).iter();
    written.any(|value| {
        writes
            .get(value)
            .is_some_and(|&write| index.writes[write].by != read.by)
    })
}
