//! What a configuration will do, in words: the answer of `failoverd validate`.
//!
//! Fed with checked settings; prints nothing itself.

mod checks;
mod traffic;

use std::fmt::Write;

use super::schema::{MAX_PROVIDERS, RULE_SPAN};
use super::{Failback, GatewaySetting, LastResort, ProviderSettings, Settings, UplinkSource};
use crate::order::ordered;

/// The whole text, with a newline at its end.
pub fn describe(settings: &Settings) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(settings, &mut text);
    text
}

fn write(settings: &Settings, out: &mut String) -> std::fmt::Result {
    if !settings.enabled {
        writeln!(out, "failoverd is switched off (settings: enabled '0'): nothing of the following is done.")?;
    }
    if settings.providers.is_empty() {
        return write_empty(out);
    }
    let enabled = settings.providers.iter().filter(|provider| provider.enabled);
    let ranked = ordered(enabled, |provider| (!provider.default_route, provider.priority));
    match ranked.len() {
        0 => writeln!(out, "Every provider is disabled: there is nothing to do.")?,
        1 => writeln!(out, "1 provider: it is watched, there is nothing to switch to.")?,
        count => writeln!(out, "{count} providers, the preferred one first:")?,
    }
    for (place, provider) in (1..).zip(&ranked) {
        write_provider(place, provider, out)?;
        traffic::write_provider(provider, settings, out)?;
        checks::write(provider, settings, out)?;
    }
    for provider in settings.providers.iter().filter(|provider| !provider.enabled) {
        writeln!(out, "  -  {}: disabled", provider.name)?;
    }
    traffic::write_tiers(&ranked, out)?;
    writeln!(out, "Tests:")?;
    for test in &settings.tests {
        write!(out, "  {}: ", test.name)?;
        checks::write_test(test, out)?;
        let users = ranked.iter().filter(|provider| provider.tests.contains(&test.name)).count();
        writeln!(out, "{}", if users == 0 { " (used by no provider)" } else { "" })?;
    }
    traffic::write_rules(settings, out)?;
    write_switching(settings, out)?;
    traffic::write_marks(settings, out)?;
    write_numbers(settings, ranked.iter().filter(|it| it.default_route).count(), out)
}

fn write_empty(out: &mut String) -> std::fmt::Result {
    writeln!(out, "No provider is configured: nothing is done until there is one.")?;
    writeln!(
        out,
        "'failoverd init' writes one for each line to the internet that it finds. By hand two lines make one:"
    )?;
    writeln!(out, "  uci set failover.wan=provider")?;
    writeln!(out, "  uci set failover.wan.interface='wan'")?;
    writeln!(out, "Likewise for the second line to the internet; then: uci commit failover && reload_config")
}

fn write_provider(place: u32, provider: &ProviderSettings, out: &mut String) -> std::fmt::Result {
    write!(out, "  {place}. {}", provider.name)?;
    if let Some(description) = &provider.description {
        write!(out, " ({})", crate::uci::Short(description))?;
    }
    let (source, origin) = match &provider.source {
        UplinkSource::Interface(name) => (format!("interface {name}"), "device, gateway and address from netifd"),
        UplinkSource::Device(name) => (format!("device {name}"), "gateway learnt from its default route"),
    };
    write!(out, ": {source}, priority {}", provider.priority)?;
    if provider.weight != 1 {
        write!(out, ", weight {}", provider.weight)?;
    }
    if provider.metered {
        write!(out, ", metered")?;
    }
    match provider.gateway {
        GatewaySetting::Learnt => write!(out, ", {origin}")?,
        GatewaySetting::None => write!(out, ", no gateway (point-to-point)")?,
        GatewaySetting::Address(address) => write!(out, ", gateway {address}")?,
    }
    match provider.address {
        Some(address) => writeln!(out, ", address {address}"),
        None => writeln!(out),
    }
}

fn write_switching(settings: &Settings, out: &mut String) -> std::fmt::Result {
    if let Some(pin) = &settings.pin {
        writeln!(out, "Pinned to {pin}: used whatever the checks say, as long as it has a device and an address.")?;
    }
    match settings.failback {
        Failback::Auto => {
            writeln!(out, "Back to a better provider: by itself, once that has been reliable for its failback_delay.")?
        }
        Failback::Manual => writeln!(out, "Back to a better provider: only when the active one fails, or by hand.")?,
    }
    match settings.last_resort {
        LastResort::Keep => writeln!(out, "When none is reliable: the active one stays."),
        LastResort::First => writeln!(out, "When none is reliable: the most preferred one."),
    }
}

fn write_numbers(settings: &Settings, count: usize, out: &mut String) -> std::fmt::Result {
    let span = u32::try_from(MAX_PROVIDERS).unwrap_or(u32::MAX);
    let (table, rule) = (settings.base_table.0, settings.base_priority.0);
    if count > 1 {
        let slots = u32::try_from(count).unwrap_or(u32::MAX);
        let (first, last) = (settings.start_metric.0, settings.start_metric.0.saturating_add(slots - 1));
        writeln!(out, "Default routes in table main at metrics {first} to {last} (or the next free ones).")?;
        if settings.takeover {
            writeln!(
                out,
                "Other programs' default routes on these devices are moved out of the way, and back on stop."
            )?;
        }
    }
    writeln!(
        out,
        "Tables {} to {}, ip rules {rule} to {}, marks {:#x}.",
        table.saturating_add(1),
        table.saturating_add(span),
        rule.saturating_add(RULE_SPAN - 1),
        settings.mark_mask
    )
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn described(text: &str) -> String {
        describe(&parse("failover", text.as_bytes()).unwrap().settings)
    }

    #[test]
    fn two_providers() {
        let text = described(
            "config provider 'lte'\n option device 'wwan0'\n option gateway 'none'\n option metered '1'\n option priority '9'\n\
             config provider 'fiber'\n option interface 'wan'\n option description 'Fibre'\n",
        );
        assert_eq!(
            text,
            "2 providers, the preferred one first:
  1. fiber (Fibre): interface wan, priority 2, device, gateway and address from netifd
     tests internet, every 1s while active, every 5s otherwise
     a silent line is noticed in about 1.2 s (half an interval on average + 0.65 s of probing)
     a slow line that still receives has 2 s to answer
  2. lte: device wwan0, priority 9, metered, no gateway (point-to-point)
     tests internet, every 1s while active, every 1m otherwise
     a silent line is noticed in about 1.2 s (half an interval on average + 0.65 s of probing)
     a slow line that still receives has 2 s to answer
Tests:
  internet: ping 1.1.1.1, 8.8.8.8, 9.9.9.9, 208.67.222.222
Back to a better provider: by itself, once that has been reliable for its failback_delay.
When none is reliable: the active one stays.
Default routes in table main at metrics 2 to 3 (or the next free ones).
Other programs' default routes on these devices are moved out of the way, and back on stop.
Tables 7101 to 7163, ip rules 7000 to 7999, marks 0x3f000000.
"
        );
    }

    #[test]
    fn nothing_configured() {
        let text = described("");
        assert!(text.contains("uci set failover.wan=provider\n  uci set failover.wan.interface='wan'\n"), "{text}");
    }
}
