//! Any bytes as an answer to an HTTP request, in pieces whose size the first byte tells.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| failoverd::http::exercise(bytes));
