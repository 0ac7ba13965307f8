//! A `config test` section: what belongs to its type, what does not, and whom it asks.
//!
//! Fed with the section by `check`, for the problems, and by `load`, for the meaning.

use std::net::IpAddr;

use super::layer::{Findings, Layer, Stack};
use super::option::machine;
use super::target::{self, Host, Target};
use super::{Record, TestKind, TestSettings};
use crate::uci::Short;

/// The options that only some types have.
pub(super) const OF_TYPES: &[(&str, &[&str])] = &[
    ("size", &["ping"]),
    ("ttl", &["ping"]),
    ("query", &["dns"]),
    ("record", &["dns"]),
    ("status", &["http"]),
    ("expect", &["dns", "http"]),
    ("script", &["exec"]),
];

/// The types that ask targets, with what these are (as the end of "must be ...") and one to begin with.
pub(super) const TARGETS: &[(&str, &str, &str)] = &[
    ("ping", HOST, "1.1.1.1"),
    ("tcp", HOST_AND_PORT, "1.1.1.1:443"),
    ("dns", HOST_AND_PORT, "9.9.9.9"),
    ("http", "like http://host/path", "http://connectivitycheck.gstatic.com/generate_204"),
    ("exec", "text", ""),
];
const HOST: &str = "an IPv4 address or the name of a host";
const HOST_AND_PORT: &str = "an IPv4 address or the name of a host, with ':port' behind it or without";

/// The type's word.
fn word(layer: &Layer) -> String {
    Stack(&[layer]).text("type").unwrap_or_default()
}

/// All that is wrong with the section.
pub(super) fn check(test: &Layer, found: &mut Findings) {
    if test.refused("type") {
        return;
    }
    let (kind, label) = (word(test), &test.label);
    for (line, text) in test.texts("target") {
        if let Err(why) = target::read(&kind, text) {
            found.problems.push((line, format!("{label}: target '{}' {why}", Short(text))));
        }
    }
    let needs_target = !["arp", "exec"].contains(&kind.as_str());
    if needs_target && test.texts("target").is_empty() && !test.refused("target") && !test.damaged {
        found.problems.push((test.line, format!("{label}: needs a list of targets")));
    }
    for (option, types) in OF_TYPES {
        if let Some(line) = test.line_of(option).filter(|_| !types.contains(&kind.as_str())) {
            let text = format!(
                "{label}: {option} is for tests of type {}, and this one is of type {kind}",
                types.join(" or ")
            );
            found.problems.push((line, text));
        }
    }
    if kind == "exec" && test.line_of("script").is_none() && !test.refused("script") && !test.damaged {
        found.problems.push((test.line, format!("{label}: needs option script")));
    }
    for (line, text) in test.texts("expect") {
        if kind == "dns" && expected(test, text).is_none() {
            let address = if record(test) == Record::A { "IPv4" } else { "IPv6" };
            found.problems.push((line, format!("{label}: expect '{}' must be an {address} address", Short(text))));
        }
    }
}

/// Whether a target of the section is a name.
pub(super) fn has_names(test: &Layer) -> bool {
    let kind = word(test);
    test.texts("target").into_iter().any(|(_, text)| target::read(&kind, text).is_ok_and(|it| it.name().is_some()))
}

/// What the section means.
pub(super) fn settings(name: &str, test: &Layer) -> TestSettings {
    let layers = [test];
    let (stack, word) = (Stack(&layers), word(test));
    let small = |name: &str| stack.number(name).and_then(|number| u16::try_from(number).ok()).unwrap_or_default();
    let mut targets: Vec<Target> =
        test.texts("target").into_iter().filter_map(|(_, text)| target::read(&word, text).ok()).collect();
    let kind = match word.as_str() {
        "tcp" => TestKind::Tcp,
        "dns" => TestKind::Dns {
            query: stack.text("query").unwrap_or_default(),
            record: record(test),
            expect: stack.text("expect").and_then(|text| expected(test, &text)),
        },
        "http" => {
            let status: Vec<u16> = test.numbers("status").into_iter().filter_map(|it| u16::try_from(it).ok()).collect();
            // Such addresses are there to answer so, and a portal answers everything with 200.
            let expect = stack.text("expect");
            let empty = expect.is_none() && targets.iter().all(|it| it.path.ends_with("/generate_204"));
            TestKind::Http {
                status: match status.as_slice() {
                    [] if empty => vec![204],
                    [] => vec![200, 204],
                    _ => status,
                },
                expect,
            }
        }
        "arp" => TestKind::Arp,
        "exec" => TestKind::Exec { script: stack.text("script").unwrap_or_default() },
        _ => TestKind::Ping { size: small("size"), ttl: u8::try_from(small("ttl")).unwrap_or(u8::MAX) },
    };
    if targets.is_empty() {
        targets.push(Target::of(if word == "arp" { Host::Gateway } else { Host::Text(String::new()) }));
    }
    TestSettings { name: name.into(), kind, targets }
}

