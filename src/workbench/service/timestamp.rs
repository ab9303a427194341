use super::{Call, Service};
use crate::protocol::{Error, ErrorCode};
use crate::workbench::body::BodyWriter;

/// Returns the timestamps 0, 1, 2, and so on, each once.
#[derive(Default)]
pub struct TimestampOracle {
    next: u64,
}

impl Service for TimestampOracle {
    fn handle(&mut self, call: &Call<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        if call.body.kind != "ts" {
            return Err(Error::new(
                ErrorCode::NOT_SUPPORTED,
                format!("this oracle knows ts, not {:?}", call.body.kind),
            ));
        }
        let timestamp = self.next;
        self.next += 1;
        BodyWriter::new(out, "ts_ok")
            .field("ts", timestamp)
            .json_field("in_reply_to", &call.body.msg_id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Store;

    #[test]
    fn timestamps_count_up_from_zero() {
        let mut store = Store::new("lin-tso");
        for _ in 0..3 {
            assert_eq!(store.ask(0, r#""type":"ts""#), "ts_ok");
        }
        assert!(store.last_answer().contains(r#""ts":2"#));
    }
}
