//! mwan3's configuration to a draft: interfaces become providers, the default rule's policy gives rank and weight, the others become rules.
//!
//! Called by `import`; how an interface was tracked is in `mwan3/track.rs`, the options that have no counterpart in `mwan3/options.rs`,
//! the rules in `mwan3/rules.rs`.
//! mwan3's own documentation and its tracker are the source for defaults and meanings.

mod options;
mod rules;
mod track;

use super::line::Line;
use super::notes::{Notes, Options};
use crate::draft::Draft;
use crate::order::ordered;
use crate::settings::schema::SectionKind;
use crate::uci::{self, Section, Short, UciValue};

/// More failed checks in a row than mwan3 or its pages ever set by themselves: somebody wants patience.
const USUAL_DOWN: u32 = 5;
/// Values that mwan3 ships, has as default, or that its pages fill in: nobody's decision.
const USUAL: &[(&str, &[&str])] = &[("interval", &["5", "10"]), ("timeout", &["2", "4"]), ("up", &["3", "5", "8"])];
/// mwan3 starts looking for the lowest metric here: a member with this or more is never used.
const UNUSED_METRIC: u32 = 256;
/// The addresses that mwan3 ships, with answers wanted of two of them.
const SHIPPED_TARGETS: [&str; 4] = ["1.0.0.1", "1.1.1.1", "208.67.220.220", "208.67.222.222"];

/// Translates `/etc/config/mwan3`; see [`import`](super::import).
pub fn mwan3(path: &str, text: &[u8]) -> Result<Draft, Vec<String>> {
    let file = uci::parse(text);
    let mut notes = Notes::new(path);
    if !file.errors.is_empty() {
        return Err(file.errors.iter().map(|error| notes.at(error.line, error)).collect());
    }
    let sections = &file.sections;
    for section in sections {
        options::list(&mut notes, section);
    }
    let (policy, narrower) = rules::read(&mut notes, sections);
    let mut policies: Vec<(&Section, Vec<Member<'_>>)> = Vec::new();
    for section in sections.iter().filter(|section| section.kind == "policy") {
        let used = narrower.iter().any(|(_, wanted)| section.name.as_deref() == Some(wanted));
        if used || policy.is_some_and(|policy| std::ptr::eq(policy, section)) {
            policies.push((section, members(&mut notes, sections, section)));
        }
    }
    let of_default = policies.iter().find(|(section, _)| policy.is_some_and(|policy| std::ptr::eq(policy, *section)));
    let members = of_default.map_or(&[][..], |(_, members)| members.as_slice());
    rules::translate(&mut notes, &narrower, &policies, policy);
    if let Some(policy) = policy.filter(|_| members.is_empty()) {
        let text = format!(
            "policy '{}' has no members that could be used: the order of preference is that of the interfaces in the file",
            Short(name_of(policy))
        );
        notes.left_out(policy.line, text);
    }
    let policy = policy.filter(|_| !members.is_empty());
    let interfaces: Vec<&Section> = sections.iter().filter(|section| section.kind == "interface").collect();
    let mut usual = true;
    let mut lines = Vec::new();
    for section in interfaces {
        let Some(name) = &section.name else {
            notes.left_out(section.line, "an interface without a name cannot be translated");
            continue;
        };
        if let Some((line, "ipv6")) = value(section, "family") {
            notes.left_out(line, format!("interface '{}' is for IPv6, which is not built yet", Short(name)));
            continue;
        }
        lines.push(interface(&mut notes, section, name, &mut usual));
    }
    let off: Vec<String> = lines.iter().filter(|line| !line.enabled).map(|line| line.name.clone()).collect();
    let listed = |name: &str| members.iter().find(|member| member.interface == name);
    for line in &mut lines {
        match (listed(&line.name), policy) {
            (Some(member), _) => (line.rank, line.weight) = (Some(member.metric), member.weight),
            (None, Some(policy)) if line.enabled => {
                notes.apart(line);
                notes.decided(format!(
                    "interface '{}' is not in policy '{}', which carries the default route: with default '0' it is for rules and for \
                     what comes in through it.",
                    Short(&line.name),
                    Short(name_of(policy))
                ));
            }
            _ => {}
        }
    }
    if lines.is_empty() {
        return Err(notes.refuse("no IPv4 interface section: nothing to translate"));
    }
    say(&mut notes, policy, usual);
    for line in &off {
        notes.decided(format!("interface '{}' is off, as in mwan3: with enabled '1' it is used.", Short(line)));
    }
    let sharing = policy.map_or("mwan3".to_owned(), |policy| format!("policy '{}'", Short(name_of(policy))));
    Ok(notes.finish(lines, &sharing))
}

/// What holds for the whole file.
fn say(notes: &mut Notes<'_>, policy: Option<&Section>, usual: bool) {
    if let Some(policy) = policy {
        let name = Short(name_of(policy));
        notes.decided(format!("The order of preference is that of the metrics in policy '{name}'."));
        let before = match value(policy, "last_resort") {
            Some((_, "default")) => "left that to the network configuration's own routes",
            Some((_, "blackhole")) => "dropped the traffic",
            _ => "refused the traffic",
        };
        notes.decided(format!(
            "When no provider is reliable the active one is kept (last_resort 'keep'), since any line is better than none; \
             policy '{name}' {before}."
        ));
    }
    if usual {
        notes.decided(
            "Intervals, timeouts, up and down are failoverd's own: the file has mwan3's usual ones, which need a minute or two \
             to notice a silent line.",
        );
    }
    notes.decided(
        "The connections of a provider that goes down are forgotten, and only those (flush_conntrack '1'); mwan3 kept them, \
         or emptied the whole table.",
    );
    if notes.rules.is_empty() && notes.draft.settings.is_empty() {
        notes.decided(
            "mwan3 answered what came in through a line by that line: where something listens for that, set option inbound '1'.",
        );
    }
    notes.decided("Nothing in the file says which line costs money: set option metered '1' for a mobile one.");
    notes.decided("The metrics in /etc/config/network are no longer needed; they do no harm.");
    notes.decided(
        "mwan3 is not touched: stop and disable it before failoverd starts, or its rules keep the traffic to themselves.",
    );
}

/// One entry of a policy.
struct Member<'a> {
    interface: &'a str,
    metric: u32,
    weight: u32,
}

