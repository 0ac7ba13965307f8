//! What the options of several providers say together about traffic: tiers and weights, static routes, default routes.
//!
//! Called by `check` with the typed sections.

use super::layer::{Alike, Findings, Layer, Stack};
use super::load::Sheet;
use super::option::{Value, network_digest};
use crate::kernel::Network;

/// What a TCP segment needs beside its data: an IPv4 and a TCP header (RFC 9293, section 3.7.1).
const HEADERS: u32 = 40;

/// A provider as far as it matters here.
struct Line<'a> {
    layer: &'a Layer,
    priority: u32,
    /// Takes part in a tier, if there is one.
    shares: bool,
}

/// Every check.
pub(super) fn check(sheet: &Sheet, found: &mut Findings) {
    for (_, provider) in &sheet.providers {
        alone(provider, found);
    }
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (place, (_, layer)) in (1..).zip(&sheet.providers) {
        let own = [layer];
        let stack = Stack(&own);
        if stack.flag("enabled") {
            let shares = stack.flag("balance") && stack.flag("default");
            lines.push(Line { layer, priority: stack.number("priority").unwrap_or(place), shares });
        }
    }
    tiers(&lines, found);
    static_routes(&lines, found);
    let carries = |line: &Line<'_>| Stack(&[line.layer]).flag("default");
    if let Some(first) = lines.first().filter(|_| !lines.iter().any(carries)) {
        let line = first.layer.line_of("default").unwrap_or(first.layer.line);
        let text = "has default '0', as every other provider: what no rule directs is not failoverd's to move then";
        found.warnings.push((line, format!("{}: {text}", first.layer.label)));
    }
}

/// What a section says by itself.
fn alone(provider: &Layer, found: &mut Findings) {
    let own = [provider];
    let (stack, label) = (Stack(&own), &provider.label);
    if let Some(line) = provider.line_of("sticky").filter(|_| stack.flag("sticky"))
        && provider.line_of("static_routes").is_none()
        && !provider.refused("static_routes")
    {
        found.warnings.push((line, format!("{label}: sticky means nothing without list static_routes")));
    }
    if let (Some(mtu), Some(advmss)) = (stack.number("mtu"), stack.number("advmss"))
        && advmss.saturating_add(HEADERS) > mtu
    {
        let line = provider.line_of("advmss").unwrap_or(provider.line);
        let text = format!("{label}: advmss '{advmss}' must not be more than mtu '{mtu}' less {HEADERS} for headers");
        found.problems.push((line, text));
    }
}

