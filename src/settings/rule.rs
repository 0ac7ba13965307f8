//! A `config rule` section: which new connections it means, and which providers they use.
//!
//! Fed with the section by `check`, for the problems, and by `load`, for the meaning.

use super::layer::{Findings, Layer, Stack};
use super::load::Sheet;
use super::option::{PROTOCOLS, Value};
use super::problem::did_you_mean;
use super::schema::MAX_PROVIDERS;
use super::{AddressMatch, Fallback, Ports, RuleSettings};
use crate::uci::Short;

/// The most rules there may be, and addresses in all of them: what a small router still loads within a second or two.
const MAX_RULES: usize = 2000;
const MAX_ADDRESSES: usize = 20_000;

/// Protocols whose headers begin with two ports: tcp, udp, dccp, sctp, udplite.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

/// The meaning of a section without problems.
pub(super) fn settings(name: &str, layer: &Layer) -> RuleSettings {
    let own = [layer];
    let stack = Stack(&own);
    let small = |name: &str| layer.numbers(name).into_iter().filter_map(|number| u8::try_from(number).ok()).collect();
    let texts = |name: &str| layer.texts(name).into_iter().map(|(_, text)| text.to_owned()).collect();
    RuleSettings {
        name: name.to_owned(),
        enabled: stack.flag("enabled"),
        source: layer.each("src", address_match),
        destination: layer.each("dest", address_match),
        protocols: small("proto"),
        source_ports: layer.each("src_port", ports),
        destination_ports: layer.each("dest_port", ports),
        devices: texts("device"),
        dscp: small("dscp"),
        providers: texts("use"),
        fallback: match stack.text("fallback").as_deref() {
            Some("unreachable") => Fallback::Unreachable,
            _ => Fallback::Default,
        },
        local: stack.flag("local"),
    }
}

fn address_match(value: &Value) -> Option<AddressMatch> {
    if let Value::AddressMatch(it) = value { Some(*it) } else { None }
}

fn ports(value: &Value) -> Option<Ports> {
    if let Value::Ports(it) = value { Some(*it) } else { None }
}

/// Every rule by itself, and what they are to one another.
pub(super) fn check(sheet: &Sheet, found: &mut Findings) {
    let mut addresses = 0;
    let mut greedy: Vec<(&Layer, bool)> = Vec::new();
    for (_, rule) in &sheet.rules {
        uses(sheet, rule, found);
        matches(sheet, rule, found);
        let own = [rule];
        let stack = Stack(&own);
        let before = addresses;
        addresses += rule.of("src").count() + rule.of("dest").count();
        if (before..addresses).contains(&MAX_ADDRESSES) {
            found.problems.push((rule.line, format!("{}: more than {MAX_ADDRESSES} addresses in rules", rule.label)));
        }
        if !stack.flag("enabled") {
            continue;
        }
        let local = stack.flag("local");
        // One that leaves the router's own connections out leaves them to the next.
        if let Some((first, _)) = greedy.iter().find(|(_, all)| *all || !local) {
            let text = format!("{}: is never asked: {} (line {})", rule.label, first.label, first.line);
            found.warnings.push((rule.line, text + " means every connection"));
        } else if means_everything(rule) {
            greedy.push((rule, local));
        }
    }
    if let Some((_, rule)) = sheet.rules.get(MAX_RULES) {
        found.problems.push((rule.line, format!("{}: more than {MAX_RULES} rules", rule.label)));
    }
    // The last id is the mark of what goes nowhere.
    let nowhere = sheet.rules.iter().find(|(_, rule)| {
        let own = [rule];
        Stack(&own).flag("enabled") && refuses(rule)
    });
    if let Some((_, rule)) = nowhere.filter(|_| sheet.providers.len() == MAX_PROVIDERS) {
        let line = rule.line_of("fallback").unwrap_or(rule.line);
        let text = format!("{}: with fallback 'unreachable' there can be {} providers", rule.label, MAX_PROVIDERS - 1);
        found.problems.push((line, text));
    }
}

fn refuses(rule: &Layer) -> bool {
    Stack(&[rule]).text("fallback").as_deref() == Some("unreachable")
}

