//! `g-counter` and `pn-counter`.

use crate::Kind;

const COUNTER_RIGHT: &str = r#"
if kind == "read":
    reply(type="read_ok", value=total)
else:
    total += body["delta"]
    if kind == "add":
        share(delta=body["delta"])
        reply(type="add_ok")"#;

const PN_COUNTER: Kind = Kind {
    workload: "pn-counter",
    state: "total = 0; done = False",
    right: COUNTER_RIGHT,
    flags: "--nodes a,b,c --rate 100 --time-limit 1",
};

const G_COUNTER: Kind = Kind {
    workload: "g-counter",
    ..PN_COUNTER
};

#[test]
fn a_right_counter_is_valid() {
    PN_COUNTER.assert_valid("right", "");
    G_COUNTER.assert_valid("right", "--consistency-models eventual");
}

#[test]
fn an_add_that_was_counted_twice_is_caught() {
    let wrong = "if kind == 'add' and body['delta'] > 0 and not done:\n    done = True\n    total += body['delta']";
    PN_COUNTER.assert_caught("doubles", wrong, "too high");
}

#[test]
fn an_add_that_was_dropped_is_caught() {
    let wrong = "if kind == 'add' and body['delta'] > 0 and not done:\n    done = True\n    reply(type='add_ok')\n    continue";
    G_COUNTER.assert_caught("drops", wrong, "is missing");
}

#[test]
fn a_stale_read_of_a_counter_is_caught_at_the_levels_that_forbid_it() {
    let stale = "if kind == 'read' and count < 60: reply(type='read_ok', value=0); continue";
    for (models, expected) in [("eventual", 0), ("regular", 1), ("linearizable", 1)] {
        let flags = format!("--node-count 1 --consistency-models {models}");
        let (code, printed) = G_COUNTER.run(&format!("stale-{models}"), stale, &flags);
        assert_eq!(code, expected, "{models}: {printed}");
    }
}

#[test]
fn a_node_without_a_client_is_no_fault() {
    PN_COUNTER.assert_valid("few-clients", "--concurrency 1");
}
