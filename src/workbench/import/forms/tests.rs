use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// All forms of a text, or the error and its offset.
fn read(text: &str) -> Result<Vec<Value>, (usize, Problem)> {
    let mut forms = Forms::new(text);
    let mut values = Vec::new();
    loop {
        match forms.next() {
            Ok(Some(form)) => {
                let value = serde_json::from_str(form.json);
                values.push(value.unwrap_or_else(|error| panic!("{error}: {}", form.json)));
            }
            Ok(None) => return Ok(values),
            Err(SyntaxError { at, what }) => return Err((at, what)),
        }
    }
}

#[test]
fn an_operation_is_read_as_jepsen_writes_it() {
    let text =
        r#"{:index 0, :type :invoke, :process 3, :f :txn, :value [[:r 9 nil] [:append 9 2]]}"#;
    let expected = json!({
        "index": 0, "type": "invoke", "process": 3, "f": "txn", "value": [["r", 9, null], ["append", 9, 2]],
    });
    assert_eq!(read(text), Ok(vec![expected.clone()]));
    let tagged = format!("#jepsen.history.Op{text}");
    assert_eq!(read(&tagged), Ok(vec![expected]));
}

#[test]
fn forms_stand_one_after_the_other_or_in_one_list() {
    let three = Ok(vec![json!({"a": 1}), json!({"a": 2}), json!({"a": 3})]);
    for text in [
        "{:a 1}\n{:a 2}\n{:a 3}",
        "[{:a 1} {:a 2}, {:a 3}]",
        "\u{feff}({:a 1}\n ; a comment }\n {:a 2}\n #_ {:a 7} {:a 3} #_ #_ 1 2) ; and after it",
        "{:a 1}{:a 2}{:a 3}#_{:a 4}",
        r#"[{"a":1},{"a":2},{"a":3}]"#,
        "{\"a\": 1}\n{\"a\": 2}\r\n{\"a\": 3}\n",
    ] {
        assert_eq!(read(text), three, "{text}");
    }
    for nothing in ["", " \n", "[]", "()", "; nothing", "#_ {:a 1}"] {
        assert_eq!(read(nothing), Ok(vec![]), "{nothing:?}");
    }
}

