//! Each type of test tells the truth about a line that is reachable, silent, refused, wrong or in a portal's hands.
//!
//! The simulated internet answers every kind of question, and one kind wrongly; status, route and traffic must say what follows from that.

use std::net::Ipv4Addr;
use std::time::Instant;

use lab::{ANY_HOST, Fault, Kind, LOGIN_PAGE, LabConfig, PAGE, TARGETS};
use serde_json::Value;

use crate::world::{BRISK, SECOND, SOON, World, stays};

/// The word of a kind's type in the configuration.
pub(crate) fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Ping => "ping",
        Kind::Tcp => "tcp",
        Kind::Dns => "dns",
        Kind::Http => "http",
    }
}

/// A target of a test of this kind.
pub(crate) fn target(kind: Kind, host: &str) -> String {
    if kind == Kind::Http { format!("http://{host}/generate_204") } else { host.to_owned() }
}

/// A section for a test of this kind and name, with more lines below.
pub(crate) fn test(kind: Kind, hosts: &[&str], more: &str) -> String {
    let word = word(kind);
    let targets: String = hosts.iter().map(|host| format!("\tlist target '{}'\n", target(kind, host))).collect();
    format!("\nconfig test '{word}'\n\toption type '{word}'\n{targets}{more}")
}

/// The four public resolvers.
pub(crate) const HOSTS: [&str; 4] = ["1.1.1.1", "8.8.8.8", "9.9.9.9", "208.67.222.222"];

/// Every provider's configuration, and these tests.
fn configure(world: &World, settings: &[(&str, &str)], tests: &str) {
    world.configure(&(world.lab.uci(settings) + tests));
}

/// What a line with a fault must be called: state, reason code, and words of the reason.
struct Row {
    fault: Fault,
    state: &'static str,
    code: &'static str,
    words: &'static str,
}

const fn fine(fault: Fault) -> Row {
    Row { fault, state: "online", code: "", words: "" }
}

const fn bad(fault: Fault, code: &'static str, words: &'static str) -> Row {
    Row { fault, state: "offline", code, words }
}

/// One line for each row, all of them good at first; a good one behind them. Each must come to be called what its row says, and stay so.
fn verdicts(kind: Kind, more: &str, rows: &[Row]) {
    let providers = rows.len() as u8 + 1;
    let world = World::new(LabConfig { providers, ..LabConfig::default() });
    configure(&world, &BRISK, &test(kind, &HOSTS, more));
    let daemon = world.start();
    for (number, row) in (0..).zip(rows) {
        world.provider(number).fault(kind, row.fault);
    }
    let wrong = |fits: &dyn Fn(&Row, &Value) -> bool| {
        let status = world.status();
        let of = |number: usize| {
            let name = format!("wan{number}");
            status["providers"].as_array().into_iter().flatten().find(|it| it["name"] == name.as_str())
        };
        let wrong = rows.iter().enumerate().find(|(number, row)| !of(*number).is_some_and(|it| fits(row, it)));
        wrong.map(|(number, row)| format!("{:?}: {:#?}", row.fault, of(number)))
    };
    let fits = |row: &Row, status: &Value| {
        let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
        text("state") == row.state && text("reason_code") == row.code && text("reason").contains(row.words)
    };
    let mut last = None;
    let done = lab::wait_for(SOON, "every verdict", || {
        last = wrong(&fits);
        last.is_none()
    });
    done.unwrap_or_else(|error| panic!("{kind:?}: {error}; {last:?}"));
    let first_good = rows.iter().position(|row| row.state == "online").unwrap_or(rows.len());
    world.wait_route(first_good as u8);
    // The state alone: on a machine that is busy a refusal may come too late to be the reason of every single check.
    let start = Instant::now();
    while start.elapsed() < 2 * SECOND {
        let wrong = wrong(&|row, status| status["state"] == row.state);
        assert!(wrong.is_none(), "{kind:?}: no longer so: {wrong:?}");
    }
    for (number, _) in (0..).zip(rows) {
        world.provider(number).heal();
    }
    world.wait_state(0, "online");
    world.wait_route(0);
    world.stop(&daemon);
}

