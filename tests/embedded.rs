//! Nodes without I/O: lines and the time in, bytes and the next deadline out. In steady state no message costs an
//! allocation.

mod conversation;

use allocation_counter::measure;
use conversation::{Company, Request, counter, echo};
use eddy::node::{Node, Workload};
use eddy::workload::g_counter::Consistency;

/// How often a node allocates memory for a thousand requests, of each of these as many, after it has served as many
/// before.
fn allocations<W: Workload>(
    node: impl Fn() -> Node<W>,
    requests: &[Request],
    at_once: usize,
) -> u64 {
    let kinds = requests.iter().cycle().take(1000);
    let lines: Vec<String> = kinds
        .enumerate()
        .map(|(number, kind)| kind.line(number))
        .collect();
    let mut company = Company::new(node());
    let scripts = [
        company.init(),
        company.converse(&lines, at_once),
        company.converse(&lines, at_once),
    ];
    let [init, first, second] = &scripts;
    let mut node = node();
    init.play(&mut node);
    first.play(&mut node);
    measure(|| second.play(&mut node)).count_total
}

#[test]
fn an_echo_allocates_nothing() {
    assert_eq!(allocations(echo, &[Request::Echo], 100), 0);
}

fn counter_allocations(consistency: Consistency, requests: &[Request], at_once: usize) -> u64 {
    allocations(|| counter(consistency), requests, at_once)
}

const ADD_AND_READ: [Request; 2] = [Request::Add, Request::Read];

#[test]
fn a_regular_counter_allocates_nothing() {
    for at_once in [1, 100] {
        let allocations = counter_allocations(Consistency::Regular, &ADD_AND_READ, at_once);
        assert_eq!(allocations, 0);
    }
}

#[test]
fn a_linearizable_counter_allocates_nothing() {
    for at_once in [1, 100] {
        let allocations = counter_allocations(Consistency::Linearizable, &ADD_AND_READ, at_once);
        assert_eq!(allocations, 0);
    }
}

/// serde_json keeps a stack when it passes over JSON in JSON in JSON, and the register that a read gets is such.
#[test]
fn a_sequential_counter_allocates_only_for_the_registers_it_reads() {
    for (at_once, reads_of_the_store_max) in [(1, 500), (100, 2 * 10)] {
        let allocations = counter_allocations(Consistency::Sequential, &ADD_AND_READ, at_once);
        assert!(
            allocations <= reads_of_the_store_max,
            "{allocations} allocations, {reads_of_the_store_max} reads of the store"
        );
    }
}

#[test]
fn an_add_to_an_eventual_counter_allocates_nothing() {
    let allocations = counter_allocations(Consistency::Eventual, &[Request::Add], 1);
    assert_eq!(allocations, 0);
}

/// For the same reason as at the sequential level: what a peer tells is JSON in JSON in JSON.
#[test]
fn a_read_of_an_eventual_counter_allocates_only_for_what_a_peer_tells() {
    for (at_once, polls_max) in [(1, 500), (100, 2 * 10)] {
        let allocations = counter_allocations(Consistency::Eventual, &ADD_AND_READ, at_once);
        assert!(
            allocations <= polls_max,
            "{allocations} allocations, {polls_max} polls"
        );
    }
}
