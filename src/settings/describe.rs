//! What a configuration will do, in words: the answer of `failoverd validate`.
//!
//! Fed with checked settings; prints nothing itself.

use std::fmt::Write;
use std::time::Duration;

use super::duration::show;
use super::schema::{MAX_PROVIDERS, RULE_SPAN};
use super::{CheckSettings, Failback, GatewaySetting, LastResort, ProviderSettings, Required, Settings, UplinkSource};
use crate::order::ordered;
use crate::probe::least_wait;

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
    let ranked = ordered(settings.providers.iter().filter(|provider| provider.enabled), |provider| provider.priority);
    match ranked.len() {
        0 => writeln!(out, "Every provider is disabled: there is nothing to do.")?,
        1 => writeln!(out, "1 provider: it is watched, there is nothing to switch to.")?,
        count => writeln!(out, "{count} providers, the preferred one first:")?,
    }
    for (place, provider) in (1..).zip(&ranked) {
        write_provider(place, provider, out)?;
    }
    for provider in settings.providers.iter().filter(|provider| !provider.enabled) {
        writeln!(out, "  -  {}: disabled", provider.name)?;
    }
    writeln!(out, "Tests:")?;
    for test in &settings.tests {
        let kind = test.kind.word();
        let targets: Vec<String> = test.targets.iter().map(ToString::to_string).collect();
        let users = ranked.iter().filter(|provider| provider.tests.contains(&test.name)).count();
        let unused = if users == 0 { " (used by no provider)" } else { "" };
        writeln!(out, "  {}: {kind} {}{unused}", test.name, targets.join(", "))?;
    }
    write_switching(settings, out)?;
    write_numbers(settings, ranked.len(), out)
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
        Some(address) => writeln!(out, ", address {address}")?,
        None => writeln!(out)?,
    }
    let check = &provider.check;
    let count = provider.tests.len();
    let required = match check.required {
        _ if count == 1 => String::new(),
        Required::All => " (all must succeed)".into(),
        Required::Count(required) => format!(" ({required} of {count} must succeed)"),
    };
    let (active, standby) = (show(check.interval), show(check.standby_interval));
    writeln!(
        out,
        "     tests {}{required}, every {active} while active, every {standby} otherwise",
        provider.tests.join(", ")
    )?;
    let probing = probing(check);
    let rounds = if check.down > 1 { format!(", {} failed checks", check.down) } else { String::new() };
    writeln!(
        out,
        "     a silent line is noticed in about {} s (half an interval on average{rounds} + {} s of probing)",
        tenths(detection(check)),
        probing.as_secs_f64(),
    )?;
    if check.timeout > probing {
        writeln!(out, "     a slow line that still receives has {} s to answer", check.timeout.as_secs_f64())?;
    }
    Ok(())
}

/// From the first unanswered probe to the verdict that the line is dead, when it receives nothing: the first wait, the further
/// probes, the last one's wait. Waits are taken at their shortest, as on a line with a short round trip.
fn probing(check: &CheckSettings) -> Duration {
    match check.attempts.checked_sub(1) {
        None => check.min_timeout,
        Some(gaps) => {
            let burst = check.min_timeout.saturating_mul(2).saturating_add(check.attempt_interval.saturating_mul(gaps));
            burst.max(least_wait(check))
        }
    }
}

/// From the line's going silent to the verdict, on average.
fn detection(check: &CheckSettings) -> Duration {
    let probing = probing(check);
    let repeated = check.interval.max(probing).saturating_mul(check.down.saturating_sub(1));
    (check.interval / 2).saturating_add(probing).saturating_add(repeated)
}

fn tenths(duration: Duration) -> String {
    let tenths = duration.as_millis().saturating_add(50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
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

    #[test]
    fn how_long_detection_takes() {
        let fast = "option interval 50ms\noption attempts 12\noption attempt_interval 10ms\noption min_timeout 20ms\n";
        for (options, want, why) in [
            ("", "1.2", "shipped settings: 0.5 s + 0.65 s"),
            (fast, "0.2", "the fast profile: 25 ms + 20 ms + 11 x 10 ms + 20 ms"),
            ("option attempts 0\n", "0.6", "no further probes: the first wait alone"),
            ("option down 3\n", "3.2", "two more intervals"),
        ] {
            let text = format!("config failover settings\n{options}config provider a\noption device eth0\n");
            let provider = parse("failover", text.as_bytes()).unwrap().settings.providers.remove(0);
            assert_eq!(tenths(detection(&provider.check)), want, "{why}");
        }
    }
}