/// Which providers it names.
fn uses(sheet: &Sheet, rule: &Layer, found: &mut Findings) {
    let label = &rule.label;
    // With a fallback written down it is meant so: a plain block, or an exception from the rules behind it.
    if rule.line_of("use").is_none()
        && rule.line_of("fallback").is_none()
        && !["use", "fallback"].iter().any(|name| rule.refused(name))
        && !rule.damaged
    {
        found.problems.push((rule.line, format!("{label}: does nothing: needs list use")));
    }
    for (line, name) in rule.texts("use") {
        match sheet.providers.iter().find(|(known, _)| known == name) {
            Some((_, provider)) if !Stack(&[provider]).flag("enabled") => {
                found.warnings.push((line, format!("{label}: use '{}': that provider is disabled", Short(name))));
            }
            Some((_, provider)) if Stack(&[provider]).flag("cold_standby") => {
                let text = "asleep (cold_standby) it is not known to be reliable, and not used";
                found.warnings.push((line, format!("{label}: use '{}': {text}", Short(name))));
            }
            Some(_) => {}
            None => {
                let hint =
                    did_you_mean(name, sheet.providers.iter().take(MAX_PROVIDERS).map(|(name, _)| name.as_str()));
                found.problems.push((line, format!("{label}: there is no provider '{}'{hint}", Short(name))));
            }
        }
    }
}

/// Which packets it means.
fn matches(sheet: &Sheet, rule: &Layer, found: &mut Findings) {
    let label = &rule.label;
    let portless =
        rule.numbers("proto").into_iter().find(|it| !WITH_PORTS.iter().any(|known| u32::from(*known) == *it));
    let ports = ["src_port", "dest_port"].into_iter().find_map(|name| Some((name, rule.line_of(name)?)));
    if let (Some((name, line)), Some(number)) = (ports, portless) {
        let word = PROTOCOLS.iter().find(|(_, known)| *known == number).map(|(word, _)| *word);
        let word = word.map_or_else(|| number.to_string(), str::to_owned);
        found.problems.push((line, format!("{label}: {name} is there, but proto '{word}' has no ports")));
    }
    for (line, device) in rule.texts("device") {
        if Stack(&[rule]).flag("local") {
            let text = "is there, but with local the router's own connections are meant too: they come in by none";
            found.problems.push((line, format!("{label}: device '{device}' {text}")));
        }
        // They mean something else in the rules of nftables, which are text: `filter` leaves such a name out.
        if device.contains(['"', '\\', '*']) {
            let text = "has a character that nftables cannot name: it means no device";
            found.warnings.push((line, format!("{label}: device '{device}' {text}")));
        }
        let own = |provider: &Layer| provider.texts("device").iter().any(|(_, own)| *own == device);
        if let Some((_, provider)) = sheet.providers.iter().find(|(_, provider)| own(provider)) {
            let text = format!("is that of {}: what comes in there is asked no rule", provider.label);
            found.warnings.push((line, format!("{label}: device '{device}' {text}")));
        }
    }
}

