//! Tests of type exec: what a script says, how often it is asked, and what it finds in its environment.

use failoverd::settings::{Host, Required, Target, TestKind, TestSettings};

use super::healthy;
use super::model::{Config, ms, secs};

/// Two lines that are judged by a script alone, for these targets; with `ping` by that as well, both required.
fn config(targets: &[&str], ping: bool) -> Config {
    Config::count(2).with(|settings| {
        let script = TestSettings {
            name: "script".to_owned(),
            kind: TestKind::Exec { script: "/etc/failover.check".to_owned() },
            targets: targets.iter().map(|text| Target::of(Host::Text((*text).to_owned()))).collect(),
        };
        settings.tests.push(script);
        for provider in &mut settings.providers {
            provider.tests = if ping { vec!["internet".to_owned()] } else { vec![] };
            provider.tests.push("script".to_owned());
            provider.check.required = Required::All;
        }
    })
}

#[test]
fn a_script_decides_and_is_named() {
    for (status, reason) in
        [(Some(3), "the script ended with status 3 (1 of 1 probes)"), (None, "the script was killed (1 of 1 probes)")]
    {
        for ping in [false, true] {
            let mut world = healthy(2, config(&[""], ping), 1);
            world.line("wan0").script = status;
            world.pass_until(secs(4), |world| world.traffic() == "wan1");
            let named = if ping { format!("test script failed: {reason}") } else { reason.to_owned() };
            assert_eq!(world.reason_of("a"), named, "ping beside it: {ping}");
            world.line("wan0").script = Some(0);
            world.pass_until(secs(120), |world| world.traffic() == "wan0");
        }
    }
}

#[test]
fn a_slow_script_is_asked_once_and_delays_no_other_line() {
    let mut world = healthy(2, config(&[""], false), 1);
    world.line("wan0").rtt = ms(1500);
    world.scripts.clear();
    let start = world.now;
    world.pass(secs(60));
    assert_eq!(world.said_since(start), [] as [&str; 0], "it says yes, each time");
    let of = |device: &str| {
        let own = world.scripts.iter().filter(|(_, environment)| environment.contains(&("DEVICE", device.to_owned())));
        own.map(|(at, _)| *at).collect::<Vec<_>>()
    };
    let (slow, other) = (of("wan0"), of("wan1"));
    assert!(slow.windows(2).all(|pair| pair[1].since(pair[0]) >= ms(1500)), "one at a time: {slow:?}");
    assert!((38..=41).contains(&slow.len()), "as soon as the one before has ended: {}", slow.len());
    assert_eq!(other.len(), 12, "each five seconds, as on any line in reserve");
}

#[test]
fn each_target_is_asked_once_before_a_check_fails() {
    let mut world = healthy(2, config(&["one", "two"], false), 1);
    world.scripts.clear();
    let cut = world.now;
    world.line("wan0").script = Some(1);
    world.pass_until(secs(3), |world| world.state_of("a") == "offline");
    let environment = |name| {
        let of = |(_, environment): &(_, Vec<(&'static str, String)>)| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
        };
        world.scripts.iter().filter(|it| it.0 >= cut).filter_map(of).collect::<Vec<_>>()
    };
    let mut targets = environment("TARGET");
    targets.truncate(2);
    targets.sort();
    assert_eq!(targets, ["one", "two"]);
    assert_eq!(world.reason_of("a"), "the script ended with status 1 (2 of 2 probes)");
    let first = world.scripts.iter().find(|(_, environment)| environment.contains(&("DEVICE", "wan0".to_owned())));
    let mut first = first.unwrap().1.clone();
    first.retain(|(name, _)| *name != "TARGET");
    let want = [
        ("INTERFACE", ""),
        ("DEVICE", "wan0"),
        ("ADDRESS", "10.0.0.2"),
        ("GATEWAY", "10.0.0.1"),
        ("MARK", "0x1000000"),
    ];
    assert_eq!(first, want.map(|(name, value)| (name, value.to_owned())));
}
