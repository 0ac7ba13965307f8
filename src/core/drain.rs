//! Traffic moves to a better provider: what becomes of the connections on the one that it leaves, which works on.
//!
//! Called by `forget` with those that serve; adds to what is forgotten. Marked connections may stay where they are, for ever or for a time.
//! Those that are not marked follow the default route, with an address that is not that line's: they are forgotten at once.
//!
//! The router's own tunnels always move: they speak to the same peer with the same ports for months, and would never come back by themselves.

use super::Core;
use super::forget::{Held, Stale};
use crate::event::ProviderId;
use crate::kernel::Snapshot;
use crate::moment::Moment;
use crate::settings::Drain;

/// Who was in use, and what is still to be done about those that are not any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Drains {
    used: Vec<Held>,
    /// No longer used, but the kernel has yet to show that.
    leaving: Vec<Held>,
    /// Forgotten then.
    until: Vec<(ProviderId, Moment)>,
}

impl Drains {
    /// Looks who has left, of those that serve, and whose time is over.
    pub(super) fn follow(
        &mut self,
        core: &Core,
        now: Moment,
        serving: &[Held],
        snapshot: &Snapshot,
        stale: &mut Stale,
    ) {
        let used = serving.iter().filter(|it| core.in_use(it.provider)).cloned().collect();
        let before = std::mem::replace(&mut self.used, used).into_iter().chain(std::mem::take(&mut self.leaving));
        for it in before.filter(|it| serving.contains(it) && !core.in_use(it.provider)) {
            if it.is_behind(snapshot) {
                self.left(core, now, it, stale);
            } else {
                self.leaving.push(it);
            }
        }
        let serves = |id: ProviderId| serving.iter().find(|it| it.provider == id && !core.in_use(id));
        self.until.retain(|(id, at)| {
            let Some(it) = serves(*id) else { return false };
            if *at <= now {
                stale.forget(core, it.clone());
            }
            *at > now
        });
    }

    /// The kernel shows that new connections take another way.
    fn left(&mut self, core: &Core, now: Moment, it: Held, stale: &mut Stale) {
        let drain = core.by_id(it.provider).map_or(Drain::Keep, |provider| provider.settings.drain());
        if !core.marks_loaded() || drain == Drain::Cut {
            stale.forget(core, it);
            return;
        }
        stale.own_datagrams.push(it.provider);
        if let Drain::After(time) = drain {
            self.until.push((it.provider, now + time));
        }
    }

    /// When the next time is over.
    pub(super) fn due(&self) -> Option<Moment> {
        self.until.iter().map(|(_, at)| *at).min()
    }

    /// When a provider's connections will be forgotten.
    pub(super) fn until(&self, provider: ProviderId) -> Option<Moment> {
        self.until.iter().find(|(id, _)| *id == provider).map(|(_, at)| *at)
    }
}
