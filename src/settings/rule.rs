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
        // They mean something in the rules of nftables, which are text.
        if device.contains(['"', '\\', '*']) {
            found.problems.push((line, format!("{label}: device '{device}' has a character that no rule can name")));
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
