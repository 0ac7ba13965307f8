//! The calls of `check` that wait: each is answered when the checks it asked for have ended.
//!
//! Part of the event loop, which looks here after every event.

use std::time::Duration;

use failoverd::event::Event;
use failoverd::moment::Moment;

use super::super::clock;
use super::super::ubus::ReplyTo;
use super::Daemon;

/// A call of `check` is answered after this time at the latest.
const CHECK_PATIENCE: Duration = Duration::from_secs(10);

/// A call of `check` that waits for its checks to end.
pub(super) struct WaitingCheck {
    reply_to: ReplyTo,
    provider: Option<String>,
    /// Each provider with the number of checks it will have made when the one asked for has ended.
    wanted: Vec<(String, u64)>,
    pub(super) until: Moment,
}

impl Daemon {
    pub(super) fn check(&mut self, provider: Option<String>, reply_to: ReplyTo) {
        log::info!("{}: check asked for", provider.as_deref().unwrap_or("all providers"));
        let wanted = self.core.checks_after_next(provider.as_deref());
        let until = clock::now() + CHECK_PATIENCE;
        self.checks.push(WaitingCheck { reply_to, provider: provider.clone(), wanted, until });
        self.feed(Event::CheckNow(provider));
    }

    /// Answers the calls of `check` whose checks have ended, or cannot begin.
    pub(super) fn answer_checks(&mut self) {
        if self.checks.is_empty() {
            return;
        }
        let now = clock::now();
        let checked = |(name, wanted): &(String, u64)| self.core.has_checked(name, *wanted);
        let done = |check: &WaitingCheck| check.until <= now || check.wanted.iter().all(checked);
        let (done, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.checks).into_iter().partition(done);
        self.checks = waiting;
        for check in done {
            let answer = self.status(check.provider.as_deref());
            self.bus.reply(check.reply_to, Ok(answer));
        }
    }
}
