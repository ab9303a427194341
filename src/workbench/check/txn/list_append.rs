//! `txn-list-append`: the value of a key is the list of all values appended to it.
//!
//! A list shows the order in which its elements were appended, so the longest list that was read of a key shows nearly
//! all dependencies. Appends that are missing in that list came later.

use std::collections::HashSet;
use std::slice;

use super::anomaly::{Anomalies, Kind as Anomaly};
use super::graph::Graph;
use super::index::{Index, Key, Read};
use super::{DataType, History, Model};
use crate::workbench::check::Verdict;
use crate::workbench::json::Json;

/// Checks a history against all of the models.
pub fn check(history: &History, models: &[Model]) -> Verdict {
    super::check::<Lists>(history, models)
}

enum Lists {}

impl DataType for Lists {
    fn follows(last: Option<&Json>, written: &[&Json], value: &Json) -> bool {
        let list = list(value);
        let Some(before) = list.len().checked_sub(written.len()) else {
            return false;
        };
        list[before..].iter().eq(written.iter().copied())
            && last.is_none_or(|last| list[..before] == *self::list(last))
    }

    fn written(value: &Json) -> &[Json] {
        list(value)
    }

    fn infer<'a>(index: &Index<'a>, graph: &mut Graph<'_, 'a>, anomalies: &mut Anomalies) {
        let orders = orders(index);
        for order in &orders {
            add_order(order, graph);
        }
        for read in &index.reads {
            add_read(index, &orders[read.key], read, graph, anomalies);
        }
        let updates = index.updates.iter();
        let updates = updates.map(|update| (update, list(update.read)));
        index.add_lost_updates(updates, anomalies);
    }
}

/// The elements of a list value. `null` is an empty list; [`add_read`] reports any other value that is not a list.
fn list(value: &Json) -> &[Json] {
    value.as_list().unwrap_or_default()
}

/// The order of the appends to a key.
struct Order<'a> {
    /// The longest list that was read.
    longest: &'a [Json],
    /// The transaction that read it.
    read_by: usize,
    /// Its elements.
    elements: Elements,
    /// The appends that are not in that list and may have happened.
    unread: Vec<usize>,
}

/// The elements of a list.
struct Elements {
    /// The append of each element. `None` if nobody appended it, if its transaction was aborted, or for the repetition
    /// of an element.
    appends: Vec<Option<usize>>,
    /// The positions of elements without an append, and of elements that are listed without an earlier append of the
    /// same transaction.
    flawed: Vec<usize>,
}

/// The order of the appends to each key, by the key's number.
fn orders<'a>(index: &Index<'a>) -> Vec<Order<'a>> {
    let mut longest: Vec<(&[Json], usize)> = vec![(&[], 0); index.keys.len()];
    for read in &index.reads {
        let list = list(read.value);
        if list.len() > longest[read.key].0.len() {
            longest[read.key] = (list, read.by);
        }
    }
    let keys = index.keys.iter().zip(longest);
    keys.map(|(key, (longest, read_by))| {
        let elements = Elements::of(longest, key, index);
        let read: HashSet<usize> = elements.appends.iter().flatten().copied().collect();
        let is_unread = |append: &usize| !index.is_aborted(*append) && !read.contains(append);
        Order {
            longest,
            read_by,
            elements,
            unread: key.writes.iter().copied().filter(is_unread).collect(),
        }
    })
    .collect()
}

impl Elements {
    fn of(list: &[Json], key: &Key<'_>, index: &Index<'_>) -> Self {
        let mut elements = Elements {
            appends: Vec::with_capacity(list.len()),
            flawed: Vec::new(),
        };
        let mut seen = HashSet::with_capacity(list.len());
        for (position, value) in list.iter().enumerate() {
            let append = key.by_value.get(value).copied();
            let append = append.filter(|&append| !index.is_aborted(append) && seen.insert(append));
            elements.appends.push(append);
            let is_whole = |append: usize| {
                let before = index.writes[append].before;
                before.is_none_or(|before| seen.contains(&before))
            };
            if !append.is_some_and(is_whole) {
                elements.flawed.push(position);
            }
        }
        elements
    }

