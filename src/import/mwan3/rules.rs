//! mwan3's rules: the one that all other traffic meets gives the policy; the others have no counterpart and are listed.
//!
//! mwan3 uses the first rule that matches, so what comes behind the one for everything is without effect.

use super::{Notes, name_of, value, words};
use crate::uci::{self, Section, Short};

/// Policies that are always there, without members.
const BUILTIN: [&str; 3] = ["default", "unreachable", "blackhole"];

/// The policy of the default route, if a rule or the lack of others names one. Lists all other rules.
pub(super) fn default_policy<'a>(notes: &mut Notes<'_>, sections: &'a [Section]) -> Option<&'a Section> {
    let mut default: Option<(&Section, &str)> = None;
    for rule in sections.iter().filter(|section| section.kind == "rule") {
        if value(rule, "enabled").is_some_and(|(_, text)| uci::boolean(text) == Some(false)) {
            continue;
        }
        let rule_name = Short(name_of(rule));
        let Some((_, policy)) = value(rule, "use_policy") else {
            notes.left_out(rule.line, format!("rule '{rule_name}' uses no policy and did nothing"));
            continue;
        };
        if is_ipv6(rule) {
            notes.left_out(rule.line, format!("rule '{rule_name}' is for IPv6, which is not built yet"));
        } else if let Some((first, _)) = default {
            let text =
                format!("rule '{rule_name}' did nothing: rule '{}' before it matches all", Short(name_of(first)));
            notes.left_out(rule.line, text);
        } else if matches_all(rule) {
            default = Some((rule, policy));
        } else {
            let text = format!(
                "rule '{rule_name}' sent {} through policy '{}': failoverd has no rules yet, so this traffic takes the \
                 default route",
                what_it_matches(rule),
                Short(policy)
            );
            notes.left_out(rule.line, text);
        }
    }
    let policies = || sections.iter().filter(|section| section.kind == "policy");
    let Some((rule, wanted)) = default else {
        let first = policies().next();
        notes.decided(match first {
            Some(policy) => {
                let name = Short(name_of(policy));
                format!("No rule is for all traffic: the order of preference comes from the first policy, '{name}'.")
            }
            None => "No policy is there: the order of preference is that of the interfaces in the file.".to_owned(),
        });
        return first;
    };
    let policy = policies().find(|policy| policy.name.as_deref() == Some(wanted));
    if policy.is_none() {
        let why = if BUILTIN.contains(&wanted) { "has no members" } else { "is not there" };
        let text = format!(
            "rule '{}' uses policy '{}', which {why}: the order of preference is that of the interfaces in the file",
            Short(name_of(rule)),
            Short(wanted)
        );
        notes.left_out(rule.line, text);
    }
    policy
}

fn is_ipv6(rule: &Section) -> bool {
    let has_colon = |name: &str| value(rule, name).is_some_and(|(_, text)| text.contains(':'));
    value(rule, "family").is_some_and(|(_, family)| family == "ipv6") || has_colon("dest_ip") || has_colon("src_ip")
}

fn matches_all(rule: &Section) -> bool {
    let open = |name: &str, all: &[&str]| value(rule, name).is_none_or(|(_, text)| all.contains(&text));
    open("dest_ip", &["0.0.0.0/0"])
        && open("src_ip", &["0.0.0.0/0"])
        && open("proto", &["all"])
        && ["src_port", "dest_port", "ipset", "src_iface"].iter().all(|name| open(name, &[]))
}

/// The traffic of a rule, in words.
fn what_it_matches(rule: &Section) -> String {
    let proto =
        value(rule, "proto").map_or("all traffic", |(_, proto)| if proto == "all" { "all traffic" } else { proto });
    let mut text = Short(proto).to_string();
    for (option, before) in [
        ("src_iface", " of interface "),
        ("src_ip", " from "),
        ("src_port", " from port "),
        ("dest_ip", " to "),
        ("dest_port", " to port "),
        ("ipset", " to the addresses of set "),
    ] {
        let values: Vec<String> = words(rule, option).iter().map(|(_, word)| Short(word).to_string()).collect();
        if !values.is_empty() {
            text += before;
            text += &Short(&values.join(" ")).to_string();
        }
    }
    if value(rule, "sticky").is_some_and(|(_, text)| uci::boolean(text) == Some(true)) {
        text += ", each client through one line (sticky),";
    }
    text
}
