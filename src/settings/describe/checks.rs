//! How a provider is checked, in words: its tests, how often, when a dead line is noticed, its limits of quality, what is done about it.
//!
//! Called by `describe` for each provider and each test.

use std::fmt::{Result, Write};
use std::time::Duration;

use super::super::duration::{seconds, show};
use super::super::{
    CheckSettings, Host, ProviderSettings, Record, Recover, Required, Settings, Target, TestKind, TestSettings,
};
use crate::probe::least_wait;
use crate::text::tenths;
use crate::uci::Short;

/// The pause between two probes of an active metered provider is at least this.
const METERED_PAUSE: Duration = Duration::from_secs(1);

/// A provider's lines.
pub(super) fn write(provider: &ProviderSettings, settings: &Settings, out: &mut String) -> Result {
    let check = &provider.check;
    let count = provider.tests.len();
    let required = match check.required {
        _ if count == 1 => String::new(),
        Required::All => " (all must succeed)".into(),
        Required::Count(required) => format!(" ({required} of {count} must succeed)"),
    };
    let (active, standby) = (show(interval(provider)), show(check.standby_interval));
    let cold = if provider.cold_standby { ", not at all while a better provider is good" } else { "" };
    writeln!(
        out,
        "     tests {}{required}, every {active} while active, every {standby} otherwise{cold}",
        provider.tests.join(", ")
    )?;
    let tests: Vec<&TestSettings> =
        provider.tests.iter().filter_map(|name| settings.tests.iter().find(|test| test.name == *name)).collect();
    write_detection(provider, &tests, out)?;
    if tests.iter().any(|test| test.targets.iter().any(|target| target.name().is_some())) {
        let servers: Vec<String> = check.resolvers.iter().map(ToString::to_string).collect();
        let servers =
            if servers.is_empty() { "the DNS servers that netifd has for it".into() } else { servers.join(", ") };
        writeln!(out, "     names are resolved through it by {servers}")?;
    }
    write_quality(check, out)?;
    write_recovery(provider, out)
}

/// From the start of a check to the next while the provider is active: money is not spent on more than a probe in a second.
fn interval(provider: &ProviderSettings) -> Duration {
    let tests = u32::try_from(provider.tests.len()).unwrap_or(u32::MAX);
    let least = if provider.metered { METERED_PAUSE.saturating_mul(tests) } else { Duration::ZERO };
    provider.check.interval.max(least)
}

