//! Any bytes from ubusd: cut into frames, read as calls, turned into JSON and back.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| failoverd::ubus_call::exercise(bytes));
