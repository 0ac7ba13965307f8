//! Which traffic goes where, in words: who shares it, what becomes of connections, networks nailed to a provider, the rules.
//!
//! Called by `describe`, for each provider and once for all of them.

use std::fmt::{Result, Write};

use super::super::duration::show;
use super::super::option::PROTOCOLS;
use super::super::{AddressMatch, Drain, Fallback, Ports, ProviderSettings, RuleSettings, Settings};
use crate::sentence::and;
use crate::text;

/// Rules that are written out; and addresses and the like of one rule.
const RULES: usize = 20;
const ITEMS: usize = 5;

/// What a provider's traffic has of its own, a line each.
pub(super) fn write_provider(provider: &ProviderSettings, settings: &Settings, out: &mut String) -> Result {
    let takes_default = |it: &ProviderSettings| it.enabled && it.default_route && it.name != provider.name;
    let mut line = |text: &str| writeln!(out, "     {text}");
    if !provider.default_route {
        line("no default traffic (default 0): only what comes in through it, rules and bound sockets")?;
    } else if !provider.balance {
        line("shares no traffic with providers of its priority (balance 0)")?;
    }
    let others = settings.providers.iter().any(takes_default);
    if provider.drain.is_some() || (settings.marks() && provider.default_route && others) {
        let (becomes, drain) = match provider.drain() {
            Drain::Keep => (String::from("stay there"), "keep".into()),
            Drain::Cut => (String::from("are forgotten"), "cut".into()),
            Drain::After(time) => (format!("are forgotten after {}", show(time)), show(time)),
        };
        line(&format!("when traffic moves to a better provider its connections {becomes} (drain {drain})"))?;
    }
    let options = &provider.route_options;
    let options: Vec<String> = [
        ("mtu", options.mtu),
        ("advmss", options.advmss),
        ("initcwnd", options.initcwnd),
        ("initrwnd", options.initrwnd),
        ("quickack", options.quickack),
    ]
    .iter()
    .filter_map(|(name, value)| Some(format!("{name} {}", (*value)?)))
    .collect();
    if !options.is_empty() {
        line(&format!("its default routes have {}", options.join(", ")))?;
    }
    if !provider.static_routes.is_empty() {
        let networks = provider.static_routes.iter().map(ToString::to_string).collect();
        let until = if provider.sticky { "also while it is offline (sticky)" } else { "while it is not offline" };
        line(&format!("{} always through it, {until}", list(networks)))?;
    }
    Ok(())
}

/// Who shares traffic, a line for each tier; `ranked` has the enabled ones, the preferred one first.
pub(super) fn write_tiers(ranked: &[&ProviderSettings], out: &mut String) -> Result {
    let sharing = || ranked.iter().filter(|it| it.balance && it.default_route);
    for (place, first) in ranked.iter().enumerate() {
        let tier: Vec<_> = sharing().filter(|it| it.priority == first.priority).collect();
        if tier.len() < 2 || tier.first().is_none_or(|it| it.name != first.name) {
            continue;
        }
        let whole = tier.iter().map(|it| u32::from(it.weight)).sum();
        let names: Vec<&str> = tier.iter().map(|it| it.name.as_str()).collect();
        let weights: Vec<String> = tier.iter().map(|it| it.weight.to_string()).collect();
        let shares: Vec<String> = tier.iter().map(|it| text::share(it.weight.into(), whole)).collect();
        let shares: Vec<&str> = shares.iter().map(String::as_str).collect();
        let better = ranked.iter().take(place).any(|it| it.priority < first.priority);
        writeln!(
            out,
            "{} share the traffic {} ({}){}.",
            and(&names),
            weights.join(":"),
            and(&shares),
            if better { " while no better provider is reliable" } else { "" }
        )?;
    }
    Ok(())
}

