//! What a person or a program is told as it happens: the log line, the ubus event, the notification.
//!
//! The core makes a [`Notice`]; its text is made here, once, and the shell only carries it.

use std::fmt;

use serde_json::Value;

use crate::member::object;
use crate::settings::LogLevel;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What; the `action` of the ubus event. `None`: for the log alone.
    pub action: Option<NoticeAction>,
    /// The provider it is about.
    pub provider: Option<String>,
    /// A switch: the provider before.
    pub from: Option<String>,
    /// A switch: the provider now.
    pub to: Option<String>,
    /// Why, in words.
    pub reason: Option<String>,
    /// The same for programs.
    pub reason_code: Option<&'static str>,
    /// A recovery: the netifd interface that is to be set up again.
    pub interface: Option<String>,
    /// A recovery: the device, as far as it is known.
    pub device: Option<String>,
    /// How loud.
    pub level: LogLevel,
}

/// The `action` of the ubus event `failover`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeAction {
    /// Another provider is active.
    Switch,
    /// A provider became reliable.
    Online,
    /// A provider is reliable, but beyond a limit of quality.
    Degraded,
    /// A provider is unreliable, or has no link, address or gateway.
    Offline,
    /// The pin was set or taken away.
    Pinned,
    /// A configuration was refused.
    ConfigError,
    /// Something is done about a provider that stays offline: `renew`, `restart` or `exec`, by the reason's code.
    Recover,
    /// Nothing: somebody wants to see whether scripts and mails work. Only `failoverd notify-test` says so, and only to the scripts.
    Test,
}

impl NoticeAction {
    /// Its name on ubus and for scripts.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::Online => "online",
            Self::Degraded => "degraded",
            Self::Offline => "offline",
            Self::Pinned => "pinned",
            Self::ConfigError => "config_error",
            Self::Recover => "recover",
            Self::Test => "test",
        }
    }
}

impl Notice {
    /// A notice that is no switch: about one provider, or about failoverd itself.
    pub fn about(
        provider: Option<String>,
        action: Option<NoticeAction>,
        level: LogLevel,
        reason: Option<String>,
    ) -> Self {
        Self { action, provider, from: None, to: None, reason, reason_code: None, interface: None, device: None, level }
    }

    /// What is told, by its name in a script's environment and in the ubus event.
    fn members(&self) -> [(&'static str, &'static str, Option<&str>); 8] {
        [
            ("ACTION", "action", self.action.map(NoticeAction::word)),
            ("PROVIDER", "provider", self.provider.as_deref()),
            ("FROM", "from", self.from.as_deref()),
            ("TO", "to", self.to.as_deref()),
            ("REASON", "reason", self.reason.as_deref()),
            ("REASON_CODE", "reason_code", self.reason_code),
            ("INTERFACE", "interface", self.interface.as_deref()),
            ("DEVICE", "device", self.device.as_deref()),
        ]
    }

    /// What a hotplug script finds in its environment: ACTION, PROVIDER, FROM, TO, REASON, REASON_CODE, INTERFACE and DEVICE, as far as the
    /// ubus event has them, each on one line. Nothing for a notice without action.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let line = |(name, _, value): (_, _, Option<&str>)| Some((name, value?.replace(['\n', '\r', '\0'], " ")));
        self.members().into_iter().filter(|_| self.action.is_some()).filter_map(line).collect()
    }

    /// The ubus event.
    pub fn to_json(&self) -> Value {
        object(&mut self.members().map(|(_, name, value)| (name, value.into())))
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let provider = self.provider.as_deref().unwrap_or("failoverd");
        let reason = self.reason.as_deref().unwrap_or("");
        let because = |f: &mut fmt::Formatter<'_>| if reason.is_empty() { Ok(()) } else { write!(f, ": {reason}") };
        match self.action {
            Some(NoticeAction::Switch) => {
                match (&self.from, &self.to) {
                    (Some(from), Some(to)) => write!(f, "switched from {from} to {to}")?,
                    (None, Some(to)) => write!(f, "{to} is active")?,
                    (Some(from), None) => write!(f, "{from} is no longer active, and no other provider can be")?,
                    (None, None) => write!(f, "no provider is active")?,
                }
                because(f)
            }
            Some(NoticeAction::Online) => write!(f, "{provider} online").and_then(|()| because(f)),
            Some(NoticeAction::Degraded) => write!(f, "{provider} degraded").and_then(|()| because(f)),
            Some(NoticeAction::Offline) => write!(f, "{provider} offline").and_then(|()| because(f)),
            Some(NoticeAction::Pinned) => match &self.provider {
                Some(provider) => write!(f, "pinned to {provider}").and_then(|()| because(f)),
                None => write!(f, "unpinned").and_then(|()| because(f)),
            },
            Some(NoticeAction::ConfigError) => {
                write!(f, "configuration refused, the old one stays").and_then(|()| because(f))
            }
            Some(NoticeAction::Recover) => write!(f, "{provider} stays offline").and_then(|()| because(f)),
            Some(NoticeAction::Test) => write!(f, "test").and_then(|()| because(f)),
            None => match &self.provider {
                Some(provider) => write!(f, "{provider}: {reason}"),
                None => write!(f, "{reason}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_find_what_the_event_has() {
        let notice = |action, provider: Option<&str>, from: Option<&str>, to: Option<&str>, reason: &str| Notice {
            action,
            provider: provider.map(str::to_owned),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
            reason: Some(reason.to_owned()),
            reason_code: (reason == "no carrier").then_some("no_carrier"),
            ..Notice::about(None, None, LogLevel::Info, None)
        };
        let text = |notice: Notice| {
            let variables = notice.environment().into_iter().map(|(name, value)| format!("{name}={value}"));
            variables.collect::<Vec<_>>().join("|")
        };
        for (notice, expected, why) in [
            (
                notice(Some(NoticeAction::Switch), None, Some("fiber"), Some("lte"), "no carrier"),
                "ACTION=switch|FROM=fiber|TO=lte|REASON=no carrier|REASON_CODE=no_carrier",
                "a switch",
            ),
            (
                notice(Some(NoticeAction::Switch), None, None, Some("lte"), "start"),
                "ACTION=switch|TO=lte|REASON=start",
                "absent rather than empty, as procd leaves empty ones out",
            ),
            (
                notice(Some(NoticeAction::ConfigError), None, None, None, "line 1\nline 2\r\n\0PATH=/tmp"),
                "ACTION=config_error|REASON=line 1 line 2   PATH=/tmp",
                "one line, and nothing behind a NUL is hidden",
            ),
            (
                notice(Some(NoticeAction::Offline), Some("dsl=1"), None, None, "a=b"),
                "ACTION=offline|PROVIDER=dsl=1|REASON=a=b",
                "the first = ends the name",
            ),
            (
                Notice {
                    interface: Some("wwan".to_owned()),
                    device: Some("wwan0".to_owned()),
                    ..notice(Some(NoticeAction::Recover), Some("lte"), None, None, "no carrier")
                },
                "ACTION=recover|PROVIDER=lte|REASON=no carrier|REASON_CODE=no_carrier|INTERFACE=wwan|DEVICE=wwan0",
                "a recovery",
            ),
            (notice(None, Some("lte"), None, None, "slow"), "", "for the log alone"),
        ] {
            assert_eq!(text(notice), expected, "{why}");
        }
    }
}
