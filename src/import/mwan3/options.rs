//! mwan3's options without a counterpart, and the values that need no word because nobody chose them.
//!
//! Read for every section of the file; what an option means is in mwan3's documentation.

use super::{Notes, value, words};
use crate::uci::{Section, Short};

/// What becomes of an option.
enum Fate {
    /// Translated elsewhere, or needed by nothing.
    Read,
    /// Left out with this sentence, unless it has one of these values.
    LeftOut(&'static [&'static str], &'static str),
}

use Fate::{LeftOut, Read};

const PROBES: &str = "failoverd sends up to 9 probes, 50 ms apart, as soon as one is unanswered";
const FAST: &str =
    "failoverd checks again within milliseconds of a lost probe, and a line that comes back at a fast cadence";
const FIREWALL: &str = "it was about mwan3's own firewall rules; failoverd has option log_level";

/// Per section type.
const OPTIONS: &[(&str, &str, Fate)] = &[
    ("globals", "mmx_mask", LeftOut(&["0x3F00", "0x3f00"], "failoverd has its own bits: option mark_mask")),
    ("globals", "enabled", Read),
    ("globals", "logging", LeftOut(&["0"], FIREWALL)),
    ("globals", "loglevel", LeftOut(&["notice"], FIREWALL)),
    ("globals", "rtmon_interval", Read),
    (
        "globals",
        "rt_table_lookup",
        LeftOut(&[], "failoverd leaves other routing tables as they are and need not know them"),
    ),
    ("globals", "local_source", LeftOut(&["none"], "the router's own traffic takes the default route like all other")),
    ("interface", "enabled", Read),
    ("interface", "family", Read),
    ("interface", "track_ip", Read),
    ("interface", "track_method", Read),
    ("interface", "httping_ssl", Read),
    ("interface", "reliability", Read),
    ("interface", "interval", Read),
    ("interface", "timeout", Read),
    ("interface", "up", Read),
    ("interface", "down", Read),
    ("interface", "count", LeftOut(&["1"], PROBES)),
    ("interface", "size", Read),
    ("interface", "max_ttl", Read),
    ("interface", "failure_interval", LeftOut(&["5", "10"], FAST)),
    ("interface", "recovery_interval", LeftOut(&["5", "10"], FAST)),
    ("interface", "keep_failure_interval", LeftOut(&["0"], FAST)),
    ("interface", "check_quality", Read),
    ("interface", "failure_latency", Read),
    ("interface", "recovery_latency", Read),
    ("interface", "failure_loss", Read),
    ("interface", "recovery_loss", Read),
    // failoverd trusts no line before it has been checked, whatever this says.
    ("interface", "initial_state", Read),
    ("interface", "flush_conntrack", Read),
    ("member", "interface", Read),
    ("member", "metric", Read),
    ("member", "weight", Read),
    ("policy", "use_member", Read),
    ("policy", "last_resort", Read),
    ("policy", "label", Read),
    ("rule", "enabled", Read),
    ("rule", "use_policy", Read),
    ("rule", "family", Read),
    ("rule", "proto", Read),
    ("rule", "src_ip", Read),
    ("rule", "src_port", Read),
    ("rule", "src_iface", Read),
    ("rule", "dest_ip", Read),
    ("rule", "dest_port", Read),
    ("rule", "ipset", Read),
    ("rule", "sticky", Read),
    ("rule", "timeout", Read),
    ("rule", "logging", LeftOut(&["0"], FIREWALL)),
    ("rule", "label", Read),
];

/// Lists what is left out of a section, or the whole section.
pub(super) fn list(notes: &mut Notes<'_>, section: &Section) {
    let kind = section.kind.as_str();
    if !OPTIONS.iter().any(|(known, ..)| *known == kind) {
        notes.left_out(section.line, format!("mwan3 has no section type '{}' that failoverd knows", Short(kind)));
        return;
    }
    let what = match &section.name {
        Some(name) => format!("{kind} '{}'", Short(name)),
        None => kind.to_owned(),
    };
    for option in &section.options {
        let (name, line) = (Short(&option.name), option.line);
        let text = value(section, &option.name).map_or("", |(_, text)| text);
        match OPTIONS.iter().find(|(known, option_name, _)| *known == kind && *option_name == option.name) {
            Some((.., Read)) => {}
            Some((.., LeftOut(usual, _))) if usual.contains(&text) => {}
            Some((.., LeftOut(_, why))) => {
                notes.left_out(line, format!("{what}: {name} '{}' is left out: {why}", Short(text)));
            }
            None => notes.left_out(line, format!("{what}: unknown option '{name}' is left out")),
        }
    }
    if kind == "interface" {
        flush(notes, section, &what);
    }
}

/// mwan3 empties the whole table of connections; failoverd forgets those of the provider that went down, always.
fn flush(notes: &mut Notes<'_>, section: &Section, what: &str) {
    let events = words(section, "flush_conntrack");
    let up = events.iter().find(|(_, event)| ["ifup", "connected", "always"].contains(event));
    if let Some((line, event)) = up {
        let text = format!(
            "{what}: flush_conntrack '{event}' is left out: connections are forgotten when their provider goes down, and \
             only those (option flush_conntrack of settings)"
        );
        notes.left_out(*line, text);
    }
}
