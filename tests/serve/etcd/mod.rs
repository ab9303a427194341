//! Real and fake members of etcd, shared with the tests of services.
#![allow(
    dead_code,
    reason = "the tests of etcd itself need more of these members than those of services"
)]

#[path = "../../etcd/fake.rs"]
pub mod fake;
#[path = "../../etcd/real.rs"]
pub mod real;
#[path = "../../etcd/service.rs"]
pub mod service;
