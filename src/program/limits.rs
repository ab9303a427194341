//! The limits that every node with a store has, and their flags.

use super::{Flag, Wrong};
use crate::node::{Limits, REQUESTS_MAX};

pub(super) const LIMITS: &str = "\
  --max-pending N       operations that wait at once; one more gets error 11 (default 10000)
  --rpc-timeout TIME    how long to wait for the store, or for another node, before asking again (default 1s)
  --op-timeout TIME     by then an operation is answered, if need be with an error (default 4500ms)
";

pub(super) fn set(flag: &mut Flag, limits: &mut Limits) -> Result<(), Wrong> {
    match flag.name {
        "--max-pending" => flag.set_count(&mut limits.pending_max, REQUESTS_MAX),
        "--rpc-timeout" => flag.set_time(&mut limits.rpc_timeout),
        "--op-timeout" => flag.set_time(&mut limits.op_timeout),
        _ => flag.unknown(),
    }
}
