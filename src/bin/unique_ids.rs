//! A node.

fn main() {}
