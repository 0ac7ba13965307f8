//! mwan3's rules: the one that all other traffic meets gives the policy of the default route, the others become rules.
//!
//! mwan3 uses the first rule that matches, as failoverd does, so what comes behind the one for everything is without effect.

use super::{Member, Notes, name_of, value, words};
use crate::draft::Section as Drafted;
use crate::import::line::Rule;
use crate::settings::schema::{OptionSpec, SectionKind};
use crate::uci::{self, Section, Short};

/// Policies that are always there, without members: as everything else, and nowhere.
const BUILTIN: [&str; 3] = ["default", "unreachable", "blackhole"];

/// Conditions without counterpart, and why.
const WITHOUT: [(&str, &str); 2] = [
    ("ipset", "failoverd knows no such sets: list dest takes their addresses"),
    ("src_iface", "list device of a rule wants the name of the network device"),
];

/// The policy of the default route, if a rule or the lack of others names one, and the rules before that rule.
pub(super) fn read<'a>(
    notes: &mut Notes<'_>,
    sections: &'a [Section],
) -> (Option<&'a Section>, Vec<(&'a Section, &'a str)>) {
    let mut default: Option<(&Section, &str)> = None;
    let mut narrower = Vec::new();
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
            narrower.push((rule, policy));
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
        return (first, narrower);
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
    (policy, narrower)
}

/// Translates the rules; `default` has the members of the default route's policy, `members` finds those of any.
pub(super) fn translate<'a>(
    notes: &mut Notes<'_>,
    rules: &[(&'a Section, &'a str)],
    policies: &[(&'a Section, Vec<Member<'a>>)],
    default: Option<&Section>,
) {
    let members = |policy: &Section| policies.iter().find(|(known, _)| std::ptr::eq(*known, policy)).map(|(_, it)| it);
    let as_default = |policy: &Section| {
        default.is_some_and(|default| members(default).map(|it| shape(it)) == members(policy).map(|it| shape(it)))
    };
    // Exceptions from rules behind them; without such a rule they say what holds anyway.
    let mut exceptions: Vec<Rule> = Vec::new();
    for &(section, wanted) in rules {
        let name = Short(name_of(section));
        let policy = policies.iter().find(|(policy, _)| policy.name.as_deref() == Some(wanted));
        let Some(mut rule) = conditions(notes, section, wanted) else { continue };
        match policy {
            None if !BUILTIN.contains(&wanted) => {
                let text = format!("rule '{name}' uses policy '{}', which is not there; left out", Short(wanted));
                notes.left_out(section.line, text);
                continue;
            }
            _ if policy.map_or(wanted == "default", |(policy, _)| as_default(policy)) => {
                exceptions.push(rule);
                continue;
            }
            Some((policy, members)) => {
                rule.uses = members.iter().map(|member| member.interface.to_owned()).collect();
                let equals =
                    members.windows(2).any(|pair| pair.first().map(|it| it.metric) == pair.last().map(|it| it.metric));
                if equals {
                    let text = format!(
                        "rule '{name}': policy '{}' shared this traffic; a rule of failoverd uses the first of its providers that is \
                         reliable",
                        Short(wanted)
                    );
                    notes.left_out(section.line, text);
                }
                if value(policy, "last_resort").is_none_or(|(_, text)| text != "default") {
                    rule.section.set("fallback", "unreachable");
                }
            }
            None => rule.section.set("fallback", "unreachable"),
        }
        if value(section, "sticky").is_some_and(|(_, text)| uci::boolean(text) == Some(true)) {
            notes.decided(format!(
                "Rule '{name}' is sticky by itself: it uses one provider as long as that is reliable."
            ));
        }
        notes.rules.append(&mut exceptions);
        notes.rules.push(rule);
    }
    for exception in exceptions {
        notes.decided(format!(
            "Rule '{}' is not needed: its traffic goes the way of all other, and a client keeps its provider to a server.",
            Short(&exception.section.name)
        ));
    }
}

/// What tells policies apart, whatever their members are called: who comes when, with which share.
fn shape<'a>(members: &[Member<'a>]) -> Vec<(&'a str, usize, u32)> {
    let place = |member: &Member<'_>| members.iter().filter(|other| other.metric < member.metric).count();
    let weight = |member: &Member<'_>| {
        if members.iter().filter(|other| other.metric == member.metric).count() > 1 { member.weight } else { 1 }
    };
    members.iter().map(|member| (member.interface, place(member), weight(member))).collect()
}

/// A rule with its conditions; without, they cannot be expressed, and it must not mean more than it did.
fn conditions(notes: &mut Notes<'_>, section: &Section, policy: &str) -> Option<Rule> {
    let name = Short(name_of(section)).to_string();
    let (what, through) = (what_it_matches(section), Short(policy).to_string());
    let refuse = |notes: &mut Notes<'_>, line: u32, why: &str| {
        notes.left_out(line, format!("rule '{name}' sent {what} through policy '{through}': {why}; left out"));
    };
    for (option, why) in WITHOUT {
        if let Some((line, _)) = value(section, option) {
            refuse(notes, line, why);
            return None;
        }
    }
    let mut drafted = Drafted::new(name_of(section));
    let proto = value(section, "proto").map(|(_, text)| text).filter(|text| *text != "all");
    let has_ports = proto.is_none_or(|text| ["tcp", "udp"].contains(&text));
    for (theirs, ours) in [
        ("src_ip", "src"),
        ("dest_ip", "dest"),
        ("proto", "proto"),
        ("src_port", "src_port"),
        ("dest_port", "dest_port"),
    ] {
        let ports = theirs.ends_with("port");
        if ports && !has_ports {
            continue;
        }
        let mut values: Vec<String> = Vec::new();
        for (line, word) in words(section, theirs) {
            for item in word.split(',').filter(|item| !["", "all", "0.0.0.0/0"].contains(item)) {
                let item = if ports { item.replace(':', "-") } else { item.to_owned() };
                match OptionSpec::find(SectionKind::Rule, ours).map(|spec| spec.accepts(&item)) {
                    Some(Err(why)) => {
                        refuse(notes, line, &format!("{theirs} '{}' {why}", Short(&item)));
                        return None;
                    }
                    _ if values.contains(&item) => {}
                    _ => values.push(item),
                }
            }
        }
        if ports && proto.is_none() && !values.is_empty() {
            notes.decided(format!(
                "Rule '{name}' is for tcp and udp, the protocols with ports; mwan3 ignored its {theirs}."
            ));
        }
        if !values.is_empty() {
            drafted.lists.push((ours, values));
        }
    }
    // The router's own connections met the rules of mwan3 as well.
    if !drafted.lists.iter().any(|(name, _)| *name == "src") {
        drafted.set("local", "1");
    }
    Some(Rule { section: drafted, uses: Vec::new() })
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
    text
}