    /// The appends of the first `len` elements, and the positions of the flawed ones.
    fn up_to(&self, len: usize) -> (&[Option<usize>], &[usize]) {
        let flawed = self.flawed.partition_point(|&position| position < len);
        (&self.appends[..len], &self.flawed[..flawed])
    }
}

/// Adds the dependencies between the appends to a key: each comes before the next, and the last one in the longest
/// list comes before all that nobody read.
fn add_order(order: &Order<'_>, graph: &mut Graph<'_, '_>) {
    let mut last: Option<usize> = None;
    for &append in order.elements.appends.iter().flatten() {
        graph.note_reader(append, order.read_by);
        if let Some(before) = last.replace(append) {
            graph.add_write_write(before, append);
        }
    }
    if let Some(last) = last {
        for &append in &order.unread {
            graph.add_write_write(last, append);
        }
    }
}

/// Adds the dependencies of a read: the reader comes after the append of the last element that it read, and before the
/// append of the next element. Adds the anomalies that the read shows.
fn add_read<'a>(
    index: &Index<'a>,
    order: &Order<'_>,
    read: &Read<'a>,
    graph: &mut Graph<'_, 'a>,
    anomalies: &mut Anomalies,
) {
    let Read { by, key, value, .. } = *read;
    let reader = index.transactions[by].index;
    if value.as_list().is_none() && *value != Json::Null {
        let what = format!("{}, which is no list.", index.saw(by, key, value));
        anomalies.add(Anomaly::Garbage, what, [reader]);
    }
    let list = list(value);
    let is_in_order = order.longest.starts_with(list);
    if !is_in_order {
        let other = &index.transactions[order.read_by];
        let (saw, longest) = (index.saw(by, key, value), Json::List(order.longest.into()));
        let what = format!(
            "{saw}, and {} read {longest}: neither grew into the other.",
            other.name()
        );
        anomalies.add(Anomaly::IncompatibleOrder, what, [reader, other.index]);
    }
    if !read.is_news {
        return;
    }
    let own_elements = (!is_in_order).then(|| Elements::of(list, &index.keys[key], index));
    let elements = own_elements.as_ref().unwrap_or(&order.elements);
    let (seen, flawed) = elements.up_to(list.len());
    for &position in flawed {
        check_element(index, read, list, position, anomalies);
    }
    let mut seen = seen.iter().flatten();
    if let Some(&append) = seen.rfind(|&&append| index.writes[append].by != by) {
        graph.add_write_read(append, by);
        index.check_finished(by, append, anomalies);
    }
    if is_in_order {
        let next = elements.appends[list.len()..].iter().flatten().next();
        for &append in next.map_or(&*order.unread, slice::from_ref) {
            graph.add_read_write(by, append);
        }
    }
}

/// Adds the anomaly of a flawed element.
fn check_element(
    index: &Index<'_>,
    read: &Read<'_>,
    list: &[Json],
    position: usize,
    anomalies: &mut Anomalies,
) {
    let element = &list[position];
    let reader = index.transactions[read.by].index;
    let saw = || index.saw(read.by, read.key, read.value);
    if list[..position].contains(element) {
        let what = format!("{}, which holds {element} twice.", saw());
        anomalies.add(Anomaly::DuplicateElements, what, [reader]);
        return;
    }
    let append = index.check_written(read, element, anomalies);
    let before = append.and_then(|append| index.writes[append].before);
    if let Some(before) = before.map(|before| &index.writes[before]) {
        let (writer, missing) = (&index.transactions[before.by], before.step.value());
        let mut what = format!(
            "{}, but {} appended {missing} there before it appended {element}.",
            saw(),
            writer.name()
        );
        what.push_str(&writer.either_way(&index.transactions[read.by]));
        anomalies.add(Anomaly::IncompatibleOrder, what, [writer.index, reader]);
    }
}