#[test]
fn what_json_lacks_becomes_what_is_closest() {
    for (edn, expected) in [
        ("#{3 1 2}", json!([3, 1, 2])),
        ("(1 (2))", json!([1, [2]])),
        (
            "[:a b :c/d ::e x.y/z]",
            json!(["a", "b", "c/d", "e", "x.y/z"]),
        ),
        ("[nil true false null]", json!([null, true, false, null])),
        (
            "[+7 -7 0 7N 1.5M -2.5e3]",
            json!([7, -7, 0, 7, 1.5, -2.5e3]),
        ),
        (
            "[1/2 -1/2 ##Inf ##NaN]",
            json!(["1/2", "-1/2", "##Inf", "##NaN"]),
        ),
        (
            r"[\a \newline \u00e9 \] \é]",
            json!(["a", "\n", "é", "]", "é"]),
        ),
        (
            r#"["a\tb\"\\\u00e9" "two
lines"]"#,
            json!(["a\tb\"\\é", "two\nlines"]),
        ),
        (r#"#inst "2026-11-28""#, json!("2026-11-28")),
        ("[#a/b #c 1]", json!([1])),
        (
            "{1 2, :k {}, nil 3, [1 :x] 4, \"s\" 5}",
            json!({"1": 2, "k": {}, "null": 3, "[1,\"x\"]": 4, "s": 5}),
        ),
        ("{:a #_:b 1 #_ {:c #_ 2 [3]}}", json!({"a": 1})),
        ("[1 #{2}[3]\"4\"5]", json!([1, [2], [3], "4", 5])),
    ] {
        // The form is in a list, so that it is not taken for the list of operations.
        let read = read(&format!("[{edn}]"));
        assert_eq!(read, Ok(vec![expected]), "{edn}");
    }
}

#[test]
fn numbers_of_any_size_keep_their_digits() {
    let mut forms = Forms::new("[[123456789012345678901234567890N 1.0 0.10M]]");
    let form = forms.next().expect("EDN").expect("a form");
    assert_eq!(form.json, "[123456789012345678901234567890,1.0,0.10]");
}

#[test]
fn an_error_is_reported_with_its_place() {
    use Problem::*;
    let unreadable = |token: &str| Unreadable(String::from(token));
    for (text, at, what) in [
        ("{:a 1}\n{:a [2 3", 7, CutOff),
        ("[{:a 1} {:a 2}", 0, CutOff),
        ("[{:a 1} {:a 2", 8, CutOff),
        (r#"{:a "no end"#, 4, CutOff),
        (r#"{:a "\"#, 4, CutOff),
        ("{:a #", 4, CutOff),
        (r"{:a \", 4, CutOff),
        ("#_", 0, CutOff),
        ("#tag", 0, CutOff),
        (r#"[{"a":1},"#, 0, CutOff),
        (
            "{:a [1}",
            6,
            Mismatch {
                found: '}',
                expected: ']',
            },
        ),
        (
            "{:a 1]",
            5,
            Mismatch {
                found: ']',
                expected: '}',
            },
        ),
        ("{:a 1}\n}", 7, NothingOpen('}')),
        ("[{:a 1}] {:a 2}", 9, MoreFollows),
        ("{:a 1 :b}", 0, NoValue),
        ("[[#_]]", 2, unreadable("#_")),
        ("{:a 1.2.3}", 4, unreadable("1.2.3")),
        ("{:a 012}", 4, unreadable("012")),
        ("{:a 1/0x}", 4, unreadable("1/0x")),
        ("{:a :}", 4, unreadable(":")),
        (r#"{:a #"regex"}"#, 4, unreadable("#")),
        (r#"{:a "\q"}"#, 5, unreadable("\\q")),
        (r"{:a \nowhere}", 4, unreadable("\\nowhere")),
        (r#"{"a": nil}"#, 6, unreadable("nil")),
        (r#"{"a": +1}"#, 6, unreadable("+1")),
        (r#"{"a": #{1}}"#, 6, unreadable("#")),
    ] {
        assert_eq!(read(text), Err((at, what)), "{text}");
    }
}

#[test]
fn what_is_nested_too_deep_is_refused_before_it_takes_room() {
    let nested = |depth| format!("{{:a {}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(DEPTH_MAX - 1)).is_ok());
    let at = "{:a ".len() + DEPTH_MAX - 1;
    assert_eq!(read(&nested(DEPTH_MAX)), Err((at, Problem::TooDeep)));
    assert_eq!(read(&nested(1_000_000)), Err((at, Problem::TooDeep)));
    let (at, what) = read(&"#_".repeat(1_000_000)).expect_err("too deep");
    assert_eq!((at, what), (2 * DEPTH_MAX, Problem::TooDeep));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|quarters| Value::from(f64::from(quarters) / 4.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// A value as EDN. Values that JSON lacks are left to other tests.
fn edn(value: &Value) -> String {
    match value {
        Value::Null => String::from("nil"),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(edn).collect();
            format!("[{}]", values.join(" "))
        }
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(key, value)| format!("{}{}", quoted(key), edn(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

proptest! {
    #[test]
    fn any_value_is_read_as_it_was_written(values in prop::collection::vec(any_json(), 0..4)) {
        // A key that is not a string makes it EDN, a string makes it JSON.
        let as_edn: Vec<String> = values.iter().map(|value| format!("{{:v {}}}", edn(value))).collect();
        let values: Vec<Value> = values.into_iter().map(|value| json!({"v": value})).collect();
        let as_json: Vec<String> = values.iter().map(Value::to_string).collect();
        for text in [as_edn.join("\n"), format!("[{}]", as_edn.join(" ")), as_json.join("\n")] {
            prop_assert_eq!(read(&text), Ok(values.clone()), "{}", text);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in r#"[\[\](){}#_:"\\a-c0-2/;,^\n é-]{0,60}"#) {
        // The output is JSON.
        let _ = read(&text);
    }

    #[test]
    fn what_is_cut_off_anywhere_is_refused(values in prop::collection::vec(any_json(), 1..4), cut in any::<prop::sample::Index>()) {
        let whole = format!("[{}]", values.iter().map(|value| format!("{{:v {}}}", edn(value))).collect::<String>());
        let mut end = cut.index(whole.len() - 1) + 1;
        while !whole.is_char_boundary(end) {
            end -= 1;
        }
        prop_assert!(read(&whole[..end]).is_err(), "{}", &whole[..end]);
    }
}
