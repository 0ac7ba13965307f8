//! Which provider the new connections of a rule use: the first of its `use` list that is fit.
//!
//! Reads what the core knows of the providers; asked by `marks` for the chains of nftables and by `route` for an answer.

use super::Core;
use crate::event::ProviderId;
use crate::provider::Provider;
use crate::settings::{Fallback, RuleSettings};

/// Where a rule sends the connections that it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Through this provider.
    Provider(ProviderId),
    /// Where they would go without rules: none of its providers is reliable.
    Default,
    /// Nowhere: none is, and `fallback` says so.
    Nowhere,
}

impl Core {
    /// Where a rule sends connections now.
    pub(super) fn choose(&self, rule: &RuleSettings) -> Choice {
        match self.fit(&rule.providers) {
            Some(provider) => Choice::Provider(provider.id),
            None if rule.fallback == Fallback::Unreachable => Choice::Nowhere,
            None => Choice::Default,
        }
    }

    /// Of these the first that is reliable and not degraded, else the first reliable one. A rule may name providers that the file has
    /// disabled.
    pub(super) fn fit(&self, names: &[String]) -> Option<&Provider> {
        let listed = || names.iter().filter_map(|name| self.by_name(name)).filter(|it| self.takes_part(it));
        let reliable = || listed().filter(|it| it.is_reliable());
        reliable().find(|it| !it.is_degraded()).or_else(|| reliable().next())
    }
}
