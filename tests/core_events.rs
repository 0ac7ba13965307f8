//! Any sequence of events, nonsense too, is survived: proptest makes the bytes here, a fuzzer elsewhere. A corpus of what once
//! failed, or leads deep, is replayed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod model;

use proptest::prelude::*;

#[test]
fn corpus() {
    for (bytes, why) in [
        (&b""[..], "nothing at all"),
        (b"\x02\x01\x02\x02\x02\x02\x0f\x00\x06\x00\x00\x00\x01\x0f\x00", "start, plan, first answer"),
        (b"\x03\x01\x05\x00\x05\x09\x05\xff\x02\x02", "snapshots of any age"),
        (b"\x02\x01\x02\x09\x00\x01\x09\x05\x02\x0f\x00\x0f\x00", "received without a request"),
        (b"\x02\x01\x02\x02\x02\x0a\x13\x02\x02\x0f\x07\x02\x02\x02", "disabled, then stopped"),
        (b"\x02\x01\x0f\x07\x02\x02", "stopped before anything was read"),
        (b"\x83\x01\x02\x02\x02\x0d\x18\x02\x02\x0d\x1b\x02\x02\x0d\x06\x02\x02", "replaced, appended, gone down"),
        (
            b"\x82\x01\x02\x11\x03\x02\x02\x0f\x00\x10\x03\x02\x10\x0c\x02\x0e\xff\x0f\x00",
            "interfaces down and on one device",
        ),
        (b"\x83\x01\x02\x02\x0e\x40\x0f\x00\x0a\x82\x0e\x20\x0f\x07\x02", "netifd never tells, reload, stop"),
    ] {
        println!("{why}");
        model::bytes::play(bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        model::bytes::play(&bytes);
    }
}
