//! Any bytes as netifd's answer to `network.interface dump`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| failoverd::netifd::exercise(bytes));
