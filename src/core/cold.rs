//! Cold standbys: which of them are left alone now, as something better is good, and what that means to them.
//!
//! Called after each ranking; `provider` tells a cold one from others, `ranking` takes one at once where nothing better is left.

use std::time::Duration;

use super::Core;
use super::checks::invalidate;
use crate::event::Action;
use crate::moment::Moment;
use crate::provider::{Path, Provider, ProviderState};

/// After a start the better ones have this long to speak before a cold standby is checked.
const PATIENCE: Duration = Duration::from_secs(3);

impl Core {
    /// Leaves cold standbys alone that nobody needs, and wakes the others. True: something has changed.
    pub(super) fn chill(&mut self, now: Moment, out: &mut Vec<Action>) -> bool {
        self.warm_at = None;
        let mut changed = false;
        for index in 0..self.providers.len() {
            let cold = self.is_needless(index, now);
            let Some(provider) = self.providers.get_mut(index).filter(|it| it.cold != cold) else { continue };
            changed = true;
            provider.cold = cold;
            provider.last_begin = None;
            if cold {
                invalidate(provider, &mut self.random, out);
                out.push(Action::CloseProber(provider.id));
                provider.forget_asked();
                provider.forget();
            }
            if provider.state() == ProviderState::Checking {
                provider.told = None;
            }
        }
        changed
    }

    /// Whether it is a cold standby, and a better one is good. The active one is not left alone before traffic has left it.
    fn is_needless(&mut self, index: usize, now: Moment) -> bool {
        let Some(provider) = self.providers.get(index) else { return false };
        let pin = self.state.pin.as_ref().or(self.settings.pin.as_ref());
        let used = self.in_use(provider.id) || pin == Some(&provider.settings.name);
        if !provider.settings.cold_standby || used || !self.takes_part(provider) {
            return false;
        }
        let own = (provider.settings.priority, index);
        let better = || {
            let all = self.providers.iter().enumerate().filter(|(place, it)| (it.settings.priority, *place) < own);
            all.map(|(_, it)| it).filter(|it| self.takes_part(it) && it.settings.default_route)
        };
        if better().any(|it| it.is_reliable() && !it.is_degraded()) {
            return true;
        }
        let unknown = |it: &Provider| {
            let there = it.usable().is_some() || self.hold.is_some();
            there && !it.cold && it.reliability.verdict().is_none() && !matches!(it.path, Path::Blocked(_))
        };
        let patient = self.started + PATIENCE;
        let waits = now < patient && better().any(unknown);
        if waits {
            self.warm_at = Some(patient);
        }
        waits
    }
}
