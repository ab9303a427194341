use alloc::collections::VecDeque;

use crate::node::GivenUp;

/// The operations of clients that wait for changes of one register, oldest first (group commit).
///
/// The first of them are the batch in flight: one change carries them all. An operation that arrives meanwhile joins the
/// next batch, not the one in flight, whose change may have been applied already.
///
/// An operation is known by the id of its [request](crate::node::Requests); `T` is what it asks for.
#[derive(Debug)]
pub struct Queue<T> {
    operations: VecDeque<(i64, T)>,
    in_flight: usize,
}

/// What stands for the request of an operation in flight that was given up. No request has this id.
const GIVEN_UP: i64 = 0;

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue {
            operations: VecDeque::new(),
            in_flight: 0,
        }
    }
}

impl<T> Queue<T> {
    /// Adds an operation to those that wait for the next batch.
    pub fn push(&mut self, request: i64, operation: T) {
        self.operations.push_back((request, operation));
    }

    /// Whether there is no operation, in flight or waiting.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Whether a batch can be sent: operations wait and none is in flight.
    pub fn is_ready(&self) -> bool {
        self.in_flight == 0 && !self.is_empty()
    }

    /// Makes the oldest operations the batch in flight, `operations_max` at most, and gives whether there are any. None may
    /// be in flight. An operation of which `joins` says no is taken out instead.
    pub fn start_batch(
        &mut self,
        operations_max: usize,
        joins: impl FnMut(i64, &T) -> bool,
    ) -> bool {
        assert_eq!(self.in_flight, 0, "a batch that was sent stays as it is");
        self.extend_batch(operations_max, joins)
    }

    /// The same, but a batch may be in flight, which becomes longer. What has been sent for it stays as it is: whoever sends a
    /// change for the longer batch has to make sure that at most one of the two is applied.
    pub fn extend_batch(
        &mut self,
        operations_max: usize,
        mut joins: impl FnMut(i64, &T) -> bool,
    ) -> bool {
        let before = self.in_flight;
        while self.in_flight < operations_max
            && let Some((request, operation)) = self.operations.get(self.in_flight)
        {
            match joins(*request, operation) {
                true => self.in_flight += 1,
                false => drop(self.operations.remove(self.in_flight)),
            }
        }
        self.in_flight > before
    }

    /// How many operations the batch in flight has, those included that were given up.
    pub fn batch_len(&self) -> usize {
        self.in_flight
    }

    /// The operations of the batch in flight for which somebody waits.
    pub fn in_flight(&self) -> impl Iterator<Item = &(i64, T)> {
        let batch = self.operations.iter().take(self.in_flight);
        batch.filter(|(request, _)| *request != GIVEN_UP)
    }

    /// Whether a batch is in flight for which nobody waits any more: all its operations were given up.
    pub fn is_abandoned(&self) -> bool {
        self.in_flight > 0 && self.in_flight().next().is_none()
    }

    /// The operations of the batch in flight are done, or nobody waits for them: takes them out and gives them, in order.
    /// Of one that was given up, the id finds no request.
    pub fn end_batch(&mut self) -> impl Iterator<Item = (i64, T)> {
        let batch = self.operations.drain(..self.in_flight);
        self.in_flight = 0;
        batch
    }

    /// The change was not applied and never will be: its operations join the next batch, but for those that were given up.
    pub fn return_batch(&mut self) {
        self.shorten_batch(0);
    }

    /// Makes the batch in flight shorter: of its operations all but the first `count` join the next batch, except for those
    /// that were given up.
    pub fn shorten_batch(&mut self, count: usize) {
        self.in_flight = count;
        let mut index = 0;
        self.operations.retain(|(request, _)| {
            index += 1;
            index <= count || *request != GIVEN_UP
        });
    }

    /// Gives up an operation: takes it out if it waits for a batch. One that is in flight, or not in this queue, is in
    /// doubt as far as the queue knows.
    pub fn withdraw(&mut self, request: i64) -> GivenUp {
        let mut operations = self.operations.iter();
        match operations.position(|(other, _)| *other == request) {
            Some(index) if index >= self.in_flight => {
                self.operations.remove(index);
                return GivenUp::NotApplied;
            }
            Some(index) => self.operations[index].0 = GIVEN_UP,
            None => {}
        }
        GivenUp::InDoubt
    }

