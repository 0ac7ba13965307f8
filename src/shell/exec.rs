//! Tests of type exec: scripts, each in a process group of its own, whose exit status is the answer.
//!
//! The event loop hands over what is asked and waits in [`Scripts::next`]. Nothing here waits for a script: the signal that a child has ended
//! leads to those that have, and what takes too long is killed with all that it has started.

use std::collections::VecDeque;
use std::process::{Command, Stdio};
use std::time::Duration;

use failoverd::event::{Event, ProbeToken, ProviderId};
use failoverd::moment::Moment;
use failoverd::reason::Refusal;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::clock;
use super::group::Group;

/// Scripts at once. Each costs a shell's memory.
const MAX_SCRIPTS: usize = 128;

/// Where scripts find programs.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// The scripts that run, or are about to.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    scripts: Vec<Script>,
    /// What the core has yet to be told.
    events: VecDeque<Event>,
    child_ended: Option<Signal>,
}

#[derive(Debug)]
struct Script {
    provider: ProviderId,
    path: String,
    environment: Vec<(&'static str, String)>,
    /// Whom it answers; nobody once it is killed.
    tokens: Vec<ProbeToken>,
    until: Moment,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting,
    Running(Group),
    /// Its end has not been told yet.
    Killed(Group),
    Over,
}

impl Scripts {
    /// Has the script run with this environment; it is killed after `timeout`. Asked the same while it still runs (for a check that was
    /// over by another test's answer), it answers both.
    pub(crate) fn ask(
        &mut self,
        provider: ProviderId,
        token: ProbeToken,
        path: String,
        environment: Vec<(&'static str, String)>,
        timeout: Duration,
    ) -> Result<(), Refusal> {
        let same = |it: &&mut Script| {
            it.provider == provider
                && it.path == path
                && it.environment == environment
                && matches!(it.state, State::Waiting | State::Running(_))
        };
        if let Some(script) = self.scripts.iter_mut().find(same) {
            script.tokens.push(token);
            return Ok(());
        }
        if self.scripts.len() >= MAX_SCRIPTS {
            return Err(Refusal::NotSent("too many scripts run already".to_owned()));
        }
        if self.child_ended.is_none() {
            let listen = signal(SignalKind::child());
            self.child_ended = Some(listen.map_err(|error| Refusal::NotSent(error.to_string()))?);
        }
        let until = clock::now() + timeout;
        self.scripts.push(Script { provider, path, environment, tokens: vec![token], until, state: State::Waiting });
        Ok(())
    }

    /// Ends a provider's scripts.
    pub(crate) fn close(&mut self, provider: ProviderId) {
        self.scripts.iter_mut().filter(|script| script.provider == provider).for_each(Script::kill);
        self.clear();
    }

    /// Waits until there is something to tell. Cancel safe.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            if let Some(script) = self.scripts.iter_mut().find(|script| matches!(script.state, State::Waiting)) {
                script.start(&mut self.events);
                self.clear();
                // A start takes a moment, and there may be many: everybody else gets a turn between two.
                tokio::task::yield_now().await;
                continue;
            }
            let running = self.scripts.iter().filter(|script| matches!(script.state, State::Running(_)));
            let deadline = running.map(|script| script.until).min();
            let now = clock::now();
            let late = tokio::time::sleep_until(clock::instant(now, deadline.unwrap_or(now)));
            let Some(child_ended) = self.child_ended.as_mut().filter(|_| !self.scripts.is_empty()) else {
                return std::future::pending().await;
            };
            tokio::select! {
                _ = child_ended.recv() => self.look(),
                () = late, if deadline.is_some() => self.look(),
            }
        }
    }

    /// Takes note of those that have ended, and kills those that are late.
    fn look(&mut self) {
        let now = clock::now();
        for script in &mut self.scripts {
            script.look(now, &mut self.events);
        }
        self.clear();
    }

    fn clear(&mut self) {
        self.scripts.retain(|script| !matches!(script.state, State::Over));
    }
}

impl Drop for Scripts {
    fn drop(&mut self) {
        self.scripts.iter_mut().for_each(Script::kill);
    }
}

impl Script {
    fn start(&mut self, events: &mut VecDeque<Event>) {
        let mut command = Command::new(&self.path);
        command.env_clear().env("PATH", PATH).envs(self.environment.iter().map(|(name, value)| (name, value)));
        match Group::start(command.stdout(Stdio::null()).stderr(Stdio::null())) {
            Ok(group) => self.state = State::Running(group),
            Err(error) => {
                self.state = State::Over;
                let cause = Refusal::NotSent(format!("{}: {error}", self.path));
                self.tell(events, Some(cause));
            }
        }
    }

    fn look(&mut self, now: Moment, events: &mut VecDeque<Event>) {
        let (State::Running(group) | State::Killed(group)) = &mut self.state else { return };
        // What it has left in the background would be there once more after each check.
        if let Some(ended) = group.finished() {
            self.state = State::Over;
            let status = ended.ok().and_then(|status| status.code());
            self.tell(events, (status != Some(0)).then_some(Refusal::Script { status }));
        } else if self.until <= now {
            self.tell(events, Some(Refusal::Script { status: None }));
            self.kill();
        }
    }

    fn kill(&mut self) {
        self.tokens.clear();
        self.state = match std::mem::replace(&mut self.state, State::Over) {
            State::Running(group) => {
                group.kill();
                State::Killed(group)
            }
            State::Waiting => State::Over,
            other => other,
        };
    }

    /// `None`: it said yes.
    fn tell(&mut self, events: &mut VecDeque<Event>, cause: Option<Refusal>) {
        for token in std::mem::take(&mut self.tokens) {
            events.push_back(outcome(self.provider, token, cause.as_ref()));
        }
    }
}

/// What the core is told of a probe that was not lost: refused with this cause, or answered.
pub(crate) fn outcome(provider: ProviderId, token: ProbeToken, cause: Option<&Refusal>) -> Event {
    match cause {
        Some(cause) => Event::ProbeRefused { provider, token, cause: cause.clone() },
        None => Event::Answered { provider, token, at: clock::now() },
    }
}

#[cfg(test)]
mod tests;
