//! What is explained of a provider's traffic besides the ranking: its share, its rules, the connections that are left on it.
//!
//! Called by `why`, which says the rest.

use super::{Core, waits};
use crate::core::policy::Choice;
use crate::event::ProviderId;
use crate::moment::Moment;
use crate::provider::Provider;
use crate::say;
use crate::sentence::{Part, Sentence, and};
use crate::settings::{Drain, RuleSettings};
use crate::text;
use crate::why::{Standing, Takeover};

/// Rules that are named.
const NAMED: usize = 5;

impl Core {
    /// Those that share traffic, without this one.
    pub(super) fn sharing_but(&self, one: Option<ProviderId>) -> Part {
        let others = self.sharing.iter().filter(|(id, _)| Some(*id) != one);
        let names: Vec<&str> = others.filter_map(|(id, _)| Some(self.by_id(*id)?.settings.name.as_str())).collect();
        and(&names)
    }

    /// What it has of shared traffic.
    pub(super) fn share_of(&self, provider: &Provider) -> Option<Sentence> {
        let weight = |it: &(ProviderId, u16)| u32::from(it.1);
        let own = self.sharing.iter().find(|(id, _)| *id == provider.id).map(weight)?;
        let whole = self.sharing.iter().map(weight).sum();
        let (others, share) = (self.sharing_but(Some(provider.id)), text::share(own, whole));
        Some(say!("It shares the traffic with {0}: {1} of it, by weight {2} of {3}.", others, share, own, whole))
    }

    /// Whether it would share the active one's traffic if it were good, and for long enough.
    pub(super) fn joins(&self, provider: &Provider, active: &Provider) -> bool {
        let may = peers(provider, active) && provider.settings.default_route;
        may && provider.id != active.id && !self.in_use(provider.id) && !provider.on_cold_standby()
    }

    /// If the one that leads those that share fails, the best of all follows at once, also one that waits to take over or to join.
    pub(super) fn instead_of(&self, one: &Provider) -> Option<&Provider> {
        let good = self.reliable_but(one).into_iter().filter(|it| self.is_good(it));
        let best = good.min_by_key(|it| self.place_in_file(it)).filter(|_| self.active == Some(one.id));
        best.filter(|it| !self.in_use(it.id))
    }

    /// Where one that would share traffic stands.
    pub(super) fn place_in_tier<'a>(
        &self,
        provider: &Provider,
        active: &Provider,
        now: Moment,
    ) -> (Option<Standing<'a>>, Takeover<'a>) {
        let delay = provider.failback_delay().as_secs();
        match self.join_at(provider).filter(|_| provider.is_reliable()) {
            Some(_) if !self.is_good(provider) => (Some(Standing::Degraded), Takeover::JoinsGoodFor(delay)),
            Some(at) => (Some(waits(provider, active, at, now)), Takeover::JoinsIn(at.since(now).as_secs())),
            None => (None, Takeover::JoinsReliableFor(if provider.has_failed() { delay } else { 0 })),
        }
    }

    /// What else goes through it, or would.
    pub(super) fn explain_traffic(&self, provider: &Provider, now: Moment, sentences: &mut Vec<Sentence>) {
        if !self.takes_part(provider) {
            return;
        }
        let own = &provider.settings;
        let equal = |it: &&Provider| it.id != provider.id && it.settings.priority == own.priority;
        if own.default_route && !own.balance && self.eligible().any(|it| equal(&it)) {
            sentences.push(say!("It shares no traffic ('option balance' is 0)."));
        }
        if own.default_route && self.settings.marks() && provider.is_reliable() && !self.in_use(provider.id) {
            match self.connections.drains.until(provider.id) {
                Some(at) => sentences.push(say!(
                    "Connections that are left on it are forgotten in {0}.",
                    text::duration(at.since(now).as_secs())
                )),
                // Whoever was never used has none.
                None if own.drain() == Drain::Keep
                    && self.switch_log.iter().any(|it| it.from.as_ref() == Some(&own.name)) =>
                {
                    sentences.push(say!("Connections that are left on it stay there ('option drain' is keep)."));
                }
                None => {}
            }
        }
        // While connections cannot be marked nothing follows a rule.
        if self.marks_warning().is_some() {
            return;
        }
        let rules = |wanted: &dyn Fn(&RuleSettings) -> bool| {
            let rules = self.settings.rules.iter().filter(|it| it.enabled && wanted(it));
            rules.map(|it| it.name.as_str()).collect::<Vec<_>>()
        };
        let uses = rules(&|it| self.choose(it) == Choice::Provider(provider.id));
        if !uses.is_empty() {
            sentences.push(say!("Rules that use it now: {0}.", some(&uses)));
        }
        let refused = rules(&|it| it.providers.contains(&own.name) && self.choose(it) == Choice::Nowhere);
        if !refused.is_empty() {
            sentences.push(say!("Rules that refuse connections until it is reliable: {0}.", some(&refused)));
        }
    }
}

/// Whether they share traffic when both are good.
pub(super) fn peers(one: &Provider, other: &Provider) -> bool {
    let (one, other) = (&one.settings, &other.settings);
    one.balance && other.balance && one.priority == other.priority
}

/// The first of many names, and how many there are more.
fn some(names: &[&str]) -> Part {
    match names.split_at_checked(NAMED) {
        Some((first, rest @ [_, ..])) => say!("{0} and {1} more", first.join(", "), rest.len().to_string()).into(),
        _ => names.join(", ").into(),
    }
}