#[test]
fn what_a_tcp_test_says() {
    verdicts(
        Kind::Tcp,
        "",
        &[
            bad(Fault::Silent, "lost_probes", "probes to 4 targets"),
            bad(Fault::Prohibited, "refused", "192.168.1.1 says administratively prohibited"),
            bad(Fault::Garbage, "lost_probes", "lost "),
            bad(Fault::WrongId, "lost_probes", "lost "),
            bad(Fault::WrongSource, "lost_probes", "lost "),
            // Somebody at the far end has spoken: that is what was asked for.
            fine(Fault::Refused),
            fine(Fault::AcceptAndSayNothing),
            fine(Fault::CloseAtOnce),
        ],
    );
}

#[test]
fn what_a_dns_test_says() {
    verdicts(
        Kind::Dns,
        &format!("\toption query 'probe.example'\n\toption expect '{ANY_HOST}'\n"),
        &[
            bad(Fault::Silent, "lost_probes", "probes to 4 targets"),
            bad(Fault::Refused, "wrong_answer", "the port is closed"),
            bad(Fault::Prohibited, "refused", "192.168.1.1 says administratively prohibited"),
            bad(Fault::Garbage, "wrong_answer", "the answer is not valid"),
            bad(Fault::WrongId, "lost_probes", "lost "),
            bad(Fault::WrongSource, "lost_probes", "lost "),
            bad(Fault::Portal, "wrong_answer", "the answer does not have the address 203.0.113.80"),
            fine(Fault::None),
        ],
    );
}

#[test]
fn without_an_expected_address_every_dns_answer_is_fine() {
    verdicts(Kind::Dns, "", &[bad(Fault::Silent, "lost_probes", "lost "), fine(Fault::Portal)]);
}

#[test]
fn what_an_http_test_says() {
    let redirect: &'static str = format!("captive portal: sent on to {LOGIN_PAGE}").leak();
    verdicts(
        Kind::Http,
        "\tlist status '204'\n",
        &[
            bad(Fault::Silent, "lost_probes", "probes to 4 targets"),
            bad(Fault::Refused, "wrong_answer", "the port is closed"),
            bad(Fault::Prohibited, "refused", "192.168.1.1 says administratively prohibited"),
            bad(Fault::Garbage, "wrong_answer", "the answer is not valid"),
            bad(Fault::WrongId, "lost_probes", "lost "),
            bad(Fault::WrongSource, "lost_probes", "lost "),
            bad(Fault::AcceptAndSayNothing, "lost_probes", "lost "),
            bad(Fault::CloseAtOnce, "wrong_answer", "closed without an answer"),
            bad(Fault::Portal, "captive_portal", redirect),
            bad(Fault::LoginPage, "captive_portal", "captive portal: "),
            fine(Fault::None),
        ],
    );
}

#[test]
fn a_page_that_is_not_the_expected_one_is_a_portals() {
    let world = World::new(LabConfig::default());
    let test = "\nconfig test 'page'\n\toption type 'http'\n\tlist target 'http://1.1.1.1/'\n\tlist target 'http://9.9.9.9/'\n";
    configure(&world, &BRISK, &format!("{test}\toption expect '{}'\n", PAGE.trim()));
    let daemon = world.start();
    world.provider(0).fault(Kind::Http, Fault::LoginPage);
    let status = world.wait_state(0, "offline");
    assert_eq!(status["reason_code"], "captive_portal", "{status:#}");
    assert!(status["reason"].as_str().unwrap().contains("another page came, with status 200"), "{status:#}");
    world.wait_route(1);
    world.wait_status("the targets say so, too", |status| {
        let mut providers = status["providers"].as_array().into_iter().flatten();
        let provider = providers.find(|it| it["name"] == "wan0").cloned().unwrap_or_default();
        let targets = provider["tests"][0]["targets"].as_array().cloned().unwrap_or_default();
        targets.iter().all(|it| it["reason"].as_str().is_some_and(|reason| reason.starts_with("captive portal: ")))
    });
    world.provider(0).heal();
    world.wait_route(0);
    world.stop(&daemon);
}

#[test]
fn one_silent_kind_moves_traffic_and_its_return_brings_it_back() {
    for kind in Kind::ALL {
        // Without translation, as well as with the kernel's connection table in between.
        for identical in [true, false] {
            let world = World::new(LabConfig { identical, ..LabConfig::default() });
            configure(&world, &BRISK, &test(kind, &HOSTS, ""));
            let daemon = world.start();
            let stream = world.lab.stream().unwrap();
            stream.wait_until_via(0, SOON).unwrap();
            world.provider(0).fault(kind, Fault::Silent);
            stream.wait_until_via(1, SOON).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
            let status = world.wait_state(0, "offline");
            assert_eq!(status["reason_code"], "lost_probes", "{kind:?}: {status:#}");
            world.provider(0).heal();
            stream.wait_until_via(0, SOON).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
            world.stop(&daemon);
        }
    }
}

