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
        let partner = lines.iter().filter(|_| *shares).find(partners);
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
