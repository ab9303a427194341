use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::kv::{Key, Request, kept};
use super::{Call, Service, answer};
use crate::protocol::Error;

/// One state, and everyone sees the newest.
#[derive(Default)]
pub struct Linearizable {
    values: BTreeMap<Key, Box<RawValue>>,
}

impl Service for Linearizable {
    fn handle(&mut self, call: &Call<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let (key, request) = Request::new(call)?;
        let current = self.values.get(&*key).map(|value| &**value);
        let answered = answer(call, &request, current, out);
        if let Some(value) = request.sets(current) {
            self.values.insert(key.into_owned(), kept(value));
        }
        answered
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Store;

    #[test]
    fn it_reads_what_was_written_last() {
        let mut store = Store::new("lin-kv");
        assert_eq!(store.ask(0, r#""type":"read","key":"a""#), "error 20");
        assert_eq!(
            store.ask(0, r#""type":"write","key":"a","value":[1]"#),
            "write_ok"
        );
        assert_eq!(store.ask(1, r#""type":"read","key":"a""#), "read_ok [1]");
        assert_eq!(store.ask(1, r#""type":"read","key":"b""#), "error 20");
    }

    #[test]
    fn cas_sets_a_value_only_where_it_is_the_one_named() {
        let mut store = Store::new("lin-kv");
        assert_eq!(
            store.ask(0, r#""type":"cas","key":"a","from":0,"to":1"#),
            "error 20"
        );
        let create =
            r#""type":"cas","key":"a","from":0,"to":{"x":1,"y":2},"create_if_not_exists":true"#;
        assert_eq!(store.ask(0, create), "cas_ok");
        assert_eq!(store.ask(0, create), "error 22");
        assert_eq!(
            store.ask(0, r#""type":"cas","key":"a","from":{"y":2,"x":1},"to":3"#),
            "cas_ok"
        );
        assert_eq!(store.ask(1, r#""type":"read","key":"a""#), "read_ok 3");
    }

    #[test]
    fn null_is_a_value_and_a_key_and_what_an_absent_from_is() {
        let mut store = Store::new("lin-kv");
        let set = r#""type":"write","key":null,"value":null"#;
        assert_eq!(store.ask(0, set), "write_ok");
        let read = r#""type":"read","key":null"#;
        assert_eq!(store.ask(0, read), "read_ok null");
        let swap = r#""type":"cas","key":null,"from":null,"to":1"#;
        assert_eq!(store.ask(0, swap), "cas_ok");
        assert_eq!(store.ask(0, swap), "error 22");
        let clear = r#""type":"cas","key":null,"from":1,"to":null"#;
        assert_eq!(store.ask(0, clear), "cas_ok");
        let without_from = r#""type":"cas","key":null,"to":2"#;
        assert_eq!(store.ask(0, without_from), "cas_ok");
        let create = r#""type":"cas","key":"new","to":3,"create_if_not_exists":true"#;
        assert_eq!(store.ask(0, create), "cas_ok");
        assert_eq!(store.ask(0, r#""type":"read","key":"new""#), "read_ok 3");
    }

    #[test]
    fn a_request_that_it_does_not_understand_gets_a_true_error() {
        let mut store = Store::new("lin-kv");
        assert_eq!(store.ask(0, r#""type":"swap","key":"a""#), "error 10");
        for (request, missing) in [
            (r#""type":"write","key":"a""#, "value"),
            (r#""type":"cas","key":"a","from":1"#, "to"),
            (r#""type":"read""#, "key"),
        ] {
            assert_eq!(store.ask(0, request), "error 12");
            let said = store.last_answer();
            assert!(said.contains(&format!(r#"no \"{missing}\""#)), "{said}");
        }
    }
}