#[test]
fn all_tests_or_one_of_them() {
    let tests: String = Kind::ALL.map(|kind| test(kind, &HOSTS, "")).concat();
    let world = World::new(LabConfig { providers: 3, ..LabConfig::default() });
    configure(&world, &BRISK, &tests);
    let text = std::fs::read_to_string(world.config()).unwrap();
    world.configure(&text.replace("\toption device 'wan0'\n", "\toption device 'wan0'\n\toption required 'all'\n"));
    let daemon = world.start();
    for number in [0, 1] {
        world.provider(number).fault(Kind::Http, Fault::Portal);
    }
    let status = world.wait_state(0, "offline");
    assert_eq!(status["reason_code"], "captive_portal", "all are required: {status:#}");
    world.wait_route(1);
    for kind in [Kind::Tcp, Kind::Dns] {
        world.provider(1).fault(kind, Fault::Silent);
    }
    stays(3 * SECOND, "one of four is enough", || {
        world.lab.active_provider().unwrap() == Some(1) && world.status_of(1)["state"] == "online"
    });
    world.provider(1).fault(Kind::Ping, Fault::Silent);
    world.wait_state(1, "offline");
    world.wait_route(2);
    world.stop(&daemon);
}

/// Which addresses a provider has been asked for by a kind of question, of those that names lead to.
fn asked(world: &World, number: u8, kind: Kind) -> Vec<Ipv4Addr> {
    let seen = world.provider(number).seen();
    let mut targets: Vec<_> = seen.arrivals.iter().filter(|it| it.kind == kind).map(|it| it.target).collect();
    targets.retain(|target| !TARGETS.contains(target));
    targets.sort_unstable();
    targets.dedup();
    targets
}

#[test]
fn names_are_resolved_through_each_provider() {
    let world = World::new(LabConfig { providers: 2, ..LabConfig::default() });
    let tests: String = Kind::ALL.map(|kind| test(kind, &["probe.example"], "")).concat();
    let settings = [&BRISK[..], &[("required", "all"), ("resolver", "9.9.9.9")]].concat();
    configure(&world, &settings, &tests);
    // The same name leads elsewhere behind each provider, as with servers that are near everybody.
    let places = [0, 1].map(|number| Ipv4Addr::new(198, 18, 0, number + 1));
    for (number, place) in (0..).zip(places) {
        world.provider(number).name("probe.example", &[place]);
    }
    let daemon = world.start();
    for (number, place) in (0..).zip(places) {
        for kind in Kind::ALL {
            assert_eq!(asked(&world, number, kind), [place], "wan{number}, {kind:?}");
        }
        let status = world.status_of(number);
        for test in status["tests"].as_array().unwrap() {
            assert_eq!(test["targets"][0]["addresses"], serde_json::json!([place.to_string()]), "{status:#}");
        }
        let resolver = "9.9.9.9".parse::<Ipv4Addr>().unwrap();
        let seen = world.provider(number).seen();
        assert!(seen.arrivals.iter().any(|it| it.kind == Kind::Dns && it.target == resolver), "asked through itself");
    }
    // What is known goes on being asked when nobody answers for names any more; all else is found out by the probes.
    world.provider(0).target_dead("9.9.9.9".parse().unwrap(), true);
    stays(2 * SECOND, "the resolver is not the line", || world.status_of(0)["state"] == "online");
    world.provider(0).silent(true);
    world.wait_state(0, "offline");
    world.wait_route(1);
    world.stop(&daemon);
}

#[test]
fn a_name_that_does_not_exist_is_said_so() {
    let world = World::new(LabConfig::default());
    let settings = [&BRISK[..], &[("resolver", "9.9.9.9")]].concat();
    configure(&world, &settings, &test(Kind::Tcp, &["probe.example"], ""));
    world.provider(0).name("probe.example", &[]);
    let daemon = world.launch();
    world.wait_state(1, "online");
    world.wait_route(1);
    let status = world.wait_state(0, "offline");
    assert_eq!(status["reason_code"], "unresolvable", "{status:#}");
    assert!(status["reason"].as_str().unwrap().contains("the name probe.example cannot be resolved"), "{status:#}");
    world.provider(0).name("probe.example", &[ANY_HOST]);
    world.wait_state(0, "online");
    world.wait_route(0);
    world.stop(&daemon);
}
