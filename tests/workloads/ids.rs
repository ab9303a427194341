//! `unique-ids`.

use crate::Kind;

const UNIQUE_IDS: Kind = Kind {
    workload: "unique-ids",
    state: "",
    right: "reply(type='generate_ok', id=f'{me}-{count}')",
    flags: "--node-count 3 --rate 200 --time-limit 1",
};

#[test]
fn ids_that_are_all_different_are_valid() {
    let (code, printed) = UNIQUE_IDS.run("right", "pass", "");
    assert_eq!(code, 0, "{printed}");
}

#[test]
fn an_id_that_two_nodes_give_out_is_caught() {
    let wrong = "reply(type='generate_ok', id=count); continue";
    UNIQUE_IDS.assert_caught("shared", wrong, "times: first by node n");
}

#[test]
fn an_id_that_a_node_gives_out_again_is_caught() {
    let wrong = "if count == 7: reply(type='generate_ok', id=f'{me}-3'); continue";
    UNIQUE_IDS.assert_caught("again", wrong, "was given out 2 times");
}
