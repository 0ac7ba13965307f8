//! How mwan3 tracked an interface to tests: `track_method`, its addresses, the form of its pings, its limits of quality.
//!
//! Called by `mwan3` for each interface. What the methods do is in mwan3's tracker.

use super::{Notes, Options, value, words};
use crate::settings::schema::{OptionSpec, SectionKind};
use crate::uci::{self, Section, Short};

/// The hops that mwan3's pings may take: nobody's decision.
const USUAL_TTL: &str = "60";
/// The limits of quality that mwan3 has where the file has none: of loss, of latency.
const USUAL_LIMITS: [(&str, u32); 4] =
    [("failure_loss", 40), ("recovery_loss", 10), ("failure_latency", 1000), ("recovery_latency", 500)];

/// The options of the interface's tests, and whom they ask. Limits of quality go to the provider's `options`.
pub(super) fn track(
    notes: &mut Notes<'_>,
    section: &Section,
    what: &str,
    options: &mut Options,
) -> (Options, Vec<String>) {
    let (line, method) = value(section, "track_method").unwrap_or((section.line, "ping"));
    let ssl = value(section, "httping_ssl").is_some_and(|(_, text)| uci::boolean(text) == Some(true));
    quality(notes, section, what, method, options);
    let mut port = "";
    let mut asks = Options::new();
    match method {
        "ping" => {
            for (theirs, ours, usual) in [("size", "size", ""), ("max_ttl", "ttl", USUAL_TTL)] {
                if let Some((line, text)) = value(section, theirs).filter(|(_, text)| *text != usual) {
                    notes.set(&mut asks, (line, what, &format!(": {theirs}")), (SectionKind::Test, ours), text);
                }
            }
        }
        "nping-icmp" => {}
        "httping" | "nping-tcp" => {
            asks.push(("type", "tcp".into()));
            let asked = if ssl && method == "httping" { "443" } else { "80" };
            // 443 is what is asked anyway.
            port = if asked == "80" { ":80" } else { "" };
            let why = if method == "httping" {
                "mwan3 took any answer of a web server for good, and so does this"
            } else {
                "as before"
            };
            notes
                .decided(format!("{what}: track_method '{method}' becomes a test of type tcp to port {asked}: {why}."));
        }
        "nslookup" => {
            asks.push(("type", "dns".into()));
            notes.decided(format!(
                "{what}: track_method '{method}' becomes a test of type dns, which takes any answer of its servers."
            ));
        }
        "arping" | "nping-arp" => {
            asks.push(("type", "arp".into()));
            notes.decided(format!(
                "{what}: track_method '{method}' becomes a test of type arp, which asks the gateway: a line that is dead behind \
                 its gateway is not noticed, as before."
            ));
            // What it names must have been the gateway, or nobody that answers.
            return (asks, Vec::new());
        }
        _ => {
            let text = format!(
                "{what}: track_method '{}' has no counterpart: its addresses are pinged instead",
                Short(method)
            );
            notes.left_out(line, text);
        }
    }
    (asks, targets(notes, section, what, port))
}

/// The addresses and names of `track_ip` that can be asked.
fn targets(notes: &mut Notes<'_>, section: &Section, what: &str, port: &str) -> Vec<String> {
    let Some(spec) = OptionSpec::find(SectionKind::Test, "target") else { return Vec::new() };
    let mut targets: Vec<String> = Vec::new();
    for (line, text) in words(section, "track_ip") {
        let target = format!("{text}{port}");
        match spec.accepts(text) {
            Ok(()) if targets.contains(&target) => {}
            Ok(()) => targets.push(target),
            Err(why) => notes.left_out(line, format!("{what}: track_ip '{}' {why}; left out", Short(text))),
        }
    }
    targets
}

/// A line beyond these limits was offline for mwan3; for failoverd it is degraded.
fn quality(notes: &mut Notes<'_>, section: &Section, what: &str, method: &str, options: &mut Options) {
    let Some((line, _)) = value(section, "check_quality").filter(|(_, text)| uci::boolean(text) == Some(true)) else {
        return;
    };
    if method != "ping" {
        return notes.left_out(line, format!("{what}: check_quality is left out: mwan3 measures pings alone"));
    }
    let before = options.len();
    let [loss, good_loss, latency, good_latency] = USUAL_LIMITS.map(|(name, default)| {
        let Some((line, text)) = value(section, name) else { return (line, name, default) };
        let number = text.parse().unwrap_or_else(|_| {
            notes.left_out(line, format!("{what}: {name} '{}' is no number; taken for {default}", Short(text)));
            default
        });
        (line, name, number)
    });
    let mut set = |options: &mut Options, (line, theirs, number): (u32, &str, u32), ours, unit| {
        let theirs = format!(": {theirs}");
        notes.set(options, (line, what, &theirs), (SectionKind::Provider, ours), &format!("{number}{unit}"));
    };
    let mut senseless = Vec::new();
    for (max, recover, [max_name, recover_name], unit) in [
        (loss, good_loss, ["max_loss", "recover_loss"], ""),
        (latency, good_latency, ["max_latency", "recover_latency"], "ms"),
    ] {
        let known = options.len();
        set(options, max, max_name, unit);
        // Without the limit there is nothing to come back from, and above it no coming back.
        if options.len() > known && recover.2 <= max.2 {
            set(options, recover, recover_name, unit);
        } else if options.len() > known {
            let (line, theirs, number) = recover;
            senseless.push((line, format!("{what}: {theirs} '{number}' is more than {}; left out", max.1)));
        }
    }
    for (line, text) in senseless {
        notes.left_out(line, text);
    }
    if options.len() > before {
        notes.decided(format!(
            "{what}: check_quality is kept as limits of loss and latency; a line beyond them is used when no good one is left, \
             mwan3 took it for offline."
        ));
    }
}
