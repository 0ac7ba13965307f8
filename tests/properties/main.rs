//! Promises 1 to 3 over the model kernel: whatever is found there and whatever happens, main keeps a default route at every single
//! change, strangers' routes and rules stay theirs, and a stop puts back what was there. proptest prints the case that fails.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../model/mod.rs"]
mod model;

mod cases;
mod dns;
mod faults;
mod marks;
mod meddle;
mod netifd;
mod restore;
mod settle;
mod watch;
mod why;

use proptest::prelude::ProptestConfig;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::default() }
}
