//! Any bytes as another tool's configuration: what comes out must be accepted.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| failoverd::import::exercise(bytes));
