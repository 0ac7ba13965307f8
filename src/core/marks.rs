//! The marks of connections: when nftables is given our table, what became of it, and when it is taken away again.
//!
//! Called by `core` at the end of every step; `filter` writes the text, the shell has it loaded, and the next snapshot shows whether it is
//! there. So a table that somebody has removed comes back, and one that a crash has left goes.

use std::time::Duration;

use super::{Core, log};
use crate::event::{Action, ProviderId};
use crate::filter::{Filter, Policy, REMOVE};
use crate::kernel::Mark;
use crate::moment::Moment;
use crate::provider::{NOWHERE, Path, Provider};
use crate::settings::{Fallback, LogLevel, RuleSettings};
use crate::status::RuleStatus;

/// The pause after a text that was refused; doubles each time.
const FIRST_RETRY: Duration = Duration::from_secs(10);
/// The longest such pause.
const LAST_RETRY: Duration = Duration::from_secs(600);
/// The pause when stopping, which has little time.
const STOP_RETRY: Duration = Duration::from_millis(500);
/// Somebody removes the table each time: it is loaded at most this often.
const RELOAD_PAUSE: Duration = Duration::from_secs(2);
/// After a start rules wait so long for providers that have yet to prove themselves: what a killed daemon has left is right more often.
const PROOF_PATIENCE: Duration = Duration::from_secs(5);

/// What is known of the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    /// Of the rules, each once.
    policies: Vec<Policy>,
    /// Other rules have another one.
    edition: u32,
    loaded: Option<Loaded>,
    stage: Stage,
    /// Why the last text was refused, until one is taken; and how many in a row.
    failure: Option<String>,
    failures: u32,
    not_before: Moment,
    /// When there is something to do, whatever happens.
    due: Option<Moment>,
}

/// A text that was taken.
#[derive(Clone, Debug)]
struct Loaded {
    content: Content,
    /// Of the table as the snapshot after it showed it.
    handle: Option<u64>,
    /// When the table was new.
    at: Moment,
}

/// What the text is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    edition: u32,
    mask: u32,
    devices: Vec<(ProviderId, Option<String>)>,
    /// Of each policy; `None`: none of its providers is fit.
    targets: Vec<Option<ProviderId>>,
    /// Whose marks they give.
    given: Vec<ProviderId>,
}

#[derive(Clone, Debug, Default)]
enum Stage {
    #[default]
    Idle,
    /// A text is on its way: with this content, or to remove the table; and whether it is the whole of it.
    Sent { content: Option<Content>, whole: bool },
    /// It was taken; the kernel's state has yet to be asked for.
    Taken,
    /// It was asked for with this number.
    Asked(u64),
}

impl Marks {
    /// These rules are in force from now on.
    pub(super) fn follow_rules(&mut self, rules: &[RuleSettings]) {
        self.policies = Policy::all(rules);
        self.edition = self.edition.wrapping_add(1);
    }

    /// What was refused is tried again without a wait.
    pub(super) const fn hurry(&mut self) {
        self.not_before = Moment::from_nanos(0);
    }

    /// A snapshot has come that was asked for with this number. It shows what was taken before.
    pub(super) fn seen(&mut self, after: u64, filter: Option<u64>) {
        if let Stage::Asked(number) = self.stage
            && after >= number
        {
            self.stage = Stage::Idle;
            self.loaded.iter_mut().for_each(|it| it.handle = filter);
        }
    }
}

impl Core {
    /// Whether connections are marked as things stand: our table is in the kernel, and marks with the bits that are ours now.
    pub fn marks_loaded(&self) -> bool {
        self.settings.marks() && self.table_is_ours(self.settings.mark_mask)
    }

    fn table_is_ours(&self, mask: u32) -> bool {
        let seen = self.snapshot.as_ref().and_then(|snapshot| snapshot.filter);
        let loaded = self.marks.loaded.as_ref().filter(|it| it.content.mask == mask);
        seen.is_some() && loaded.is_some_and(|it| it.handle == seen)
    }