/// Whether it leaves no connection to the rules behind it; the router's own only with `local`.
fn means_everything(rule: &Layer) -> bool {
    let narrowing = ["src", "dest", "proto", "src_port", "dest_port", "device", "dscp"];
    let any = |it: &AddressMatch| !it.negated && it.network.prefix == 0;
    narrowing.iter().all(|name| {
        let addresses = rule.each(name, address_match);
        rule.line_of(name).is_none() && !rule.refused(name)
            || addresses.iter().any(any) && !addresses.iter().any(|it| it.negated)
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::super::tests::{problems, warnings};
    use super::super::{Ports, parse, tests::load};
    use super::*;

    const TWO: &str = "config provider fiber\noption device wan0\nconfig provider lte\noption device wwan0\n";

    fn file(rules: &str) -> String {
        format!("{TWO}{rules}")
    }

    #[test]
    fn what_a_section_means() {
        let text = file(
            "config rule voip\noption src '192.168.1.0/24 !192.168.1.9'\nlist proto udp\noption dest_port '5060 8000-8100'\n\
             list dscp ef\nlist use lte\nlist use fiber\noption fallback unreachable\nconfig rule\nlist use lte\noption local 1\n",
        );
        let [voip, second] = <[RuleSettings; 2]>::try_from(load(&text).rules).unwrap();
        assert_eq!(
            (voip.name.as_str(), second.name.as_str()),
            ("voip", "#2"),
            "one without a name is called by its place"
        );
        assert_eq!(
            voip.source.iter().map(|it| (it.negated, it.network.to_string())).collect::<Vec<_>>(),
            [(false, "192.168.1.0/24".to_owned()), (true, "192.168.1.9/32".to_owned())]
        );
        assert_eq!((voip.protocols, voip.dscp), (vec![17], vec![46]));
        assert_eq!(
            voip.destination_ports,
            [Ports { first: 5060, last: 5060 }, Ports { first: 8000, last: 8100 }],
            "several in one option, as OpenWrt's own files have it"
        );
        assert_eq!((voip.providers, voip.fallback), (vec!["lte".into(), "fiber".into()], Fallback::Unreachable));
        assert_eq!((voip.local, second.local, second.fallback), (false, true, Fallback::Default));
    }

    #[test]
    fn what_is_wrong_with_it() {
        for (rules, want, why) in [
            ("config rule r\n", "5: rule 'r': does nothing: needs list use", "no provider and no fallback"),
            ("config rule\n", "5: rule '#1': does nothing: needs list use", "without a name"),
            ("config rule r\nlist use lt\n", "6: rule 'r': there is no provider 'lt'", "a provider that is not there"),
            (
                "config rule r\nlist use fibre\n",
                "6: rule 'r': there is no provider 'fibre' (did you mean 'fiber'?)",
                "mistyped",
            ),
            (
                "config rule r\nlist use lte\nlist proto icmp\noption dest_port 80\n",
                "8: rule 'r': dest_port is there, but proto 'icmp' has no ports",
                "ports of what has none",
            ),
            (
                "config rule r\nlist use lte\nlist proto tcp\nlist proto 89\noption src_port 80\n",
                "9: rule 'r': src_port is there, but proto '89' has no ports",
                "one of several, by number",
            ),
            (
                "config rule r\nlist use lte\noption local 1\noption device br-lan\n",
                "8: rule 'r': device 'br-lan' is there, but with local the router's own connections are meant too: they come in by none",
                "the router's own traffic comes in by no device",
            ),
            (
                "config rule r\nlist use lte\nconfig rule r\nlist use fiber\n",
                "7: rule 'r': there is one on line 5 already",
                "libuci would merge them",
            ),
            (
                "config rule r\nlist use lte\noption source 10.0.0.1\n",
                "7: rule 'r': unknown option 'source' (did you mean 'src'?)",
                "another program's word",
            ),
            (
                "config rule r\nlist use lte\nlist src 2001:db8::/32\n",
                "7: rule 'r': src '2001:db8::/32' must be an IPv4 address or network, with '!' before it or without",
                "IPv6",
            ),
            (
                "config rule r\nlist use lte\nlist dest_port 8100-8000\n",
                "7: rule 'r': dest_port '8100-8000' must be a port or a range of ports, like 8000-8100",
                "backwards",
            ),
        ] {
            assert_eq!(problems(&file(rules)), [want], "{why}");
        }
    }

    #[test]
    fn what_is_odd_about_it() {
        let all = "config rule all\nlist use lte\n";
        for (rules, want, why) in [
            ("config rule r\nlist use lte\n", &[][..], "nothing"),
            ("config rule r\noption fallback unreachable\nlist dest 192.0.2.1\n", &[], "a plain block"),
            ("config rule r\noption fallback default\nlist dest 192.0.2.1\n", &[], "an exception from rules behind it"),
            (
                "config rule r\nlist use lte\nlist proto udp\nlist proto 132\noption dest_port 5060\n",
                &[],
                "both have ports",
            ),
            (
                "config rule r\nlist use lte\noption device wan0\n",
                &["7: rule 'r': device 'wan0' is that of provider 'fiber': what comes in there is asked no rule"],
                "it came by a provider, and is answered by it",
            ),
            (
                "config rule r\nlist use lte\noption device 'br-*'\n",
                &["7: rule 'r': device 'br-*' has a character that nftables cannot name: it means no device"],
                "no pattern",
            ),
            (
                &format!("{all}config rule r\nlist use fiber\nlist dest 192.0.2.1\n"),
                &["7: rule 'r': is never asked: rule 'all' (line 5) means every connection"],
                "behind one that leaves nothing",
            ),
            (
                &format!("{all}list dest 0.0.0.0/0\nconfig rule r\nlist use fiber\n"),
                &["8: rule 'r': is never asked: rule 'all' (line 5) means every connection"],
                "the same in other words",
            ),
            (
                &format!("{all}config rule r\nlist use fiber\noption local 1\n"),
                &[],
                "the router's own connections are left to it",
            ),
            (
                &format!("{all}option local 1\nconfig rule r\nlist use fiber\noption local 1\n"),
                &["8: rule 'r': is never asked: rule 'all' (line 5) means every connection"],
                "unless those are meant too",
            ),
            (
                &format!("{all}option enabled 0\nconfig rule r\nlist use fiber\n"),
                &[],
                "a disabled one takes nothing away",
            ),
            (&format!("{all}list dest !192.0.2.1\nconfig rule r\nlist use fiber\n"), &[], "all but one"),
            (
                "config rule r\nlist use lte\nlist src 10.0.0.1\nlist src 10.0.0.1/32\nlist proto tcp\nlist proto 6\n",
                &["8: rule 'r': src '10.0.0.1/32' is there twice", "10: rule 'r': proto '6' is there twice"],
                "the same in other words",
            ),
        ] {
            assert_eq!(warnings(&file(rules)), want, "{why}");
        }
        let disabled = "option enabled 0\nconfig rule r\nlist use lte\n";
        assert_eq!(warnings(&file(disabled)), ["7: rule 'r': use 'lte': that provider is disabled"]);
        let asleep = "option cold_standby 1\nconfig rule r\nlist use fiber\nlist use lte\n";
        let text = "8: rule 'r': use 'lte': asleep (cold_standby) it is not known to be reliable, and not used";
        assert_eq!(warnings(&file(asleep)), [text]);
    }

    #[test]
    fn the_last_mark_is_for_what_goes_nowhere() {
        let providers = |count: usize| -> String {
            (0..count).map(|n| format!("config provider p{n}\noption device eth{n}\n")).collect()
        };
        let rule = "config rule r\noption fallback unreachable\n";
        assert!(parse("f", format!("{}{rule}", providers(62)).as_bytes()).is_ok());
        assert!(parse("f", format!("{}{rule}option enabled 0\n", providers(63)).as_bytes()).is_ok());
        assert_eq!(
            problems(&format!("{}{rule}", providers(63))),
            ["128: rule 'r': with fallback 'unreachable' there can be 62 providers"]
        );
    }

    #[test]
    fn there_is_an_end() {
        let rules = |count: usize, addresses: usize| {
            let mut text = file("");
            for rule in 0..count {
                write!(text, "config rule\nlist use lte\nlist proto tcp\n").unwrap();
                for address in 0..addresses {
                    writeln!(text, "list dest 10.{}.{}.{}", rule / 250, rule % 250, address).unwrap();
                }
            }
            text
        };
        let loaded = parse("f", rules(1000, 10).as_bytes()).unwrap();
        assert_eq!((loaded.settings.rules.len(), loaded.warnings.len()), (1000, 0));
        assert!(parse("f", rules(2000, 10).as_bytes()).is_ok());
        assert_eq!(problems(&rules(2001, 1)), ["8005: rule '#2001': more than 2000 rules"]);
        assert_eq!(problems(&rules(1001, 20)), ["23005: rule '#1001': more than 20000 addresses in rules"]);
    }

    #[test]
    fn addresses_of_a_long_list_do_not_look_alike() {
        // What looks alike is compared with everything before it.
        let digests = |text: &dyn Fn(u32) -> String| -> Vec<u32> {
            let value = |n| super::super::option::read(super::super::schema::Kind::AddressMatch, &text(n)).unwrap();
            (0..20_000).map(|n| value(n).digest()).collect()
        };
        for (text, why) in [
            (&(|n: u32| format!("10.0.{}.{}", n / 250, n % 250)) as &dyn Fn(u32) -> String, "hosts"),
            (&|n| format!("{}.{}.{}.0/24", 1 + n / 10_000, n / 100 % 100, n % 100), "networks"),
            (&|n| format!("{}.{}.{}.0/{}", 1 + n / 10_000, n / 100 % 100, n % 100, 24 + n % 9), "of all sizes"),
        ] {
            let digests = digests(text);
            let alike = super::super::layer::Alike::among(digests.clone());
            let many = digests.iter().filter(|it| alike.has(**it)).count();
            assert!(many < 400, "{why}: {many}");
        }
    }
}
