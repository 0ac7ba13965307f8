//! What no single option can tell: references, contradictions, two providers on one line, numbers of other programs.
//!
//! Fed by `load` with the typed sections, refused values left out: nothing is reported twice.

use super::layer::{Findings, Layer, Stack};
use super::load::Sheet;
use super::problem::did_you_mean;
use super::schema::{MAX_PROVIDERS, RULE_SPAN};
use super::{Required, duration, rule, test, traffic};
use crate::uci::Short;

/// Rule priorities of other programs: from, to, whose.
const FOREIGN_RULES: &[(u32, u32, &str)] = &[(1000, 3999, "mwan3"), (5210, 5270, "tailscale"), (30_000, 30_000, "pbr")];
/// Mark bits of other programs.
const FOREIGN_MARKS: &[(u32, &str)] = &[(0x3f00, "mwan3"), (0x00ff_0000, "pbr and tailscale")];

/// The options that are compared with each other.
const COMPARED: [&str; 8] =
    ["timeout", "min_timeout", "history", "max_failed", "max_loss", "recover_loss", "max_latency", "recover_latency"];

/// Every check.
pub(super) fn all(sheet: &Sheet, found: &mut Findings) {
    numbers(&sheet.settings, found);
    consistent(Stack(&[&sheet.settings]), &sheet.settings, found);
    for (_, test) in &sheet.tests {
        test::check(test, found);
    }
    for (_, provider) in &sheet.providers {
        source(provider, found);
        let (own, both) = ([provider], [provider, &sheet.settings]);
        let stack = Stack(&both);
        let overrides = |names: &[&str]| names.iter().any(|name| Stack(&own).line_of(name).is_some());
        if overrides(&COMPARED) {
            consistent(stack, provider, found);
        }
        recover(provider, stack, found);
        tests(sheet, provider, stack, found);
    }
    if let Some((_, provider)) = sheet.providers.get(MAX_PROVIDERS) {
        found.problems.push((provider.line, format!("{}: more than {MAX_PROVIDERS} providers", provider.label)));
    }
    shared_sources(sheet, found);
    pin(sheet, found);
    traffic::check(sheet, found);
    rule::check(sheet, found);
}

fn numbers(settings: &Layer, found: &mut Findings) {
    let layers = [settings];
    let stack = Stack(&layers);
    if let (Some(first), Some(line)) = (stack.number("base_priority"), settings.line_of("base_priority")) {
        let last = first.saturating_add(RULE_SPAN - 1);
        for (from, to, whose) in FOREIGN_RULES.iter().filter(|(from, to, _)| first <= *to && *from <= last) {
            let text = format!(
                "settings: base_priority '{first}': rules {first} to {last} would meet those of {whose} ({from} to {to})"
            );
            found.problems.push((line, text));
        }
    }
    if let (Some(mask), Some(line)) = (stack.number("mark_mask"), settings.line_of("mark_mask")) {
        for (foreign, whose) in FOREIGN_MARKS.iter().filter(|(foreign, _)| mask & foreign != 0) {
            found.problems.push((line, format!("settings: mark_mask '{mask:#x}': {foreign:#x} is used by {whose}")));
        }
    }
}

/// Values that contradict each other, within a section and what it inherits.
fn consistent(stack: Stack<'_>, layer: &Layer, found: &mut Findings) {
    let line = |a: &str, b: &str| {
        layer.line_of(a).or_else(|| layer.line_of(b)).or_else(|| stack.line_of(a)).unwrap_or(layer.line)
    };
    let (timeout, min_timeout) = (stack.duration("timeout"), stack.duration("min_timeout"));
    if min_timeout > timeout && stack.sound(&["timeout", "min_timeout"]) {
        let text = format!(
            "{}: min_timeout '{}' must not be longer than timeout '{}'",
            layer.label,
            duration::show(min_timeout),
            duration::show(timeout)
        );
        found.problems.push((line("min_timeout", "timeout"), text));
    }
    let (history, max_failed) = (stack.number("history").unwrap_or_default(), stack.number("max_failed"));
    if let Some(max_failed) =
        max_failed.filter(|max_failed| *max_failed >= history && stack.sound(&["history", "max_failed"]))
    {
        let text = format!("{}: max_failed '{max_failed}' must be less than history '{history}'", layer.label);
        found.problems.push((line("max_failed", "history"), text));
    }
    let loss = stack
        .loss_limits()
        .filter(|it| it.recover > it.max)
        .map(|it| ("loss", it.recover.to_string(), it.max.to_string()));
    let latency = stack.duration_limits("max_latency", "recover_latency").filter(|it| it.recover > it.max);
    let latency = latency.map(|it| ("latency", duration::show(it.recover), duration::show(it.max)));
    for (what, recover, max) in loss.into_iter().chain(latency) {
        let names = [format!("recover_{what}"), format!("max_{what}")];
        let [recover_name, max_name] = names.each_ref().map(String::as_str);
        let text = format!("{}: {recover_name} '{recover}' must not be more than {max_name} '{max}'", layer.label);
        found.problems.push((line(recover_name, max_name), text));
    }
}

