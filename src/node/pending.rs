use alloc::{collections::BinaryHeap, vec::Vec};
use core::time::Duration;

use slab::Slab;

use super::{ID_BITS, Random, earliest};

/// A slab of what waits for a reply or for its time.
///
/// Every entry is known by an id, which is what goes out as `msg_id`. An id is a generation and a slot. The generation
/// counts up with every id, so no id is used twice, not by a later entry in the same slot either. It starts at random, so that
/// a later incarnation of the same node uses others, but for the chance that [`Random::sequence_start`] names. A reply that is
/// late, doubled or meant for a dead incarnation therefore finds nothing: whoever looks an entry up gives the whole id.
///
/// Where an entry sends more than one request, it gets [another id](Self::renew) for each.
///
/// `SLOT_BITS` bits of an id name the slot, which limits how many entries there can be.
#[derive(Debug)]
pub struct Pending<T, const SLOT_BITS: u32 = 12> {
    slots: Slab<Entry<T>>,
    generation: u64,
    /// No deadline is earlier than this.
    earliest: Option<Duration>,
}

#[derive(Debug)]
struct Entry<T> {
    id: i64,
    first_id: i64,
    deadline: Option<Duration>,
    value: T,
}

impl<T, const SLOT_BITS: u32> Pending<T, SLOT_BITS> {
    /// The most entries that there can be at once: 4096, if nothing else is chosen.
    pub const CAPACITY: usize = 1 << SLOT_BITS;

    /// Nothing is pending yet.
    pub fn new(random: &mut Random) -> Self {
        Pending {
            slots: Slab::new(),
            generation: random.sequence_start(ID_BITS - SLOT_BITS),
            earliest: None,
        }
    }

