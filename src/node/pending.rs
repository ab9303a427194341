use core::time::Duration;

use slab::Slab;

use super::Random;

/// How many bits of a message id name the slot.
const SLOT_BITS: u32 = 12;

/// The most operations that [`Pending`] holds at once.
pub const PENDING_MAX: usize = 1 << SLOT_BITS;

/// Message ids stay below 2^53: a JSON number that every language reads exactly.
const MESSAGE_ID_BITS: u32 = 53;

/// Operations that wait for replies or for their time.
///
/// A message id is a generation and a slot. The generation counts up with every id from a random start, so no id is
/// used twice, not by a later operation in the same slot and not by a later life of the same node: a reply that is
/// late, doubled or meant for a dead node can't be taken for another's. The holder compares the whole id with the one
/// it waits for; the slot only says where to look.
#[derive(Debug)]
pub struct Pending<T> {
    slots: Slab<Entry<T>>,
    generation: u64,
    /// No deadline is earlier than this.
    earliest: Option<Duration>,
}

#[derive(Debug)]
struct Entry<T> {
    deadline: Option<Duration>,
    value: T,
}

impl<T> Pending<T> {
    /// Nothing is pending yet.
    pub fn new(random: &mut Random) -> Self {
        Pending {
            slots: Slab::new(),
            generation: random.sequence_start(MESSAGE_ID_BITS - SLOT_BITS),
            earliest: None,
        }
    }

    /// Whether there is no room: [`PENDING_MAX`].
    pub fn is_full(&self) -> bool {
        self.slots.len() == PENDING_MAX
    }

    /// How many more operations fit in.
    pub fn room(&self) -> usize {
        PENDING_MAX - self.slots.len()
    }

    /// Whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Adds an operation; the answer is its slot. There must be room.
    pub fn insert(&mut self, value: T) -> usize {
        assert!(!self.is_full(), "the caller keeps to the limit");
        self.slots.insert(Entry {
            deadline: None,
            value,
        })
    }

    /// Ends an operation. The slot must be taken.
    pub fn remove(&mut self, slot: usize) -> T {
        self.slots.remove(slot).value
    }

    /// The operation in a slot, which must be taken.
    pub fn get(&mut self, slot: usize) -> &mut T {
        &mut self.slots[slot].value
    }

    /// All operations.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().map(|(_, entry)| &entry.value)
    }

    /// All operations with their slots.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        self.slots
            .iter_mut()
            .map(|(slot, entry)| (slot, &mut entry.value))
    }

    /// A message id that leads back to `slot` and has never been used.
    pub fn message_id(&mut self, slot: usize) -> i64 {
        self.generation += 1;
        (self.generation << SLOT_BITS | slot as u64) as i64
    }

    /// The operation that the message with this id may have been for.
    pub fn find(&mut self, message_id: i64) -> Option<(usize, &mut T)> {
        let slot = (message_id & (PENDING_MAX as i64 - 1)) as usize;
        self.slots
            .get_mut(slot)
            .map(|entry| (slot, &mut entry.value))
    }

    /// Sets when [`expired`](Self::expired) gives this operation out.
    pub fn set_deadline(&mut self, slot: usize, deadline: Duration) {
        self.slots[slot].deadline = Some(deadline);
        self.earliest = Some(
            self.earliest
                .map_or(deadline, |earliest| earliest.min(deadline)),
        );
    }

    /// When to look for expired operations. It may be too early, for the sake of an operation that has ended, never
    /// too late.
    pub fn deadline(&self) -> Option<Duration> {
        self.earliest
    }

    /// Takes the deadline from an operation whose time has come and gives its slot.
    ///
    /// All operations are looked at, but only when the earliest deadline has passed; deadlines are moved far more often
    /// than they come.
    pub fn expired(&mut self, now: Duration) -> Option<usize> {
        if self.earliest? > now {
            return None;
        }
        let due = self
            .slots
            .iter_mut()
            .find(|(_, entry)| entry.deadline.is_some_and(|deadline| deadline <= now));
        if let Some((slot, entry)) = due {
            entry.deadline = None;
            return Some(slot);
        }
        self.earliest = self
            .slots
            .iter()
            .filter_map(|(_, entry)| entry.deadline)
            .min();
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_id_is_used_twice_for_the_same_slot() {
        let mut pending = Pending::new(&mut Random::new(1));
        let slot = pending.insert("first");
        let old = pending.message_id(slot);
        pending.remove(slot);
        assert_eq!(pending.insert("second"), slot);
        assert_ne!(pending.message_id(slot), old);
    }

    #[test]
    fn message_ids_lead_to_their_slot_and_are_exact_in_every_language() {
        for seed in 0..1000 {
            let mut pending = Pending::new(&mut Random::new(seed));
            for value in 0..100 {
                let slot = pending.insert(value);
                let id = pending.message_id(slot);
                assert!((0..1 << 53).contains(&id));
                assert_eq!(pending.find(id), Some((slot, &mut value.clone())));
            }
        }
    }

    #[test]
    fn two_lives_of_a_node_use_different_message_ids() {
        let first_id = |seed| {
            let mut pending = Pending::new(&mut Random::new(seed));
            let slot = pending.insert(());
            pending.message_id(slot)
        };
        assert_ne!(first_id(1), first_id(2));
    }

    #[test]
    fn an_operation_expires_once_at_its_deadline() {
        let ms = Duration::from_millis;
        let mut pending = Pending::new(&mut Random::new(1));
        let (early, late) = (pending.insert("early"), pending.insert("late"));
        pending.set_deadline(late, ms(20));
        pending.set_deadline(early, ms(10));
        assert_eq!(pending.deadline(), Some(ms(10)));
        assert_eq!(pending.expired(ms(9)), None);
        assert_eq!(pending.expired(ms(10)), Some(early));
        assert_eq!(pending.expired(ms(10)), None);
        assert_eq!(pending.deadline(), Some(ms(20)));
        assert_eq!(pending.expired(ms(30)), Some(late));
        assert_eq!(pending.expired(ms(30)), None);
        assert_eq!(pending.deadline(), None);
    }
}