/// Whether connections are marked, and what for.
pub(super) fn write_marks(settings: &Settings, out: &mut String) -> Result {
    if !settings.marks() {
        return Ok(());
    }
    let drain = settings.providers.iter().any(|it| it.enabled && it.drain.is_some());
    let causes = [
        (settings.shares_traffic(), "traffic is shared"),
        (settings.rules.iter().any(|it| it.enabled), "there are rules"),
        (settings.inbound, "inbound is 1"),
        (drain, "drain is set"),
    ];
    let causes: Vec<&str> = causes.into_iter().filter(|(is, _)| *is).map(|(_, cause)| cause).collect();
    let causes = causes.join(", ");
    writeln!(out, "Connections are marked with their provider, by the table inet failover of nftables, as {causes}.")
}

/// The rules in the order in which they are asked.
pub(super) fn write_rules(settings: &Settings, out: &mut String) -> Result {
    if settings.rules.is_empty() {
        return Ok(());
    }
    writeln!(out, "Rules, the first that fits decides:")?;
    for (place, rule) in (1..).zip(settings.rules.iter().filter(|it| it.enabled).take(RULES)) {
        write!(out, "  {place}. {}: ", rule.name)?;
        write_rule(rule, out)?;
    }
    let left = settings.rules.iter().filter(|it| it.enabled).skip(RULES).count();
    if left > 0 {
        writeln!(out, "  and {left} more")?;
    }
    let disabled: Vec<String> = settings.rules.iter().filter(|it| !it.enabled).map(|it| it.name.clone()).collect();
    if !disabled.is_empty() {
        writeln!(out, "  disabled: {}", list(disabled))?;
    }
    Ok(())
}

fn write_rule(rule: &RuleSettings, out: &mut String) -> Result {
    let ports = !rule.source_ports.is_empty() || !rule.destination_ports.is_empty();
    match rule.protocols.as_slice() {
        [] if ports => write!(out, "tcp, udp")?,
        [] => write!(out, "all")?,
        all => write!(out, "{}", list(all.iter().map(|it| protocol(*it)).collect()))?,
    }
    for (word, addresses, ports) in
        [("from", &rule.source, &rule.source_ports), ("to", &rule.destination, &rule.destination_ports)]
    {
        let (not, yes): (Vec<_>, Vec<_>) = addresses.iter().partition(|it| it.negated);
        if !addresses.is_empty() || !ports.is_empty() {
            write!(out, " {word} {}", if yes.is_empty() { "anywhere".into() } else { networks(&yes) })?;
        }
        if !not.is_empty() {
            write!(out, " except {}", networks(&not))?;
        }
        if !ports.is_empty() {
            write!(out, " port {}", list(ports.iter().map(range).collect()))?;
        }
    }
    if !rule.devices.is_empty() {
        write!(out, " in by {}", list(rule.devices.clone()))?;
    }
    if !rule.dscp.is_empty() {
        write!(out, " with DSCP {}", list(rule.dscp.iter().map(ToString::to_string).collect()))?;
    }
    let local = if rule.local { ", the router's own too" } else { "" };
    let fallback = match rule.fallback {
        Fallback::Default => "as without the rule",
        Fallback::Unreachable => "unreachable",
    };
    writeln!(out, "{local}: {}; none reliable: {fallback}", rule.providers.join(", else "))
}

fn networks(all: &[&AddressMatch]) -> String {
    list(all.iter().map(|it| it.network.to_string().trim_end_matches("/32").to_owned()).collect())
}

fn range(ports: &Ports) -> String {
    match ports {
        Ports { first, last } if first == last => first.to_string(),
        Ports { first, last } => format!("{first}-{last}"),
    }
}

fn protocol(number: u8) -> String {
    let named = PROTOCOLS.iter().find(|(_, it)| *it == u32::from(number));
    named.map_or_else(|| format!("protocol {number}"), |(name, _)| (*name).to_owned())
}

/// `a, b, c`, and the number of the others where there are many.
fn list(mut all: Vec<String>) -> String {
    let left = all.len().saturating_sub(ITEMS);
    all.truncate(ITEMS);
    let all = all.join(", ");
    if left > 0 { format!("{all} and {left} more") } else { all }
}

