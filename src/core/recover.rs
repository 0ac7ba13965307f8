//! What is done about a provider that stays offline (`option recover`), and what netifd and the modem say about it.
//!
//! Keeps each provider's `recovery` up to date; the shell asks netifd for what is wanted, and `exec` is a notice that a hotplug script
//! understands.

use std::time::Duration;

use super::Core;
use crate::event::Action;
use crate::moment::Moment;
use crate::netifd::Interface;
use crate::notice::{Notice, NoticeAction};
use crate::provider::{Provider, ProviderState};
use crate::reason::Reason;
use crate::recovery::Need;
use crate::say;
use crate::sentence::Sentence;
use crate::settings::{LogLevel, Recover, UplinkSource};
use crate::status::RecoveryStatus;
use crate::text;

/// So long after our own `down` and `up`, an interface that is not to be started by itself is believed to be between the two.
const BETWEEN: Duration = Duration::from_secs(5);

impl Core {
    /// Does what is due. What comes of it is seen in the provider's state.
    pub(super) fn recover(&mut self, now: Moment, out: &mut Vec<Action>) {
        for index in 0..self.providers.len() {
            let Some(need) = self.providers.get(index).map(|it| self.need(it)) else { return };
            let Some(provider) = self.providers.get_mut(index) else { return };
            provider.recovery.follow(now, need);
            let due = provider.recovery.due(&provider.settings.check);
            if need != Need::Offline || due.is_none_or(|at| at > now) {
                continue;
            }
            provider.recovery.done(now);
            let Some(provider) = self.providers.get(index) else { return };
            let Some((how, interface)) = self.remedy(provider) else { continue };
            let cause = provider.reason().map_or(say!("offline"), |reason| reason.sentence());
            let reason = match &how {
                Recover::Renew => say!("interface {0} is renewed ({1})", &interface, cause),
                Recover::Restart => say!("interface {0} is taken down and up again ({1})", &interface, cause),
                Recover::Exec(_) => say!("recover_script is run ({0})", cause),
            };
            let name = Some(provider.settings.name.clone());
            let notice = Notice::about(name, Some(NoticeAction::Recover), LogLevel::Warning, Some(reason.to_string()));
            out.push(Action::Notice(Notice {
                reason_code: Some(how.word()),
                interface: Some(interface.clone()).filter(|it| !it.is_empty()),
                device: provider.device.clone(),
                ..notice
            }));
            if !matches!(how, Recover::Exec(_)) {
                out.push(Action::Recover { interface, how });
            }
        }
    }

    /// When something is due, for `next_wakeup`.
    pub(super) fn recovery_due(&self) -> Option<Moment> {
        let offline = self.enabled().filter(|it| self.need(it) == Need::Offline);
        offline.filter_map(|it| it.recovery.due(&it.settings.check)).min()
    }

    fn need(&self, provider: &Provider) -> Need {
        match provider.state() {
            ProviderState::Online | ProviderState::Degraded | ProviderState::Disabled => Need::None,
            ProviderState::NoCarrier => Need::Halted,
            ProviderState::Checking => Need::Unsure,
            ProviderState::Offline | ProviderState::Unresolved => {
                // How long it is offline counts already before anything is to be done about it.
                let can = provider.settings.check.recover.is_none() || self.remedy(provider).is_some();
                if can && self.takes_part(provider) && !self.is_pinned(provider) { Need::Offline } else { Need::Halted }
            }
        }
    }

    fn is_pinned(&self, provider: &Provider) -> bool {
        self.state.pin.as_ref().or(self.settings.pin.as_ref()) == Some(&provider.settings.name)
    }

    /// What can be done about a provider, and to which interface, if it has one. Nothing where another one has its device, or where netifd
    /// knows no such interface.
    fn remedy(&self, provider: &Provider) -> Option<(Recover, String)> {
        let how = provider.settings.check.recover.clone()?;
        let interface = match (&provider.settings.source, &how) {
            _ if matches!(provider.uplink, Err(Reason::DeviceTaken { .. })) => return None,
            (UplinkSource::Interface(_), _) if !self.netifd.told => return None,
            (UplinkSource::Interface(name), _) => self.netifd.to_recover(name, &how)?.to_owned(),
            (UplinkSource::Device(_), Recover::Exec(_)) => String::new(),
            (UplinkSource::Device(_), _) => return None,
        };
        Some((how, interface))
    }

    /// Takes the state between our own `down` and `up` for what it is: not for somebody's `ifdown`. True: there is one, and netifd is to be
    /// asked again soon.
    pub(super) fn between(&self, now: Moment, interfaces: &mut [Interface]) -> bool {
        let mut found = false;
        for provider in self.enabled() {
            let UplinkSource::Interface(name) = &provider.settings.source else { continue };
            let restarts = provider.settings.check.recover == Some(Recover::Restart);
            if restarts && provider.recovery.done_within(now, BETWEEN) {
                for interface in interfaces.iter_mut().filter(|it| it.name == *name && !it.autostart) {
                    interface.autostart = true;
                    found = true;
                }
            }
        }
        found
    }

    pub(super) fn recovery_status(&self, provider: &Provider, now: Moment) -> Option<RecoveryStatus> {
        let (how, _) = self.remedy(provider)?;
        let times = provider.recovery.times();
        let next = match self.need(provider) {
            Need::Offline => provider.recovery.due(&provider.settings.check),
            Need::Unsure | Need::Halted if times > 0 || self.is_pinned(provider) => None,
            _ => return None,
        };
        let next_in = next.map(|at| at.since(now).as_secs());
        Some(RecoveryStatus { action: how.word().to_owned(), times, next_in })
    }

    /// The same for `why`.
    pub(super) fn explain_recovery(&self, provider: &Provider, now: Moment, sentences: &mut Vec<Sentence>) {
        let Some((how, _)) = self.remedy(provider) else { return };
        match self.need(provider) {
            Need::Offline => {
                let due = provider.recovery.due(&provider.settings.check);
                let time = text::duration(due.map_or(0, |at| at.since(now).as_secs()));
                sentences.push(match how {
                    Recover::Renew => say!("Its interface is renewed in {0} if it stays offline.", time),
                    Recover::Restart => {
                        say!("Its interface is taken down and up again in {0} if it stays offline.", time)
                    }
                    Recover::Exec(_) => say!("Its recover_script is run in {0} if it stays offline.", time),
                });
            }
            Need::Halted if self.is_pinned(provider) => {
                sentences.push(say!("Nothing is done about it while it is pinned ('option recover')."));
            }
            _ => return,
        }
        match provider.recovery.times() {
            0 => {}
            1 => sentences.push(say!("That was tried once since it was online.")),
            times => sentences.push(say!("That was tried {0} times since it was online.", times)),
        }
    }

    /// What else is known about a provider. None of it is a verdict.
    pub(super) fn evidence(&self, provider: &Provider) -> Vec<Sentence> {
        let mut known = vec![];
        if let UplinkSource::Interface(name) = &provider.settings.source
            && let Ok(interface) = self.netifd.find(name)
        {
            known.extend(interface.error.map(|error| say!("netifd: {0}", error)));
            known.extend(interface.modem.map(|modem| say!("its modem says: {0}", modem)));
        }
        known
    }
}
