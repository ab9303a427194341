//! What nodes do: one room or file a challenge. No I/O, no clock, no randomness of their own.

pub mod broadcast;
mod echo;
pub mod g_counter;
pub(crate) mod json;
pub mod kafka;
pub mod lin_kv;
pub mod log;
mod transaction;
pub mod txn_list_append;
pub mod txn_rw_register;
mod unique_ids;

use crate::protocol::Error;

pub use broadcast::Broadcast;
pub use echo::Echo;
pub use g_counter::GCounter;
pub use kafka::Kafka;
pub use lin_kv::LinKv;
pub use txn_list_append::TxnListAppend;
pub use txn_rw_register::TxnRwRegister;
pub use unique_ids::UniqueIds;

/// Refuses a request if `count` is more than `max`. `what` ends with its verb, as in "msg has", and `unit` is what is counted.
fn at_most(what: &str, count: usize, max: usize, unit: &str) -> Result<(), Error> {
    match count <= max {
        true => Ok(()),
        false => Err(Error::malformed(alloc::format!(
            "{what} more than {max} {unit}"
        ))),
    }
}

/// A field that a request must have.
fn required<T>(field: Option<T>, name: &str) -> Result<T, Error> {
    field.ok_or_else(|| Error::missing(name))
}
