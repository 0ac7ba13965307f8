//! The lines to the internet that a router has, found and put in order: what `failoverd init` writes and says.
//!
//! Fed by the shell with netifd's interfaces, the configuration files beside ours and the kernel's default routes; answers with a
//! [`Draft`].

mod candidate;
mod words;

use crate::draft::{Draft, Section, free_name, section_name};
use crate::kernel::{RouteKind, Snapshot};
use crate::neighbours::Neighbours;
use crate::netifd::Interface;
use crate::order::ordered;
use crate::settings::schema::MAX_PROVIDERS;
use candidate::Medium;

/// What a draft is made from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// netifd's interfaces; `None` if it cannot be asked.
    pub interfaces: Option<&'a [Interface]>,
    /// The files.
    pub neighbours: Option<&'a Neighbours>,
    /// The devices of the kernel's default routes, the one that is used first (see [`default_devices`]).
    pub default_devices: &'a [String],
}

/// Finds the WANs. Without one there is no draft, and the sentences say what was looked for and left out.
pub fn draft(facts: Facts<'_>) -> Result<Draft, Vec<String>> {
    let (found, mut left_out) = candidate::find(facts);
    // Under a VPN that takes all traffic it is the line whose default route comes next.
    let devices = facts.default_devices.iter().map(String::as_str);
    let active = devices.map(Some).find(|device| found.iter().any(|wan| wan.is_on(*device))).flatten();
    let mut found = ordered(found, |it| (!it.is_on(active), it.medium, it.metric, it.line));
    for extra in found.drain(found.len().min(MAX_PROVIDERS)..) {
        left_out.push(format!("{}: there can be no more than {MAX_PROVIDERS} providers", extra.name));
    }
    if found.is_empty() {
        left_out.insert(0, words::nothing_found(facts));
        return Err(left_out);
    }
    let mut draft = Draft { decisions: words::decisions(facts, active, &found), left_out, ..Draft::default() };
    for wan in &found {
        // Two interfaces can differ in characters that UCI names cannot have.
        let taken: Vec<String> = draft.providers.iter().map(|section| section.name.clone()).collect();
        let mut section = Section::new(&free_name(&section_name(&wan.name), &taken));
        section.set("interface", &wan.name);
        if wan.medium == Medium::Mobile {
            section.set("metered", "1");
        }
        draft.providers.push(section);
    }
    Ok(draft)
}

/// The devices of the default routes in table main, lowest metric first, each once.
pub fn default_devices(snapshot: &Snapshot) -> Vec<String> {
    let usable = snapshot.routes.iter().filter(|route| route.is_main_default() && route.kind == RouteKind::Unicast);
    let routes = ordered(usable, |route| route.metric);
    let mut devices: Vec<String> = Vec::new();
    for route in routes {
        let link = snapshot.links.iter().find(|link| Some(link.index) == route.device);
        devices.extend(link.map(|link| link.name.clone()).filter(|name| !devices.contains(name)));
    }
    devices
}
