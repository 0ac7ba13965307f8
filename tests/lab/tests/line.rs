//! Bad lines: every knob of `Conditions`, seen from the router and from the LAN.
// Helpers beside the tests may panic as the tests do.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use lab::{Answers, Flows, InitialDefault, Lab, LabConfig, Nat, TARGETS, protocol};

mod ping;
use ping::ping;

const SECOND: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(150);

/// A lab whose traffic goes through provider 0.
fn lab_with(config: LabConfig) -> Lab {
    let first = InitialDefault { provider: 0, metric: 5, protocol: protocol::STATIC };
    Lab::new(LabConfig { initial_defaults: vec![first], ..config }).unwrap()
}

#[test]
fn answers_can_be_late_wrong_or_errors() {
    let lab = lab_with(LabConfig::default());
    let provider = lab.provider(0).unwrap();
    let target = TARGETS[1];
    assert!(ping(&lab, "wan0", target, SECOND).is_some());
    for (answers, why) in [
        (Answers::WrongId, "another identifier"),
        (Answers::WrongSequence, "another sequence number"),
        (Answers::WrongPayload, "other data"),
        (Answers::WrongSource, "another source"),
        (Answers::Unreachable, "an ICMP error"),
        (Answers::Late(SECOND), "too late"),
    ] {
        provider.answers(answers);
        let before = provider.seen().echo_total();
        assert_eq!(ping(&lab, "wan0", target, SOON), None, "{why}");
        assert_eq!(provider.seen().echo_total(), before + 1, "{why}: the request came in");
    }
    provider.answers(Answers::Late(SOON));
    let round_trip = ping(&lab, "wan0", target, SECOND).unwrap();
    assert!(round_trip >= SOON, "{round_trip:?}");
    provider.heal();
    assert!(ping(&lab, "wan0", target, SOON).is_some());
}

#[test]
fn targets_die_one_by_one_and_all_at_once() {
    let lab = lab_with(LabConfig::default());
    let provider = lab.provider(0).unwrap();
    provider.target_dead(TARGETS[0], true);
    assert_eq!(ping(&lab, "wan0", TARGETS[0], SOON), None);
    assert!(ping(&lab, "wan0", TARGETS[1], SECOND).is_some());
    provider.silent_behind_gateway(true);
    assert_eq!(ping(&lab, "wan0", TARGETS[1], SOON), None);
    assert!(ping(&lab, "wan0", provider.addresses().gateway, SECOND).is_some());
    provider.silent(true);
    assert_eq!(ping(&lab, "wan0", provider.addresses().gateway, SOON), None);
}

#[test]
fn delay_jitter_and_loss_are_what_was_asked_for() {
    let lab = lab_with(LabConfig::default());
    let provider = lab.provider(0).unwrap();
    provider.delay(Duration::from_millis(40), Duration::from_millis(20));
    for _ in 0..5 {
        let round_trip = ping(&lab, "wan0", TARGETS[0], SECOND).unwrap().as_millis();
        assert!((40..90).contains(&round_trip), "{round_trip} ms");
    }
    provider.heal();
    provider.loss(0.3, 0.0);
    let stream = lab.client().stream(Duration::from_millis(1), Flows::One).unwrap();
    std::thread::sleep(2 * SECOND);
    let timeline = stream.stop(Duration::from_millis(50));
    let lost = timeline.datagrams.iter().filter(|datagram| datagram.answer.is_none()).count();
    let share = lost as f64 / timeline.datagrams.len() as f64;
    assert!(timeline.datagrams.len() > 1000 && (0.25..0.35).contains(&share), "{share}");
}

#[test]
fn the_same_seed_loses_the_same_datagrams() {
    let run = |seed| {
        let lab = lab_with(LabConfig { seed, ..LabConfig::default() });
        lab.provider(0).unwrap().loss(0.5, 0.0);
        let stream = lab.client().stream(Duration::from_millis(5), Flows::One).unwrap();
        std::thread::sleep(Duration::from_millis(400));
        let timeline = stream.stop(Duration::from_millis(50));
        timeline.datagrams.iter().take(40).map(|datagram| datagram.answer.is_some()).collect::<Vec<_>>()
    };
    let first = run(7);
    assert_eq!(first, run(7));
    assert_ne!(first, run(8));
    assert!(first.contains(&true) && first.contains(&false));
}

#[test]
fn a_full_queue_delays_everything_while_others_are_served() {
    let lab = lab_with(LabConfig::default());
    let received = || {
        let snmp = lab.router().namespace().proc_net("snmp").unwrap();
        let udp: Vec<&str> = snmp.lines().filter(|line| line.starts_with("Udp: ")).collect();
        udp[1].split(' ').nth(2).unwrap().parse::<u64>().unwrap()
    };
    lab.provider(0).unwrap().full_queue(true);
    let before = received();
    let round_trip = ping(&lab, "wan0", TARGETS[0], 3 * SECOND).unwrap();
    assert!((1500..1600).contains(&round_trip.as_millis()), "{round_trip:?}");
    let others = received() - before;
    assert!((60..100).contains(&others), "50 per second, for 1.5 s: {others}");
}

#[test]
fn the_stream_passes_nat() {
    for nat in [Nat::Masquerade, Nat::Snat] {
        for flows in [Flows::One, Flows::Fresh] {
            let lab = lab_with(LabConfig { nat, ..LabConfig::default() });
            let stream = lab.client().stream(Duration::from_millis(5), flows).unwrap();
            stream.wait_until_via(0, SECOND).unwrap();
            let start = Instant::now();
            std::thread::sleep(Duration::from_millis(200));
            let end = Instant::now();
            let timeline = stream.stop(SECOND);
            assert_eq!(timeline.lost_between(start, end), 0, "{nat:?}, {flows:?}");
            assert!(ping(&lab, "wan0", TARGETS[0], SECOND).is_some(), "the router's own packets under {nat:?}");
        }
    }
}
