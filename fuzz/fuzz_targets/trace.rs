//! Any bytes as a recorded trace.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| failoverd::trace::exercise(bytes));