/// Options that are there for a tier, in a tier or without one.
fn tiers(lines: &[Line<'_>], found: &mut Findings) {
    for Line { layer, priority, shares } in lines {
        let partners = |it: &&Line<'_>| it.shares && it.priority == *priority && !std::ptr::eq(it.layer, *layer);
        let all_partners = || lines.iter().filter(|_| *shares).filter(partners);
        let partner = all_partners().next();
        let own = [*layer];
        let stack = Stack(&own);
        if let Some(line) = layer.line_of("weight").filter(|_| partner.is_none() && stack.number("weight") != Some(1)) {
            let text = format!("{}: weight means nothing: no provider shares priority {priority} with it", layer.label);
            found.warnings.push((line, text));
        }
        if let (Some(line), Some(partner)) = (layer.line_of("cold_standby"), partner)
            && stack.flag("cold_standby")
        {
            let text = format!("asleep it shares nothing: {} has priority {priority} too", partner.layer.label);
            found.warnings.push((line, format!("{}: cold_standby: {text}", layer.label)));
        }
        if let Some(partner) = partner.filter(|_| layer.line_of("priority").is_none()) {
            let text = format!("shares traffic with {}: its place in the file is", partner.layer.label);
            found.warnings.push((layer.line, format!("{}: {text} priority {priority}, too", layer.label)));
        }
        let metered = |layer: &Layer| Stack(&[layer]).flag("metered");
        if let Some(partner) = all_partners().find(|it| metered(layer) && !metered(it.layer)) {
            let line = layer.line_of("metered").unwrap_or(layer.line);
            let text = format!("{}: metered: it shares traffic with {} all the time", layer.label, partner.layer.label);
            found.warnings.push((line, text));
        }
    }
}

/// A network can be nailed to one provider alone.
fn static_routes(lines: &[Line<'_>], found: &mut Findings) {
    let mut all: Vec<(Network, u32, &Layer)> = Vec::new();
    for Line { layer, .. } in lines {
        let network = |(line, value): (u32, &Value)| {
            if let Value::Network(it) = value { Some((*it, line, *layer)) } else { None }
        };
        all.extend(layer.of("static_routes").filter_map(network));
    }
    let alike = Alike::among(all.iter().map(|(it, ..)| network_digest(*it)).collect());
    for (at, (network, line, layer)) in all.iter().enumerate().filter(|(_, (it, ..))| alike.has(network_digest(*it))) {
        if let Some((_, first_line, first)) = all.iter().take(at).find(|(it, ..)| it == network) {
            let text = format!("{}: static_routes '{network}' is there for {}", layer.label, first.label);
            found.problems.push((*line, format!("{text} already (line {first_line})")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Drain;
    use super::super::tests::{load, problems, warnings};

    const A: &str = "config provider a\noption device eth0\n";
    const B: &str = "config provider b\noption device eth1\n";

    #[test]
    fn what_contradicts_itself() {
        for (text, want, why) in [
            (
                format!(
                    "{A}list static_routes 203.0.113.0/24\n{B}option static_routes '198.51.100.0/24 203.0.113.9/24'\n"
                ),
                "6: provider 'b': static_routes '203.0.113.0/24' is there for provider 'a' already (line 3)",
                "one network by two lines, written in two ways",
            ),
            (
                format!("{A}list static_routes 0.0.0.0/0\n"),
                "3: provider 'a': static_routes '0.0.0.0/0' must be an IPv4 network, like 203.0.113.0/24",
                "that is what slots are for",
            ),
            (
                format!("{A}option mtu 1400\noption advmss 1361\n"),
                "4: provider 'a': advmss '1361' must not be more than mtu '1400' less 40 for headers",
                "segments that do not fit",
            ),
            (
                format!("config failover settings\noption pin a\n{A}option default 0\n"),
                "2: settings: pin 'a' is a provider with default '0'",
                "a pin on what carries nothing",
            ),
        ] {
            assert_eq!(problems(&text), [want], "{why}");
        }
    }

    #[test]
    fn what_means_nothing() {
        for (text, want, why) in [
            (format!("{A}option mtu 1400\noption advmss 1360\n"), &[][..], "it just fits"),
            (
                format!(
                    "{A}list static_routes 203.0.113.0/24\n{B}list static_routes 203.0.113.0/24\noption enabled 0\n"
                ),
                &[],
                "a disabled one may wait",
            ),
            (
                format!("{A}option sticky 1\n"),
                &["3: provider 'a': sticky means nothing without list static_routes"],
                "nothing that could stick",
            ),
            (format!("{A}option weight 3\noption priority 1\n{B}option priority 1\n"), &[], "a tier"),
            (format!("{A}option weight 1\n"), &[], "the default"),
            (
                format!("{A}option weight 3\n{B}"),
                &["3: provider 'a': weight means nothing: no provider shares priority 1 with it"],
                "the place in the file is the priority",
            ),
            (
                format!("{A}option weight 3\noption priority 1\n{B}option priority 1\noption balance 0\n"),
                &["3: provider 'a': weight means nothing: no provider shares priority 1 with it"],
                "the other one does not share",
            ),
            (
                format!("{A}option weight 3\noption balance 0\noption priority 1\n{B}option priority 1\n"),
                &["3: provider 'a': weight means nothing: no provider shares priority 1 with it"],
                "it does not share itself",
            ),
            (
                format!("{A}option weight 3\noption priority 1\n{B}option priority 1\noption enabled 0\n"),
                &["3: provider 'a': weight means nothing: no provider shares priority 1 with it"],
                "the other one is disabled",
            ),
            (
                format!("{A}option cold_standby 1\noption priority 1\n{B}option priority 1\n"),
                &["3: provider 'a': cold_standby: asleep it shares nothing: provider 'b' has priority 1 too"],
                "asleep in a tier",
            ),
            (format!("{A}{B}option cold_standby 1\n"), &[], "asleep behind another"),
            (
                format!("{A}{B}option priority 1\n"),
                &["1: provider 'a': shares traffic with provider 'b': its place in the file is priority 1, too"],
                "hardly meant",
            ),
            (format!("{A}{B}option priority 1\noption balance 0\n"), &[], "equal, but used one after the other"),
            (
                format!("{A}option priority 1\noption metered 1\n{B}option priority 1\n"),
                &["4: provider 'a': metered: it shares traffic with provider 'b' all the time"],
                "money spent unawares",
            ),
            (
                format!("{A}option priority 1\noption metered 1\n{B}option priority 1\noption metered 1\n"),
                &[],
                "there is no cheaper one to wait behind",
            ),
            (
                format!("{A}option default 0\n{B}option default 0\n"),
                &[
                    "3: provider 'a': has default '0', as every other provider: what no rule directs is not failoverd's to move then",
                ],
                "nobody is left",
            ),
            (format!("{A}option default 0\n{B}"), &[], "one is"),
        ] {
            assert_eq!(warnings(&text), want, "{why}");
        }
    }

    #[test]
    fn when_connections_are_marked() {
        let tier = format!("{A}option priority 1\n{B}option priority 1\n");
        let settings = |line: &str| format!("config failover settings\n{line}\n{A}{B}");
        for (text, want, why) in [
            (format!("{A}{B}"), false, "only failover: nothing of it all"),
            (tier.clone(), true, "a tier"),
            (format!("{tier}option balance 0\n"), false, "no tier"),
            (format!("{tier}option default 0\n"), false, "nor this"),
            (format!("{tier}option enabled 0\n"), false, "nor this"),
            (format!("{A}{B}config rule r\nlist use a\n"), true, "a rule"),
            (format!("{A}{B}config rule r\nlist use a\noption enabled 0\n"), false, "a rule that is off"),
            (settings("option inbound 1"), true, "wanted of all"),
            (format!("{A}{B}option inbound 1\n"), true, "wanted of one is wanted"),
            (settings("option drain keep"), true, "a drain for all"),
            (format!("{A}{B}option drain cut\n"), true, "a drain for one"),
            (format!("{A}{B}option metered 1\n"), false, "a drain that nobody has written"),
            (format!("config failover settings\noption enabled 0\n{tier}"), false, "nothing is done at all"),
        ] {
            assert_eq!(load(&text).marks(), want, "{why}");
        }
        let drains = load(&format!("config failover settings\noption drain 10m\n{A}{B}option drain cut\n"));
        let drains: Vec<_> = drains.providers.iter().map(|it| it.drain()).collect();
        assert_eq!(
            drains,
            [Drain::After(std::time::Duration::from_secs(600)), Drain::Cut],
            "a provider's own goes first"
        );
    }
}