    /// How many more entries fit in.
    pub fn capacity_left(&self) -> usize {
        Self::CAPACITY - self.slots.len()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Adds an entry, for which there must be capacity, and gives its id.
    pub fn insert(&mut self, value: T) -> i64 {
        assert!(self.capacity_left() > 0, "the caller keeps to the limit");
        let slot = self.slots.vacant_key();
        let id = self.next_id(slot);
        self.slots.insert(Entry {
            id,
            first_id: id,
            deadline: None,
            value,
        });
        id
    }

    /// The entry with this id, if it is still pending.
    pub fn get(&self, id: i64) -> Option<&T> {
        let entry = self.slots.get(Self::slot(id))?;
        (entry.id == id).then_some(&entry.value)
    }

    /// The entry with this id, if it is still pending.
    pub fn get_mut(&mut self, id: i64) -> Option<&mut T> {
        let entry = self.slots.get_mut(Self::slot(id))?;
        (entry.id == id).then_some(&mut entry.value)
    }

    /// Gives an entry, which must be pending, a new id in place of `id`, and gives both. From now on only
    /// [`find_mut`](Self::find_mut) finds the entry by the old one.
    pub fn renew(&mut self, id: i64) -> (i64, &mut T) {
        let slot = Self::slot(id);
        let new_id = self.next_id(slot);
        let entry = &mut self.slots[slot];
        assert_eq!(entry.id, id, "only what is pending gets a new id");
        entry.id = new_id;
        (new_id, &mut entry.value)
    }

    /// The pending entry that has this id or had it before it was [renewed](Self::renew), with the id that it has now.
    pub fn find_mut(&mut self, id: i64) -> Option<(i64, &mut T)> {
        let entry = self.slots.get_mut(Self::slot(id))?;
        // Ids count up, so all ids of this slot since the entry's first are its own.
        let is_its_own = (entry.first_id..=entry.id).contains(&id);
        is_its_own.then_some((entry.id, &mut entry.value))
    }

    /// Takes the entry with this id out, if it is still pending.
    pub fn remove(&mut self, id: i64) -> Option<T> {
        self.get(id)?;
        Some(self.slots.remove(Self::slot(id)).value)
    }

    /// Sets when [`expired`](Self::expired) gives this entry out, which must be pending.
    pub fn set_deadline(&mut self, id: i64, deadline: Duration) {
        let entry = &mut self.slots[Self::slot(id)];
        assert_eq!(entry.id, id, "only what is pending has a deadline");
        entry.deadline = Some(deadline);
        let earliest = self.earliest.map_or(deadline, |other| other.min(deadline));
        self.earliest = Some(earliest);
    }

    /// When to look for expired entries. It may be too early, for the sake of an entry that has ended, never too late.
    pub fn deadline(&self) -> Option<Duration> {
        self.earliest
    }

    /// Takes the deadlines from the entries whose time has come and gives their ids, those of the oldest first.
    ///
    /// When the earliest deadline has passed, all entries are looked at, once: deadlines are moved far more often than
    /// they come.
    pub fn expired(&mut self, now: Duration) -> Vec<i64> {
        // A heap sorts with less code than `sort` brings along.
        let mut ids = BinaryHeap::new();
        if self.earliest.take_if(|earliest| *earliest <= now).is_some() {
            for (_, entry) in &mut self.slots {
                let deadline = &mut entry.deadline;
                if deadline.take_if(|deadline| *deadline <= now).is_some() {
                    ids.push(entry.id);
                }
                self.earliest = earliest([self.earliest, entry.deadline]);
            }
        }
        ids.into_sorted_vec()
    }

    fn next_id(&mut self, slot: usize) -> i64 {
        self.generation += 1;
        (self.generation << SLOT_BITS | slot as u64) as i64
    }

    fn slot(id: i64) -> usize {
        id as usize & (Self::CAPACITY - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending<T>() -> Pending<T> {
        Pending::new(&mut Random::new(1))
    }

    #[test]
    fn every_id_of_an_entry_leads_to_its_newest_until_it_ends_and_then_to_nothing_though_its_slot_is_taken()
     {
        let mut pending = pending();
        let first = pending.insert("it");
        assert_eq!(pending.find_mut(first), Some((first, &mut "it")));
        let (second, _) = pending.renew(first);
        let other = pending.insert("other");
        let (third, _) = pending.renew(second);
        assert_eq!(
            [first, second, third].map(|id| pending.get(id)),
            [None, None, Some(&"it")]
        );
        for id in [first, second, third] {
            assert_eq!(pending.find_mut(id), Some((third, &mut "it")));
        }
        assert_eq!(pending.find_mut(other), Some((other, &mut "other")));
        assert_eq!(pending.remove(third), Some("it"));
        let next = pending.insert("next");
        assert_eq!(Pending::<&str>::slot(first), Pending::<&str>::slot(next));
        for id in [0, first, second, third, i64::MAX] {
            assert_eq!(pending.find_mut(id), None, "{id}");
            assert_eq!(pending.get(id), None, "{id}");
            assert_eq!(pending.get_mut(id), None, "{id}");
            assert_eq!(pending.remove(id), None, "{id}");
        }
        assert_eq!(pending.find_mut(next), Some((next, &mut "next")));
    }

    #[test]
    fn ids_are_exact_in_every_language_and_no_incarnation_uses_those_of_another() {
        let mut ids = Vec::new();
        for seed in 0..1000 {
            let mut pending = Pending::<u32>::new(&mut Random::new(seed));
            ids.extend((0..100).map(|value| pending.insert(value)));
            ids.push(pending.renew(ids[ids.len() - 7]).0);
        }
        assert!(ids.iter().all(|id| (0..1 << ID_BITS).contains(id)));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 101_000);
    }

    #[test]
    fn an_entry_expires_once_at_its_last_deadline_unless_it_has_ended() {
        let ms = Duration::from_millis;
        let mut pending = pending();
        let [early, ends, late, waits] = [(); 4].map(|()| pending.insert("it"));
        for (id, at_ms) in [
            (early, 10),
            (ends, 10),
            (late, 20),
            (waits, 10),
            (waits, 20),
        ] {
            pending.set_deadline(id, ms(at_ms));
        }
        pending.remove(ends);
        for (at_ms, expired, deadline) in [
            (9, vec![], Some(ms(10))),
            (10, vec![early], Some(ms(20))),
            (10, vec![], Some(ms(20))),
            (30, vec![late, waits], None),
            (30, vec![], None),
        ] {
            assert_eq!(pending.expired(ms(at_ms)), expired);
            assert_eq!(pending.deadline(), deadline);
        }
    }

    #[test]
    fn the_oldest_expires_first_whatever_its_slot() {
        let mut pending = pending();
        for id in ["gone", "gone, too"].map(|value| pending.insert(value)) {
            pending.remove(id);
        }
        // The slot that was left last is taken first.
        let ids = ["first", "second", "third"].map(|value| pending.insert(value));
        assert!(Pending::<&str>::slot(ids[0]) > Pending::<&str>::slot(ids[1]));
        for id in ids {
            pending.set_deadline(id, Duration::from_millis(10));
        }
        assert_eq!(pending.expired(Duration::MAX), ids);
        assert_eq!(pending.deadline(), None);
    }
}