    /// Whether nftables is about to have another text of ours: until that is seen, packets may follow the one before.
    pub(super) const fn marks_change(&self) -> bool {
        !matches!(self.marks.stage, Stage::Idle)
    }

    /// Whether nothing of ours is left in nftables, and nothing on its way there.
    pub(super) fn marks_are_gone(&self) -> bool {
        let seen = self.snapshot.as_ref().and_then(|snapshot| snapshot.filter);
        seen.is_none() && matches!(self.marks.stage, Stage::Idle)
    }

    /// When marks want to be seen to.
    pub(super) fn marks_due(&self) -> Option<Moment> {
        self.marks.due
    }

    /// What became of the text on its way.
    pub(super) fn filtered(&mut self, now: Moment, outcome: Result<(), String>, out: &mut Vec<Action>) {
        let Stage::Sent { content, whole } = std::mem::take(&mut self.marks.stage) else { return };
        let marks = &mut self.marks;
        match outcome {
            Ok(()) => {
                marks.stage = Stage::Taken;
                (marks.failure, marks.failures) = (None, 0);
                marks.loaded = content.map(|content| {
                    let before = marks.loaded.as_ref().filter(|_| !whole);
                    Loaded { content, handle: None, at: before.map_or(now, |before| before.at) }
                });
            }
            // The table was another one than we thought; all of it follows.
            Err(_) if !whole => marks.loaded = None,
            Err(cause) => {
                self.dirty = true;
                let pause = FIRST_RETRY.saturating_mul(1 << marks.failures.min(16)).min(LAST_RETRY);
                marks.not_before = now + if self.stopping { STOP_RETRY } else { pause };
                marks.failures = marks.failures.saturating_add(1);
                let level = if marks.failure.as_ref() == Some(&cause) { LogLevel::Debug } else { LogLevel::Warning };
                out.push(log(level, None, complaint(&cause, content.is_none())));
                marks.failure = Some(cause);
            }
        }
    }

    /// Has nftables load what is missing, or remove what is too much; one text at a time.
    pub(super) fn tend_marks(&mut self, now: Moment, out: &mut Vec<Action>) {
        self.marks.due = None;
        match self.marks.stage {
            Stage::Sent { .. } | Stage::Asked(_) => return,
            Stage::Taken if self.awaiting => return,
            Stage::Taken => {
                self.ask(now, self.asked.clone(), out);
                self.marks.stage = Stage::Asked(self.sequence);
                return;
            }
            Stage::Idle => {}
        }
        let Some(snapshot) = &self.snapshot else { return };
        let wanted = self.settings.marks() && !self.stopping;
        let content = wanted.then(|| self.marks_content());
        let Some((text, whole)) = self.marks_text(content.as_ref(), snapshot.filter) else {
            (self.marks.failure, self.marks.failures) = (None, 0);
            return;
        };
        let mut wait = self.marks.not_before;
        if let (Some(content), Some(loaded)) = (&content, &self.marks.loaded)
            && whole
            && loaded.content == *content
        {
            wait = wait.max(loaded.at + RELOAD_PAUSE);
        }
        if wanted && self.marks.loaded.is_none() && self.anybody_unproved() {
            wait = wait.max(self.started + PROOF_PATIENCE);
        }
        if wait > now {
            self.marks.due = Some(wait);
            return;
        }
        self.marks.stage = Stage::Sent { content, whole };
        out.push(Action::Filter(text));
    }

    /// What leads to this content, or to none, and whether it is the whole of it; `None`: nothing is missing.
    fn marks_text(&self, content: Option<&Content>, seen: Option<u64>) -> Option<(String, bool)> {
        let Some(content) = content else { return seen.map(|_| (REMOVE.to_owned(), true)) };
        let filter = Filter {
            settings: &self.settings,
            devices: &content.devices,
            policies: &self.marks.policies,
            targets: &content.targets,
        };
        let loaded = self.marks.loaded.as_ref().map(|it| &it.content).filter(|_| self.table_is_ours(content.mask));
        match loaded {
            Some(loaded) if loaded == content => None,
            Some(loaded) if loaded.edition == content.edition && loaded.devices == content.devices => {
                Some((filter.refill(&loaded.targets), false))
            }
            _ => Some((filter.whole(), true)),
        }
    }

