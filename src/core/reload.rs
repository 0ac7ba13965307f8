//! A new configuration while running: what stays the same keeps its counters, its number and its traffic.

use super::checks::close;
use super::{Core, log};
use crate::event::{Action, ProviderId};
use crate::moment::Moment;
use crate::provider::{Provider, assign_ids, tests};
use crate::settings::{LogLevel, Settings};

impl Core {
    pub(super) fn reload(&mut self, now: Moment, settings: Settings, out: &mut Vec<Action>) {
        let ids = assign_ids(settings.providers.iter().map(|provider| provider.name.as_str()), &self.state.ids);
        let waited = self.interface_names().next().is_some();
        let ranked: Vec<ProviderId> = self.by_rank().map(|it| it.id).collect();
        let mut before = std::mem::take(&mut self.providers);
        for wanted in &settings.providers {
            let Some(id) = ids.iter().find(|(name, _)| *name == wanted.name).map(|(_, id)| *id) else { continue };
            let same = |it: &Provider| {
                it.id == id
                    && it.settings.name == wanted.name
                    && it.settings.source == wanted.source
                    && it.settings.enabled == (wanted.enabled && settings.enabled)
                    && it.tests == tests(wanted, &settings)
            };
            let provider = match before.iter().position(same) {
                Some(index) => {
                    let mut provider = before.swap_remove(index);
                    provider.configure(wanted.clone(), &settings);
                    provider
                }
                None => {
                    let mut provider = Provider::new(id, wanted.clone(), &settings, self.started, &mut self.random);
                    let same_line =
                        |it: &&mut Provider| it.settings.name == wanted.name && it.settings.source == wanted.source;
                    if let Some(it) = before.iter_mut().find(same_line) {
                        provider.succeed(it);
                    }
                    provider
                }
            };
            self.providers.push(provider);
        }
        for provider in &mut before {
            close(provider, &mut self.random, out);
        }
        let idle = self.active.is_none();
        if self.active.is_some_and(|active| self.by_id(active).is_none()) {
            self.active = None;
            self.sharing.clear();
        }
        self.missed.reload(&self.settings.tests, &settings.tests);
        if settings.rules != self.settings.rules {
            self.marks.follow_rules(&settings.rules);
        }
        self.marks.hurry();
        self.state.ids = ids;
        self.settings = settings;
        // Until they are ranked anew, which may wait for netifd.
        let members: Vec<ProviderId> = self.enabled().map(|it| it.id).collect();
        self.sharing.retain(|(id, _)| members.contains(id));
        self.ranking.order = ranked.iter().filter_map(|id| members.iter().position(|it| it == id)).collect();
        self.config_errors.clear();
        self.pin_warned = false;
        self.tell_suspects();
        self.dirty = true;
        self.interfaces_asked = None;
        self.remember_interfaces();
        // Slots of providers that stood on plain devices must not go while netifd has yet to tell theirs.
        if !waited || self.hold.is_some() {
            self.wait_for_netifd(now);
        }
        out.push(Action::Save(self.state.clone()));
        out.push(log(LogLevel::Info, None, format!("configuration read; providers: {}", self.providers.len())));
        if let Some(snapshot) = self.snapshot.take() {
            self.follow_uplinks(now, &snapshot, out);
            if idle && !self.stopping && self.hold.is_none() {
                self.adopt(now, &snapshot);
            }
            self.snapshot = Some(snapshot);
        }
    }
}
