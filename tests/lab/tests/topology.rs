//! The lab looked at from outside: does it behave as tests, demo and bench assume? Every test runs as root and as an
//! ordinary user.
// Helpers beside the tests may panic as the tests do.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use lab::{Flows, Lab, LabConfig, STREAM_SERVER, TARGETS, protocol};

mod ping;
use ping::ping;

const SECOND: Duration = Duration::from_secs(1);

fn two() -> Lab {
    Lab::new(LabConfig::default()).unwrap()
}

/// A host route through each provider, so that a bound socket finds its way without failoverd.
fn with_defaults(config: LabConfig) -> Lab {
    let lab = Lab::new(config).unwrap();
    for provider in lab.providers() {
        lab.router().dhcp_default(provider, 10 + u32::from(provider.number()), protocol::STATIC, false).unwrap();
    }
    lab
}

#[test]
fn every_provider_answers_pings_to_every_target() {
    let lab = with_defaults(LabConfig { providers: 3, ..LabConfig::default() });
    for provider in lab.providers() {
        for target in TARGETS.into_iter().chain([STREAM_SERVER, provider.addresses().gateway]) {
            let round_trip = ping(&lab, provider.device(), target, SECOND).unwrap_or_else(|| {
                panic!("no answer from {target} through {}: {:?}", provider.device(), provider.seen())
            });
            assert!(round_trip < Duration::from_millis(50), "{round_trip:?}");
        }
        let seen = provider.seen();
        assert_eq!(seen.echo_total(), 6, "what went out of one device came to its provider alone");
        assert_eq!(seen.malformed, 0);
        assert!(seen.arp.keys().all(|target| *target == provider.addresses().gateway), "{:?}", seen.arp);
    }
}

#[test]
fn a_missing_route_is_not_hidden_unless_the_modem_answers_for_everybody() {
    let lab = two();
    let provider = lab.provider(0).unwrap();
    let target = TARGETS[0];
    assert_eq!(ping(&lab, "wan0", target, Duration::from_millis(200)), None);
    assert_eq!(provider.seen().echo_total(), 0);
    assert!(provider.seen().arp.contains_key(&target), "the kernel took the target for a neighbour");
    provider.answers_for_everybody(true);
    lab.provider(1).unwrap();
    assert!(ping(&lab, "wan0", target, 3 * SECOND).is_some());
}

#[test]
fn the_stream_follows_the_default_route() {
    let lab = two();
    let stream = lab.stream().unwrap();
    lab.router().dhcp_default(lab.provider(0).unwrap(), 5, protocol::DHCP, false).unwrap();
    stream.wait_until_via(0, SECOND).unwrap();
    assert_eq!(lab.active_provider().unwrap(), Some(0));
    let switch = Instant::now();
    lab.router().dhcp_default(lab.provider(1).unwrap(), 5, protocol::DHCP, true).unwrap();
    stream.wait_until_via(1, SECOND).unwrap();
    let timeline = stream.stop(SECOND);
    let end = Instant::now();
    assert_eq!(timeline.lost_between(switch, end), 0, "a replace loses nothing");
    assert!(timeline.providers_between(switch, end).iter().all(|(provider, _)| *provider == 1));
}

#[test]
fn a_silent_cut_and_lost_carrier() {
    let lab = with_defaults(LabConfig::default());
    let stream = lab.stream().unwrap();
    stream.wait_until_via(0, SECOND).unwrap();
    let provider = lab.provider(0).unwrap();
    provider.silent(true);
    let cut = Instant::now();
    std::thread::sleep(Duration::from_millis(300));
    assert!(stream.lost_between(cut, Instant::now()) >= 10);
    provider.silent(false);
    stream.wait_until_via(0, SECOND).unwrap();
    lab.router().set_device_sysctl("wan0", "ignore_routes_with_linkdown", "1").unwrap();
    std::thread::sleep(SECOND);
    let cut = Instant::now();
    provider.carrier(false).unwrap();
    stream.wait_until_via(1, SECOND).unwrap();
    let outage = stream.outage_between(cut, Instant::now());
    assert!(outage < Duration::from_millis(100), "the kernel alone takes the next route: {outage:?}");
    provider.carrier(true).unwrap();
    stream.wait_until_via(0, 3 * SECOND).unwrap();
}

#[test]
fn devices_come_and_go() {
    let lab = with_defaults(LabConfig::default());
    let provider = lab.provider(0).unwrap();
    let before = provider.ifindex().unwrap();
    let view = lab.router().view().unwrap();
    provider.remove_device().unwrap();
    assert_eq!(provider.ifindex().unwrap(), None);
    assert!(!view.difference(&lab.router().view().unwrap()).is_empty());
    provider.restore_device().unwrap();
    assert_ne!(provider.ifindex().unwrap(), before, "a new device has a new index");
    lab.router().dhcp_default(provider, 1, protocol::DHCP, false).unwrap();
    let stream = lab.client().stream(Duration::from_millis(5), Flows::Fresh).unwrap();
    stream.wait_until_via(0, SECOND).unwrap();
    let timeline = stream.stop(SECOND);
    assert!(timeline.datagrams.iter().skip(3).all(|datagram| datagram.answer.is_some()));
}

#[test]
fn distinct_providers_have_addresses_of_their_own() {
    let lab = with_defaults(LabConfig { providers: 2, identical: false, ..LabConfig::default() });
    let provider = lab.provider(1).unwrap();
    assert_eq!(provider.addresses().gateway.to_string(), "192.168.11.1");
    assert!(ping(&lab, "wan1", TARGETS[0], SECOND).is_some());
    assert_eq!(provider.seen().echo_log[0].source, provider.addresses().router);
    assert!(lab.uci(&[("interval", "1")]).contains("option gateway '192.168.11.1'"));
    assert!(lab.provider(2).is_err());
    assert!(Lab::new(LabConfig { providers: 17, ..LabConfig::default() }).is_err());
}

#[test]
fn sixteen_providers_are_no_burden() {
    let start = Instant::now();
    let lab = with_defaults(LabConfig { providers: 16, ..LabConfig::default() });
    for provider in lab.providers() {
        assert!(ping(&lab, provider.device(), TARGETS[2], SECOND).is_some());
    }
    drop(lab);
    assert!(start.elapsed() < 5 * SECOND, "{:?}", start.elapsed());
}

#[test]
fn an_address_or_a_device_that_goes_takes_its_routes_along() {
    let lab = with_defaults(LabConfig::default());
    let provider = lab.provider(0).unwrap();
    let defaults = || {
        let routes = lab.router().routes().unwrap();
        routes.iter().filter(|line| line.starts_with("default") && line.contains("oif 100")).count()
    };
    assert_eq!(defaults(), 1);
    provider.router_address(false).unwrap();
    assert_eq!(defaults(), 0);
    provider.router_address(true).unwrap();
    lab.router().dhcp_default(provider, 10, protocol::STATIC, false).unwrap();
    provider.device_up(false).unwrap();
    assert_eq!(defaults(), 0);
    provider.device_up(true).unwrap();
    lab.router().dhcp_default(provider, 10, protocol::STATIC, false).unwrap();
    assert!(ping(&lab, "wan0", TARGETS[0], 2 * SECOND).is_some());
}