/// What is done about a provider that stays offline needs somebody who does it. What is wanted of all is done where it can be.
fn recover(provider: &Layer, stack: Stack<'_>, found: &mut Findings) {
    let Some(word) = stack.text("recover") else { return };
    let line = provider.line_of("recover").unwrap_or(provider.line);
    if word == "exec" {
        if stack.text("recover_script").is_none() && stack.sound(&["recover_script"]) {
            found.problems.push((line, format!("{}: recover 'exec' needs option recover_script", provider.label)));
        }
    } else if provider.line_of("recover").is_some()
        && provider.line_of("interface").is_none()
        && !provider.refused("interface")
        && !provider.damaged
    {
        let text = format!("{}: recover '{word}' is done by netifd and needs option interface", provider.label);
        found.problems.push((line, text));
    }
}

/// A provider comes from an interface or from a device.
fn source(provider: &Layer, found: &mut Findings) {
    let label = &provider.label;
    match (provider.line_of("interface"), provider.line_of("device")) {
        (Some(interface), Some(device)) => {
            let text = format!("{label}: has both interface and device: keep interface where netifd manages the line");
            found.problems.push((interface.max(device), text));
        }
        (None, None) if !provider.refused("interface") && !provider.refused("device") && !provider.damaged => {
            found.problems.push((provider.line, format!("{label}: needs option interface or option device")));
        }
        _ => {}
    }
}

fn tests(sheet: &Sheet, provider: &Layer, stack: Stack<'_>, found: &mut Findings) {
    let known = sheet.test_names();
    for (line, name) in provider.texts("test") {
        if !known.contains(&name) {
            // Of thousands of tests nobody has mistyped one, and comparing them all takes its time.
            let hint = did_you_mean(name, known.iter().copied().take(MAX_PROVIDERS));
            found.problems.push((line, format!("{}: there is no test '{}'{hint}", provider.label, Short(name))));
        }
    }
    let names = sheet.tests_of(provider);
    let unknown = provider.line_of("device").is_some() && stack.addresses("resolver").is_empty();
    if let Some((name, _)) =
        sheet.tests.iter().find(|(name, it)| unknown && names.contains(name) && test::has_names(it))
    {
        let line = provider.line_of("device").unwrap_or(provider.line);
        let text = "has targets that are names: add list resolver, as netifd knows no DNS servers of a device";
        found.problems.push((line, format!("{}: test '{}' {text}", provider.label, Short(name))));
    }
    let count = names.len();
    let Required::Count(required) = stack.required() else { return };
    if usize::try_from(required).is_ok_and(|required| required > count) && stack.sound(&["required", "test"]) {
        let noun = if count == 1 { "test" } else { "tests" };
        let line = stack.line_of("required").unwrap_or(provider.line);
        found
            .problems
            .push((line, format!("{}: required '{required}' is more than its {count} {noun}", provider.label)));
    }
}

/// Two providers on one interface or device would fight over its routes. Disabled ones may wait there.
fn shared_sources(sheet: &Sheet, found: &mut Findings) {
    let enabled = || sheet.providers.iter().map(|(_, layer)| layer).filter(|layer| Stack(&[*layer]).flag("enabled"));
    for option in ["interface", "device"] {
        let mut seen: Vec<(&str, &Layer)> = Vec::new();
        for provider in enabled() {
            for (line, source) in provider.texts(option) {
                match seen.iter().find(|(known, _)| *known == source) {
                    Some((_, first)) => {
                        let text = format!(
                            "{}: {option} '{source}' is used by {} already (line {})",
                            provider.label, first.label, first.line
                        );
                        found.problems.push((line, text));
                    }
                    None => seen.push((source, provider)),
                }
            }
        }
    }
}

fn pin(sheet: &Sheet, found: &mut Findings) {
    for (line, pin) in sheet.settings.texts("pin") {
        match sheet.providers.iter().find(|(name, _)| name == pin) {
            Some((_, provider)) if !Stack(&[provider]).flag("enabled") => {
                found.problems.push((line, format!("settings: pin '{pin}' is a disabled provider")));
            }
            Some((_, provider)) if !Stack(&[provider]).flag("default") => {
                found.problems.push((line, format!("settings: pin '{pin}' is a provider with default '0'")));
            }
            Some(_) => {}
            None => {
                let hint = did_you_mean(pin, sheet.providers.iter().map(|(name, _)| name.as_str()));
                found.problems.push((line, format!("settings: pin: there is no provider '{}'{hint}", Short(pin))));
            }
        }
    }
}