    /// Gives up all operations: takes them out, each request with what is known of it.
    pub fn withdraw_all(&mut self) -> impl Iterator<Item = (i64, GivenUp)> {
        let in_flight = core::mem::take(&mut self.in_flight);
        let operations = self.operations.drain(..).enumerate();
        let waited_for = operations.filter(|(_, (request, _))| *request != GIVEN_UP);
        waited_for.map(move |(index, (request, _))| match index < in_flight {
            true => (request, GivenUp::InDoubt),
            false => (request, GivenUp::NotApplied),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(operations: &[(i64, char)]) -> Queue<char> {
        let mut queue = Queue::default();
        for (request, operation) in operations {
            queue.push(*request, *operation);
        }
        queue
    }

    /// Ends the batch in flight. Returns its requests.
    fn ended(queue: &mut Queue<char>) -> Vec<i64> {
        queue.end_batch().map(|(request, _)| request).collect()
    }

    #[test]
    fn what_arrives_while_a_batch_is_in_flight_joins_the_next_one_though_the_batch_is_lost() {
        let mut queue = queue(&[(1, 'a'), (2, 'b')]);
        assert!(queue.is_ready());
        queue.start_batch(10, |_, _| true);
        queue.push(3, 'c');
        assert!(!queue.is_ready());
        queue.return_batch();
        assert!(queue.is_ready());
        queue.start_batch(2, |_, _| true);
        assert_eq!(ended(&mut queue), [1, 2]);
        assert!(queue.is_ready());
        queue.start_batch(10, |_, _| true);
        assert_eq!(ended(&mut queue), [3]);
    }

    #[test]
    fn what_a_batch_was_extended_by_joins_the_next_one_if_only_the_first_part_was_applied() {
        let mut queue = queue(&[(1, 'a')]);
        queue.start_batch(10, |_, _| true);
        for request in 2..=4 {
            queue.push(request, 'b');
        }
        assert!(queue.extend_batch(3, |_, _| true));
        assert_eq!(queue.withdraw(2), GivenUp::InDoubt);
        assert_eq!(queue.batch_len(), 3);
        queue.shorten_batch(1);
        assert_eq!(ended(&mut queue), [1]);
        queue.start_batch(10, |_, _| true);
        assert!(!queue.extend_batch(10, |_, _| true), "nothing waits");
        assert_eq!(ended(&mut queue), [3, 4]);
    }

    #[test]
    fn what_does_not_join_makes_place_for_the_next() {
        let mut queue = queue(&[(1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')]);
        assert!(queue.start_batch(2, |_, operation| *operation != 'b'));
        assert_eq!(ended(&mut queue), [1, 3]);
        assert!(!queue.start_batch(2, |_, _| false));
        assert!(queue.is_empty());
    }

    #[test]
    fn an_operation_given_up_in_flight_is_in_doubt_and_joins_no_other_batch() {
        let mut queue = queue(&[(1, 'a'), (2, 'b'), (3, 'c')]);
        queue.start_batch(2, |_, _| true);
        assert_eq!(queue.withdraw(1), GivenUp::InDoubt);
        assert_eq!(queue.withdraw(3), GivenUp::NotApplied);
        assert!(!queue.is_abandoned());
        queue.return_batch();
        queue.start_batch(2, |_, _| true);
        assert_eq!(queue.withdraw(2), GivenUp::InDoubt);
        assert!(queue.is_abandoned());
        assert_eq!(ended(&mut queue), [GIVEN_UP]);
        assert!(queue.is_empty());
    }

    #[test]
    fn what_is_in_flight_when_all_are_given_up_may_have_been_applied() {
        let mut queue = queue(&[(1, 'a'), (2, 'b')]);
        queue.start_batch(1, |_, _| true);
        let given_up: Vec<_> = queue.withdraw_all().collect();
        assert_eq!(given_up, [(1, GivenUp::InDoubt), (2, GivenUp::NotApplied)]);
        assert!(queue.is_empty());
    }

    #[test]
    #[should_panic(expected = "a batch that was sent stays as it is")]
    fn nothing_is_added_to_a_batch_in_flight() {
        let mut queue = queue(&[(1, 'a'), (2, 'b')]);
        queue.start_batch(1, |_, _| true);
        queue.start_batch(1, |_, _| true);
    }
}