#[cfg(test)]
mod tests {
    use super::super::super::{describe, parse};
    use super::*;

    fn settings(text: &str) -> Settings {
        parse("failover", text.as_bytes()).unwrap().settings
    }

    /// A provider of each name, all of the same priority, with what belongs to it.
    fn providers(all: &[(&str, &str)]) -> String {
        let section = |(name, options): &(&str, &str)| {
            format!("config provider {name}\noption device {name}0\noption priority 1\n{options}")
        };
        all.iter().map(section).collect()
    }

    fn written(write: impl Fn(&mut String) -> Result) -> String {
        let mut text = String::new();
        write(&mut text).unwrap();
        text
    }

    #[test]
    fn what_is_special_about_a_provider() {
        for (options, want, why) in [
            ("", "", "nothing, as shipped"),
            ("option metered 1\n", "", "without marks nothing can be kept"),
            ("option balance 0\n", "shares no traffic with providers of its priority (balance 0)\n", "alone"),
            (
                "option default 0\n",
                "no default traffic (default 0): only what comes in through it, rules and bound sockets\n",
                "nobody's default",
            ),
            (
                "option inbound 1\n",
                "when traffic moves to a better provider its connections stay there (drain keep)\n",
                "marked for another reason: by default they stay",
            ),
            (
                "option inbound 1\noption metered 1\n",
                "when traffic moves to a better provider its connections are forgotten (drain cut)\n",
                "and where it costs money they do not",
            ),
            (
                "option drain 10m\n",
                "when traffic moves to a better provider its connections are forgotten after 10m (drain 10m)\n",
                "for a while",
            ),
            (
                "option mtu 1400\noption quickack 1\noption initcwnd 20\n",
                "its default routes have mtu 1400, initcwnd 20, quickack 1\n",
                "options of routes",
            ),
            (
                "list static_routes 192.0.2.0/24\nlist static_routes 198.51.100.7/32\n",
                "192.0.2.0/24, 198.51.100.7/32 always through it, while it is not offline\n",
                "networks",
            ),
            (
                "list static_routes 192.0.2.0/24\noption sticky 1\n",
                "192.0.2.0/24 always through it, also while it is offline (sticky)\n",
                "for good",
            ),
        ] {
            let all = settings(&(providers(&[("a", options), ("b", "option priority 2\n")])));
            let want = if want.is_empty() { String::new() } else { format!("     {want}") };
            assert_eq!(written(|out| write_provider(&all.providers[0], &all, out)), want, "{why}");
        }
        let alone = settings(&providers(&[("a", "option inbound 1\n"), ("b", "option default 0\n")]));
        assert_eq!(written(|out| write_provider(&alone.providers[0], &alone, out)), "", "traffic moves nowhere");
    }

    #[test]
    fn who_shares_traffic() {
        for (all, want, why) in [
            (vec![("a", "option weight 3\n"), ("b", "")], "a and b share the traffic 3:1 (75% and 25%).\n", "two"),
            (
                vec![("a", ""), ("b", ""), ("c", "")],
                "a, b and c share the traffic 1:1:1 (33%, 33% and 33%).\n",
                "three",
            ),
            (vec![("a", "option balance 0\n"), ("b", "")], "", "nobody to share with"),
            (vec![("a", "option default 0\n"), ("b", "")], "", "nothing to share"),
            (vec![("a", "option enabled 0\n"), ("b", "")], "", "not there"),
            (
                vec![("a", "option priority 9\n"), ("b", "option priority 9\n"), ("c", "")],
                "a and b share the traffic 1:1 (50% and 50%) while no better provider is reliable.\n",
                "of the second rank",
            ),
            (
                vec![("a", "option priority 9\n"), ("b", ""), ("c", "option priority 9\n"), ("d", "")],
                "b and d share the traffic 1:1 (50% and 50%).\n\
                 a and c share the traffic 1:1 (50% and 50%) while no better provider is reliable.\n",
                "two tiers",
            ),
        ] {
            let text = describe(&settings(&providers(&all)));
            let lines: String =
                text.lines().filter(|it| it.contains(" share the ")).map(|it| format!("{it}\n")).collect();
            assert_eq!(lines, want, "{why}");
        }
    }