fn record(test: &Layer) -> Record {
    if Stack(&[test]).text("record").as_deref() == Some("AAAA") { Record::Aaaa } else { Record::A }
}

/// The address that a DNS answer must have.
fn expected(test: &Layer, text: &str) -> Option<IpAddr> {
    match record(test) {
        Record::A => machine(text).ok(),
        Record::Aaaa => text.parse().ok().map(IpAddr::V6),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn load(section: &str) -> Result<TestSettings, Vec<String>> {
        match parse("failover", format!("config test t\n{section}").as_bytes()) {
            Ok(mut loaded) => Ok(loaded.settings.tests.remove(0)),
            Err(problems) => Err(problems.into_iter().map(|problem| problem.text).collect()),
        }
    }

    #[test]
    fn what_a_section_means() {
        let name = |name: &str| Target::of(Host::Name(name.into()));
        for (section, kind, targets) in [
            ("list target 1.1.1.1\n", TestKind::Ping { size: 56, ttl: 64 }, vec![IpAddr::from([1, 1, 1, 1]).into()]),
            (
                "list target one.example\noption size 8\noption ttl 5\n",
                TestKind::Ping { size: 8, ttl: 5 },
                vec![name("one.example")],
            ),
            ("option type tcp\nlist target a.example\n", TestKind::Tcp, vec![name("a.example")]),
            (
                "option type dns\nlist target a.example\noption record AAAA\noption expect 2001:db8::1\n",
                TestKind::Dns {
                    query: "example.org".into(),
                    record: Record::Aaaa,
                    expect: Some("2001:db8::1".parse().unwrap()),
                },
                vec![name("a.example")],
            ),
            (
                "list target http://a.example\nlist status 302\noption expect fine\noption type http\n",
                TestKind::Http { status: vec![302], expect: Some("fine".into()) },
                vec![Target { path: "/".into(), ..name("a.example") }],
            ),
            (
                "option type http\nlist target http://a.example/generate_204\n",
                TestKind::Http { status: vec![204], expect: None },
                vec![Target { path: "/generate_204".into(), ..name("a.example") }],
            ),
            ("option type arp\n", TestKind::Arp, vec![Target::of(Host::Gateway)]),
            (
                "option type exec\noption script /root/check.sh\n",
                TestKind::Exec { script: "/root/check.sh".into() },
                vec![Target::of(Host::Text(String::new()))],
            ),
        ] {
            assert_eq!(load(section), Ok(TestSettings { name: "t".into(), kind, targets }), "{section}");
        }
    }

    #[test]
    fn what_is_wrong_with_it() {
        for (section, want) in [
            ("option type tcp\n", "test 't': needs a list of targets"),
            ("option type exec\n", "test 't': needs option script"),
            (
                "option type http\nlist target https://a.example/\n",
                "test 't': target 'https://a.example/' cannot be asked, as failoverd speaks no TLS: use a test of type tcp with port 443",
            ),
            (
                "option type arp\nlist target 1.1.1.1\n",
                "test 't': target '1.1.1.1' cannot be chosen: a test of type arp asks the provider's gateway",
            ),
            (
                "list target 1.1.1.1\noption expect x\n",
                "test 't': expect is for tests of type dns or http, and this one is of type ping",
            ),
            (
                "option type dns\nlist target 1.1.1.1\noption expect ::1\n",
                "test 't': expect '::1' must be an IPv4 address",
            ),
        ] {
            assert_eq!(load(section), Err(vec![want.to_owned()]), "{section}");
        }
    }
}
