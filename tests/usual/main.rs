//! The usual solutions: a textbook node for each challenge, in Python and written from the protocol alone. `eddy`
//! calls them valid, as Maelstrom does, and nodes with a planted fault invalid.
#![cfg(feature = "workbench")]

#[path = "../command/mod.rs"]
mod command;

use std::path::Path;

use command::eddy;
use command::output::assert_ends_with;

/// Runs the node of that name in this folder, and asserts the exit code.
#[track_caller]
fn assert_node_ends_with(code: i32, name: &str, workload: &str, flags: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/usual");
    let node = folder.join(name).with_extension("py");
    let output = eddy(workload, &node, &format!("{LOAD} {flags}")).output();
    assert_ends_with(code, &output.expect("eddy is built"));
}

/// Short runs with little load: the nodes are slow, and all tests share a few cores.
const LOAD: &str = "--rate 50 --time-limit 2 --recovery 2 --latency 5";

/// For each workload its flags, its solutions, and a wrong node.
macro_rules! usual_solutions {
    ($($workload:ident: $name:literal, $flags:literal, $solutions:expr, $wrong:literal;)*) => {$(
        mod $workload {
            use super::*;

            #[test]
            fn the_usual_solution_is_valid() {
                for solution in $solutions {
                    assert_node_ends_with(0, solution, $name, $flags);
                }
            }

            #[test]
            fn a_wrong_one_is_invalid() {
                assert_node_ends_with(1, $wrong, $name, $flags);
            }
        }
    )*};
}

usual_solutions! {
    echo: "echo", "--node-count 1", ["echo"], "wrong_echo";
    unique_ids: "unique-ids", "--node-count 3 --nemesis partition --nemesis-interval 0.5 --availability total",
        ["unique_ids", "unique_ids_uuid"], "wrong_unique_ids";
    broadcast: "broadcast", "--node-count 5 --topology line --nemesis partition --nemesis-interval 0.5",
        ["broadcast"], "wrong_broadcast";
    g_set: "g-set", "--node-count 3 --nemesis partition --nemesis-interval 0.5", ["g_set"], "wrong_g_set";
    g_counter: "g-counter", "--node-count 3 --nemesis partition --nemesis-interval 0.5",
        ["g_counter"], "wrong_g_counter";
    pn_counter: "pn-counter", "--node-count 3 --nemesis partition --nemesis-interval 0.5",
        ["pn_counter"], "wrong_pn_counter";
    kafka: "kafka", "--node-count 2 --concurrency 2n", ["kafka"], "wrong_kafka";
    lin_kv: "lin-kv", "--node-count 3 --concurrency 6n --rate 200", ["lin_kv"], "wrong_lin_kv";
    txn_rw_register: "txn-rw-register",
        "--node-count 2 --nemesis partition --nemesis-interval 0.5 --consistency-models read-committed",
        ["txn_rw_register"], "wrong_txn_rw_register";
    txn_list_append: "txn-list-append", "--node-count 2 --concurrency 4n", ["txn_list_append"], "wrong_txn_list_append";
}
