//! Any bytes as a sequence of events for the core, against the model kernel of the tests.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/model/mod.rs"]
mod model;

fuzz_target!(|bytes: &[u8]| model::bytes::play(bytes));
