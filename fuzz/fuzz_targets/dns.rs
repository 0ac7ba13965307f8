//! Any bytes as an answer to a DNS query.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| failoverd::dns::exercise(bytes));
