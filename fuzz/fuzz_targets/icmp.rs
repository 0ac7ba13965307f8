//! Any bytes as a packet on a probe socket.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = failoverd::icmp::parse(bytes);
});