    fn marks_content(&self) -> Content {
        let device = |it: &Provider| (it.id, it.device.clone());
        let (mut targets, mut given) = (vec![], vec![]);
        for policy in &self.marks.policies {
            let target = self.fit(&policy.providers).map(|it| it.id);
            let mark = target.or((policy.fallback == Fallback::Unreachable).then_some(NOWHERE));
            if let Some(id) = mark.filter(|id| !given.contains(id)) {
                given.push(id);
            }
            targets.push(target);
        }
        Content {
            edition: self.marks.edition,
            mask: self.settings.mark_mask,
            devices: self.enabled().map(device).collect(),
            targets,
            given,
        }
    }

    /// Whose marks the first packets of connections get by rules, as nftables has them and may have them in a moment. These marks must not
    /// become as good as none before it has heard: such connections would leave by the default route, although another provider is meant for
    /// them or none, and stay there. Where it takes no other text, that is the lesser evil.
    pub(super) fn marks_given(&self) -> impl Iterator<Item = ProviderId> {
        let sent = if let Stage::Sent { content, .. } = &self.marks.stage { content.as_ref() } else { None };
        let there = self.snapshot.as_ref().is_some_and(|snapshot| snapshot.filter.is_some());
        let loaded = self.marks.loaded.as_ref().map(|it| &it.content).filter(|_| there);
        let contents = sent.into_iter().chain(loaded).filter(|_| self.marks.failure.is_none());
        contents.flat_map(|it| &it.given).copied()
    }

    /// Whether somebody whom a rule names may be found reliable in a moment.
    fn anybody_unproved(&self) -> bool {
        let named =
            |it: &&Provider| self.marks.policies.iter().any(|policy| policy.providers.contains(&it.settings.name));
        self.probed().filter(named).any(|it| {
            it.reliability.verdict().is_none() && !it.presumed && !it.cold && !matches!(it.path, Path::Blocked(_))
        })
    }

    /// `marks` of the status.
    pub(super) fn marks_word(&self) -> Option<String> {
        let word = if self.marks.failure.is_some() { "failed" } else { "on" };
        (self.marks.failure.is_some() || self.marks_loaded()).then(|| word.to_owned())
    }

    /// What a person should know about marks.
    pub(super) fn marks_warning(&self) -> Option<String> {
        self.marks.failure.as_ref().map(|cause| complaint(cause, !self.settings.marks()))
    }

    /// A provider's mark, while connections are marked.
    pub(super) fn mark_text(&self, id: ProviderId) -> Option<String> {
        let Mark { value, mask } = self.settings.mark_of(id);
        self.settings.marks().then(|| format!("{value:#x}/{mask:#x}"))
    }

    /// `rules` of the status.
    pub(super) fn rules_status(&self) -> Vec<RuleStatus> {
        let rules = self.settings.rules.iter().filter(|rule| rule.enabled && self.settings.enabled);
        let status = rules.map(|rule| RuleStatus {
            name: rule.name.clone(),
            provider: self.fit(&rule.providers).map(|it| it.settings.name.clone()),
            fallback: if rule.fallback == Fallback::Unreachable { "unreachable" } else { "default" }.to_owned(),
        });
        status.collect()
    }
}

fn complaint(cause: &str, removing: bool) -> String {
    if removing {
        return format!("the table inet failover of nftables cannot be removed, it is tried again: {cause}");
    }
    format!(
        "connections are not marked, so that rules, inbound and shared traffic work only in part; it is tried again: {cause}"
    )
}