/// The members of a policy, each interface once: with its lowest metric, the only one that mwan3 ever uses.
fn members<'a>(notes: &mut Notes<'_>, sections: &'a [Section], policy: &Section) -> Vec<Member<'a>> {
    let mut members: Vec<Member<'a>> = Vec::new();
    for (line, name) in words(policy, "use_member") {
        let section = sections.iter().find(|section| section.kind == "member" && section.name.as_deref() == Some(name));
        let (section, interface) = match section.map(|section| (section, value(section, "interface"))) {
            Some((section, Some((_, interface)))) => (section, interface),
            Some((section, None)) => {
                notes.left_out(section.line, format!("member '{}' names no interface", Short(name)));
                continue;
            }
            None => {
                let text = format!("policy '{}' uses member '{}', which is not there", name_of(policy), Short(name));
                notes.left_out(line, text);
                continue;
            }
        };
        if !sections.iter().any(|known| known.kind == "interface" && known.name.as_deref() == Some(interface)) {
            let text = format!("member '{}' is of interface '{}', which is not there", Short(name), Short(interface));
            notes.left_out(section.line, text);
            continue;
        }
        let (metric, weight) = (number(notes, section, "metric"), number(notes, section, "weight"));
        if metric >= UNUSED_METRIC {
            let text = format!("member '{}' has metric {metric}, and mwan3 never uses more than 255", Short(name));
            notes.left_out(section.line, text);
            continue;
        }
        match members.iter_mut().find(|known| known.interface == interface) {
            Some(known) if known.metric <= metric => {}
            Some(known) => (known.metric, known.weight) = (metric, weight),
            None => members.push(Member { interface, metric, weight }),
        }
    }
    ordered(members, |member| member.metric)
}

/// A member's metric or weight; 1 where there is none, as in mwan3.
fn number(notes: &mut Notes<'_>, section: &Section, name: &str) -> u32 {
    let Some((line, text)) = value(section, name) else { return 1 };
    text.parse().unwrap_or_else(|_| {
        let member = Short(name_of(section));
        notes.left_out(line, format!("member '{member}': {name} '{}' is no number; taken for 1", Short(text)));
        1
    })
}

/// An interface section; clears `usual` if somebody has set its timing by hand.
fn interface(notes: &mut Notes<'_>, section: &Section, name: &str, usual: &mut bool) -> Line {
    let what = format!("interface '{}'", Short(name));
    let mut options = Options::new();
    for &(option, values) in USUAL {
        let Some((line, text)) = value(section, option).filter(|(_, text)| !values.contains(text)) else { continue };
        *usual = false;
        // mwan3 takes whole numbers from 1 alone; anything else would be compared with other options in vain.
        if text.parse::<u32>().is_ok_and(|number| number > 0) {
            let theirs = format!(": {option}");
            notes.set(&mut options, (line, &what, &theirs), (SectionKind::Provider, option), text);
            if option == "interval" {
                notes.set(&mut options, (line, &what, &theirs), (SectionKind::Provider, "standby_interval"), text);
                notes.decided(format!("{what}: checked every {text} s, on standby too, as before."));
            }
        } else {
            notes.left_out(line, format!("{what}: {option} '{}' is no number from 1 on; left out", Short(text)));
        }
    }
    down(notes, section, &what, &mut options, usual);
    let (asks, targets) = track::track(notes, section, &what, &mut options);
    let mut required = match value(section, "reliability") {
        Some((line, text)) => text.parse().unwrap_or_else(|_| {
            notes.left_out(line, format!("{what}: reliability '{}' is no number; taken for 1", Short(text)));
            1
        }),
        None => 1,
    };
    if required == 2
        && targets.len() == SHIPPED_TARGETS.len()
        && asks.is_empty()
        && targets.iter().all(|t| SHIPPED_TARGETS.contains(&&**t))
    {
        required = 1;
        notes.decided(format!(
            "{what}: one answer of any of its {} addresses is enough; the file has them and reliability '2' as mwan3 ships them.",
            targets.len()
        ));
    }
    Line {
        line: section.line,
        name: name.to_owned(),
        source: ("interface", name.to_owned()),
        options,
        enabled: value(section, "enabled").is_some_and(|(_, text)| uci::boolean(text) == Some(true)),
        rank: None,
        weight: 1,
        asks,
        targets,
        required,
    }
}