    #[test]
    fn rules_in_words() {
        for (options, want) in [
            ("list dest 192.0.2.1\n", "all to 192.0.2.1: a; none reliable: as without the rule"),
            (
                "list proto udp\nlist dest 203.0.113.0/24\nlist dest_port 5060-5061\nlist use b\noption fallback unreachable\n",
                "udp to 203.0.113.0/24 port 5060-5061: a, else b; none reliable: unreachable",
            ),
            ("list dest_port 443\n", "tcp, udp to anywhere port 443: a; none reliable: as without the rule"),
            (
                "list src 192.168.1.0/24\nlist src '!192.168.1.9'\nlist src_port 1000\nlist proto tcp\nlist proto 33\n",
                "tcp, protocol 33 from 192.168.1.0/24 except 192.168.1.9 port 1000: a; none reliable: as without the rule",
            ),
            (
                "list dest '!10.0.0.0/8'\nlist device br-guest\nlist dscp ef\n",
                "all to anywhere except 10.0.0.0/8 in by br-guest with DSCP 46: a; none reliable: as without the rule",
            ),
            (
                "list dest 192.0.2.1\noption local 1\n",
                "all to 192.0.2.1, the router's own too: a; none reliable: as without the rule",
            ),
            (
                "list dest 192.0.2.1\nlist dest 192.0.2.2\nlist dest 192.0.2.3\nlist dest 192.0.2.4\nlist dest 192.0.2.5\nlist dest 192.0.2.6\nlist dest 192.0.2.7\n",
                "all to 192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4, 192.0.2.5 and 2 more: a; none reliable: as without the rule",
            ),
        ] {
            let both = providers(&[("a", ""), ("b", "option priority 2\n")]);
            let all = settings(&format!("{both}config rule voip\nlist use a\n{options}"));
            assert_eq!(
                written(|out| write_rules(&all, out)),
                format!("Rules, the first that fits decides:\n  1. voip: {want}\n")
            );
        }
    }

    #[test]
    fn many_rules_are_counted() {
        let rule = |number: usize| format!("config rule r{number}\nlist dest 192.0.2.{}\nlist use a\n", number % 250);
        let all: String = (1..=1000).map(rule).collect();
        let all = settings(&format!(
            "{}{all}config rule off\noption enabled 0\nlist dest 192.0.2.1\nlist use a\n",
            providers(&[("a", "")])
        ));
        let text = written(|out| write_rules(&all, out));
        assert!(text.contains("\n  20. r20: all to 192.0.2.20: a"), "{text}");
        assert!(text.ends_with("\n  and 980 more\n  disabled: off\n"), "{text}");
        assert_eq!(text.lines().count(), 23);
    }

    #[test]
    fn why_connections_are_marked() {
        let rule = "config rule r\nlist dest 192.0.2.1\nlist use a\n";
        for (all, rules, want) in [
            (vec![("a", ""), ("b", "option priority 2\n")], "", None),
            (vec![("a", ""), ("b", "")], "", Some("traffic is shared")),
            (vec![("a", "option drain keep\n")], rule, Some("there are rules, drain is set")),
            (vec![("a", "option inbound 1\n")], "", Some("inbound is 1")),
        ] {
            let all = settings(&(providers(&all) + rules));
            let want = want.map(|it| {
                format!(
                    "Connections are marked with their provider, by the table inet failover of nftables, as {it}.\n"
                )
            });
            assert_eq!(written(|out| write_marks(&all, out)), want.unwrap_or_default());
        }
    }
}
