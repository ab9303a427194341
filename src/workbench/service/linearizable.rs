use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::kv::{Key, Request, kept};
use super::{Call, Service, answer};
use crate::protocol::Error;

/// A store with one state, which every request sees.
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
    fn null_is_a_key_and_a_value_and_what_a_missing_field_is() {
        let mut store = Store::new("lin-kv");
        let set = r#""type":"write","key":null,"value":null"#;
        assert_eq!(store.ask(0, set), "write_ok");
        assert_eq!(store.ask(0, r#""type":"read""#), "read_ok null");
        let swap = r#""type":"cas","key":null,"from":null,"to":1"#;
        assert_eq!(store.ask(0, swap), "cas_ok");
        assert_eq!(store.ask(0, swap), "error 22");
        assert_eq!(store.ask(0, r#""type":"cas","from":1"#), "cas_ok");
        assert_eq!(store.ask(0, r#""type":"cas","to":2"#), "cas_ok");
        assert_eq!(store.ask(0, r#""type":"read","key":null"#), "read_ok 2");
        assert_eq!(store.ask(0, r#""type":"write","key":"a""#), "write_ok");
        assert_eq!(store.ask(0, r#""type":"read","key":"a""#), "read_ok null");
    }

    #[test]
    fn all_but_false_and_null_asks_to_create_a_key() {
        let mut store = Store::new("lin-kv");
        for (create, key, answer) in [
            ("null", "a", "error 20"),
            ("false", "a", "error 20"),
            ("0", "a", "cas_ok"),
            (r#""no""#, "b", "cas_ok"),
        ] {
            let create =
                format!(r#""type":"cas","key":"{key}","to":1,"create_if_not_exists":{create}"#);
            assert_eq!(store.ask(0, &create), answer, "{create}");
        }
    }

    #[test]
    fn a_request_of_a_type_that_it_does_not_know_gets_an_error() {
        let mut store = Store::new("lin-kv");
        assert_eq!(store.ask(0, r#""type":"swap","key":"a""#), "error 10");
        assert!(store.last_answer().contains("knows read, write and cas"));
    }
}