fn down(notes: &mut Notes<'_>, section: &Section, what: &str, options: &mut Options, usual: &mut bool) {
    let Some((line, text)) = value(section, "down") else { return };
    match text.parse::<u32>() {
        Ok(3 | USUAL_DOWN) => {}
        Ok(number) if number > USUAL_DOWN => {
            *usual = false;
            notes.set(options, (line, what, ": down"), (SectionKind::Provider, "down"), text);
            notes.decided(format!(
                "{what}: down '{text}' is kept; each of these checks sends up to 9 probes, mwan3's sent one to each address."
            ));
        }
        _ => {
            let text = format!(
                "{what}: down '{}' is left out: a single failed check of failoverd means 9 lost probes already",
                Short(text)
            );
            notes.left_out(line, text);
        }
    }
}

/// A section's name, or what stands for one.
fn name_of(section: &Section) -> &str {
    section.name.as_deref().unwrap_or("(without name)")
}

/// An option's value and line; the last item of a list, as a shell script sees it.
fn value<'a>(section: &'a Section, name: &str) -> Option<(u32, &'a str)> {
    let option = section.options.iter().find(|option| option.name == name)?;
    match &option.value {
        UciValue::Single(text) => Some((option.line, text)),
        UciValue::List(items) => items.last().map(|item| (item.line, item.text.as_str())),
    }
}

/// The words of an option or list, with their lines: mwan3's scripts split at blanks.
fn words<'a>(section: &'a Section, name: &str) -> Vec<(u32, &'a str)> {
    let Some(option) = section.options.iter().find(|option| option.name == name) else { return Vec::new() };
    match &option.value {
        UciValue::Single(text) => text.split_whitespace().map(|word| (option.line, word)).collect(),
        UciValue::List(items) => {
            items.iter().flat_map(|item| item.text.split_whitespace().map(|word| (item.line, word))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_s_policy() {
        const LINES: &str = "config interface a\noption enabled 1\nconfig interface b\noption enabled 1\n\
            config member a1\noption interface a\nconfig member b1\noption interface b\noption metric 2\n\
            config member a3\noption interface a\noption metric 3\n\
            config policy ab\nlist use_member a1\nlist use_member b1\n\
            config policy ba\nlist use_member a3\nlist use_member b1\n\
            config policy a_alone\nlist use_member a1\n";
        for (rules, want, why) in [
            ("config rule r\noption use_policy ba\n", "b a", "a rule without conditions"),
            (
                "config rule r\noption use_policy ba\noption dest_ip 0.0.0.0/0\noption proto all\n",
                "b a",
                "or with open ones",
            ),
            (
                "config rule q\noption use_policy ab\noption proto udp\nconfig rule r\noption use_policy ba\n",
                "b a",
                "not a narrower one",
            ),
            (
                "config rule q\noption use_policy ba\nconfig rule r\noption use_policy ab\n",
                "b a",
                "the first match wins",
            ),
            (
                "config rule q\noption use_policy ab\noption enabled 0\nconfig rule r\noption use_policy ba\n",
                "b a",
                "a rule that is off",
            ),
            (
                "config rule q\noption use_policy ab\noption family ipv6\nconfig rule r\noption use_policy ba\n",
                "b a",
                "IPv6",
            ),
            (
                "config rule q\noption dest_ip ::/0\noption use_policy ab\nconfig rule r\noption use_policy ba\n",
                "b a",
                "IPv6 by address",
            ),
            ("config rule r\noption use_policy a_alone\n", "a (b)", "an interface outside of the policy waits"),
            ("config rule r\noption use_policy default\n", "a b", "a built-in policy: the order of the file"),
            ("config rule r\noption use_policy gone\n", "a b", "a policy that is not there"),
            ("config rule r\noption proto icmp\noption use_policy ba\n", "a b", "no rule for all: the first policy"),
            ("", "a b", "no rule at all"),
        ] {
            let draft = mwan3("mwan3", format!("{LINES}{rules}").as_bytes()).unwrap();
            let apart = |section: &crate::draft::Section| section.options.contains(&("default", "0".to_owned()));
            let names = draft.providers.iter().map(|p| if apart(p) { format!("({})", p.name) } else { p.name.clone() });
            assert_eq!(names.collect::<Vec<_>>().join(" "), want, "{why}");
        }
    }
}