/// When a line that has gone silent is noticed, as far as that can be told: by tests that wait for an answer, if these alone decide.
fn write_detection(provider: &ProviderSettings, tests: &[&TestSettings], out: &mut String) -> Result {
    let check = &provider.check;
    let required = match check.required {
        Required::All => tests.len(),
        Required::Count(count) => usize::try_from(count).unwrap_or(usize::MAX),
    };
    let of = |wanted: fn(&TestKind) -> bool| tests.iter().filter(|test| wanted(&test.kind)).count();
    let near = of(|kind| matches!(kind, TestKind::Arp));
    let scripts = of(|kind| matches!(kind, TestKind::Exec { .. }));
    if near >= required {
        return writeln!(
            out,
            "     a line that is dead behind its gateway is not noticed: tests of type arp ask no further"
        );
    }
    if near + scripts >= required {
        let timeout = show(check.timeout);
        return writeln!(
            out,
            "     when a silent line is noticed depends on its scripts, which have {timeout} each time"
        );
    }
    let probing = probing(check);
    let rounds = if check.down > 1 { format!(", {} failed checks", check.down) } else { String::new() };
    writeln!(
        out,
        "     a silent line is noticed in about {} s (half an interval on average{rounds} + {} s of probing)",
        tenths(detection(check, interval(provider))),
        seconds(probing),
    )?;
    if check.timeout > probing {
        writeln!(out, "     a slow line that still receives has {} s to answer", seconds(check.timeout))?;
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
fn detection(check: &CheckSettings, interval: Duration) -> Duration {
    let probing = probing(check);
    let repeated = interval.max(probing).saturating_mul(check.down.saturating_sub(1));
    (interval / 2).saturating_add(probing).saturating_add(repeated)
}

fn write_quality(check: &CheckSettings, out: &mut String) -> Result {
    let loss = check.loss.map(|it| format!("{}% loss (good again at {}%)", it.max, it.recover));
    let time = |what, max, recover| format!("{} {what} (good again at {})", show(max), show(recover));
    let latency = check.latency.map(|it| time("latency", it.max, it.recover));
    let jitter = check.jitter.map(|it| time("jitter", it.max, it.recover));
    let limits: Vec<String> = [loss, latency, jitter].into_iter().flatten().collect();
    if limits.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "     degraded, and ranked behind every good provider, above {}; measured by {} probes",
        limits.join(", "),
        check.quality_window
    )
}

fn write_recovery(provider: &ProviderSettings, out: &mut String) -> Result {
    let done = match &provider.check.recover {
        None => return Ok(()),
        // Wanted of all, done where there is an interface.
        Some(Recover::Renew | Recover::Restart) if !provider.source.is_interface() => return Ok(()),
        Some(Recover::Renew) => "netifd renews it".into(),
        Some(Recover::Restart) => "netifd takes it down and up".into(),
        Some(Recover::Exec(script)) => format!("{} is run", Short(script)),
    };
    writeln!(
        out,
        "     when it has been offline for {} {done}, and again after pauses that double up to an hour",
        show(provider.check.recover_after)
    )
}

/// A test in a line, without its name and the line's end.
pub(super) fn write_test(test: &TestSettings, out: &mut String) -> Result {
    let targets: Vec<String> = test.targets.iter().map(|target| whom(&test.kind, target)).collect();
    let targets = targets.join(", ");
    write!(out, "{}{}{targets}", test.kind.word(), if targets.is_empty() { "" } else { " " })?;
    match &test.kind {
        TestKind::Ping { size, ttl } => {
            if TestKind::ping() != test.kind {
                write!(out, " ({size} bytes, TTL {ttl})")?;
            }
            Ok(())
        }
        TestKind::Tcp | TestKind::Arp => Ok(()),
        TestKind::Dns { query, record, expect } => {
            let record = if *record == Record::Aaaa { "AAAA" } else { "A" };
            write!(out, " (asked for {record} of {}", Short(query))?;
            match expect {
                Some(address) => write!(out, ", which must have {address})"),
                None => out.write_char(')'),
            }
        }
        TestKind::Http { status, expect } => {
            let status: Vec<String> = status.iter().map(ToString::to_string).collect();
            write!(out, " (status {}", status.join(" or "))?;
            match expect {
                Some(text) => write!(out, ", with '{}' in the page)", Short(text)),
                None => out.write_char(')'),
            }
        }
        TestKind::Exec { script } => write!(out, " ({}, which must end with status 0)", Short(script)),
    }
}

/// A target with all that its type adds.
fn whom(kind: &TestKind, target: &Target) -> String {
    match kind {
        TestKind::Http { .. } => format!("http://{target}"),
        TestKind::Tcp if target.port.is_none() => format!("{target}:{}", kind.port()),
        TestKind::Arp if target.host == Host::Gateway => "to the gateway".into(),
        _ => Short(&target.to_string()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::parse;
    use super::*;

    fn settings(text: &str) -> Settings {
        parse("failover", text.as_bytes()).unwrap().settings
    }

    #[test]
    fn how_long_detection_takes() {
        let fast = "option interval 50ms\noption attempts 12\noption attempt_interval 10ms\noption min_timeout 20ms\n";
        for (options, metered, want, why) in [
            ("", "0", "1.2", "shipped settings: 0.5 s + 0.65 s"),
            (fast, "0", "0.2", "the fast profile: 25 ms + 20 ms + 11 x 10 ms + 20 ms"),
            (fast, "1", "0.7", "the same where it costs money: 500 ms of pause"),
            ("option attempts 0\n", "0", "0.6", "no further probes: the first wait alone"),
            ("option down 3\n", "0", "3.2", "two more intervals"),
        ] {
            let text = format!(
                "config failover settings\n{options}config provider a\noption device eth0\noption metered {metered}\n"
            );
            let provider = settings(&text).providers.remove(0);
            assert_eq!(tenths(detection(&provider.check, interval(&provider))), want, "{why}");
        }
    }

    #[test]
    fn tests_of_every_type() {
        for (section, want) in [
            ("list target 1.1.1.1\nlist target one.example\n", "ping 1.1.1.1, one.example"),
            ("list target 1.1.1.1\noption size 1000\n", "ping 1.1.1.1 (1000 bytes, TTL 64)"),
            ("option type tcp\nlist target 1.1.1.1\nlist target a.example:853\n", "tcp 1.1.1.1:443, a.example:853"),
            ("option type dns\nlist target 9.9.9.9\n", "dns 9.9.9.9 (asked for A of example.org)"),
            (
                "option type dns\nlist target 9.9.9.9:5353\noption query a.example\noption record AAAA\noption expect ::2\n",
                "dns 9.9.9.9:5353 (asked for AAAA of a.example, which must have ::2)",
            ),
            ("option type http\nlist target http://a.example\n", "http http://a.example/ (status 200 or 204)"),
            (
                "option type http\nlist target http://1.1.1.1:8080/x\nlist status 302\noption expect 'all well'\n",
                "http http://1.1.1.1:8080/x (status 302, with 'all well' in the page)",
            ),
            ("option type arp\n", "arp to the gateway"),
            ("option type exec\noption script /root/a\n", "exec (/root/a, which must end with status 0)"),
            (
                "option type exec\noption script /root/a\nlist target 'b c'\n",
                "exec b c (/root/a, which must end with status 0)",
            ),
        ] {
            let mut text = String::new();
            write_test(&settings(&format!("config test t\n{section}")).tests[0], &mut text).unwrap();
            assert_eq!(text, want);
        }
    }

    #[test]
    fn how_a_provider_is_checked() {
        const TESTS: &str = "config test ping\nlist target 1.1.1.1\nconfig test tcp\noption type tcp\nlist target a.example\n\
            config test arp\noption type arp\nconfig test exec\noption type exec\noption script /root/a\n";
        const SOON: &str = "     a silent line is noticed in about 1.2 s (half an interval on average + 0.65 s of probing)\n     \
            a slow line that still receives has 2 s to answer\n";
        const SCRIPTS: &str = "     when a silent line is noticed depends on its scripts, which have 2s each time\n";
        const NEAR: &str =
            "     a line that is dead behind its gateway is not noticed: tests of type arp ask no further\n";
        for (options, want, why) in [
            (
                "list test ping\n",
                format!("     tests ping, every 1s while active, every 5s otherwise\n{SOON}"),
                "as shipped",
            ),
            (
                "list test ping\noption metered 1\noption interval 0.3\noption cold_standby 1\n",
                format!(
                    "     tests ping, every 1s while active, every 1m otherwise, not at all while a better provider is good\n{SOON}"
                ),
                "money",
            ),
            (
                "list test tcp\n",
                format!(
                    "     tests tcp, every 1s while active, every 5s otherwise\n{SOON}     names are resolved through it by \
                     the DNS servers that netifd has for it\n"
                ),
                "a name",
            ),
            (
                "list test tcp\nlist resolver 192.0.2.53\nlist resolver 192.0.2.54\n",
                format!(
                    "     tests tcp, every 1s while active, every 5s otherwise\n{SOON}     names are resolved through it by \
                     192.0.2.53, 192.0.2.54\n"
                ),
                "a name and who knows it",
            ),
            (
                "list test ping\nlist test exec\noption required all\n",
                format!("     tests ping, exec (all must succeed), every 1s while active, every 5s otherwise\n{SOON}"),
                "the ping alone decides",
            ),
            (
                "list test ping\nlist test exec\n",
                format!(
                    "     tests ping, exec (1 of 2 must succeed), every 1s while active, every 5s otherwise\n{SCRIPTS}"
                ),
                "the script must fail, too",
            ),
            (
                "list test ping\nlist test arp\n",
                format!(
                    "     tests ping, arp (1 of 2 must succeed), every 1s while active, every 5s otherwise\n{NEAR}"
                ),
                "the gateway is enough",
            ),
            (
                "list test arp\nlist test exec\noption required 2\n",
                format!(
                    "     tests arp, exec (2 of 2 must succeed), every 1s while active, every 5s otherwise\n{SCRIPTS}"
                ),
                "the gateway is not enough",
            ),
            (
                "list test ping\noption max_loss 20\noption max_latency 0.4\noption recover_latency 0.2\noption recover restart\n",
                format!(
                    "     tests ping, every 1s while active, every 5s otherwise\n{SOON}     degraded, and ranked behind every \
                     good provider, above 20% loss (good again at 15%), 0.4s latency (good again at 0.2s); measured by 100 \
                     probes\n     when it has been offline for 5m netifd takes it down and up, and again after pauses that \
                     double up to an hour\n"
                ),
                "quality and recovery",
            ),
        ] {
            let all = settings(&format!("{TESTS}config provider a\noption interface wan\n{options}"));
            let mut text = String::new();
            write(&all.providers[0], &all, &mut text).unwrap();
            assert_eq!(text, want, "{why}");
        }
        let all = settings(
            "config failover settings\noption recover renew\nconfig provider a\noption device eth0\n\
             config provider b\noption device eth1\noption recover exec\noption recover_script /root/b\noption recover_after 1h\n",
        );
        let mut text = String::new();
        for provider in &all.providers {
            write_recovery(provider, &mut text).unwrap();
        }
        let want =
            "     when it has been offline for 1h /root/b is run, and again after pauses that double up to an hour\n";
        assert_eq!(text, want, "netifd knows no device");
    }
}
