//! Every question but ping: connections, DNS queries and scripts, each on its own, none in another's way.
//!
//! The event loop hands `Action::Probe` and `Action::Resolve` to [`Askers`] and waits in [`Askers::next`] for what comes of them.

mod lookup;
mod ready;
mod talk;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use failoverd::event::{Event, ProbeToken, ProviderId};
use failoverd::kernel::IfIndex;
use failoverd::moment::Moment;
use failoverd::question::Question;
use failoverd::reason::Refusal;

use super::clock;
use lookup::Lookup;
use ready::Ready;
use talk::{Fate, Talk};

/// Probes on their way at most: of one provider, and in all. A descriptor each, of the 1024 that a process may have.
const OF_ONE: usize = 96;
const IN_ALL: usize = 768;

/// What is on its way.
#[derive(Debug, Default)]
pub(crate) struct Askers {
    ready: Option<Ready>,
    asked: Vec<Asked>,
    last_key: u64,
    done: VecDeque<(ProviderId, Event)>,
}

/// A question on its way.
#[derive(Debug)]
struct Asked {
    provider: ProviderId,
    until: Moment,
    purpose: Purpose,
    talk: Talk,
}

/// Who wants to know.
#[derive(Debug)]
enum Purpose {
    Probe(ProbeToken),
    Lookup(Lookup),
}

impl Askers {
    /// Asks `question` through `device`; after `timeout` nobody waits for an answer any more. Inside the runtime.
    pub(crate) fn ask(
        &mut self,
        provider: ProviderId,
        device: IfIndex,
        token: ProbeToken,
        question: Question,
        timeout: Duration,
    ) -> Result<(), Refusal> {
        let [.., high, low] = token.cookie.to_be_bytes();
        let talk = self.begin(provider, device, u16::from_be_bytes([high, low]), question)?;
        self.wait(provider, timeout, Purpose::Probe(token), talk);
        Ok(())
    }

    /// Asks the servers for the addresses of `name`, one after the other. Inside the runtime.
    pub(crate) fn resolve(
        &mut self,
        provider: ProviderId,
        device: IfIndex,
        name: String,
        servers: Vec<IpAddr>,
        timeout: Duration,
    ) {
        self.look_up(provider, Lookup::new(device, name, servers, timeout));
    }

    /// Forgets all that is on its way for a provider; its scripts are ended.
    pub(crate) fn close(&mut self, provider: ProviderId) {
        self.asked.retain(|asked| asked.provider != provider);
        self.done.retain(|(of, _)| *of != provider);
    }

    /// When something on its way has had its time: [`Self::next`] must be called again then.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.asked.iter().map(|asked| asked.until).min()
    }

    /// Waits for the next answer, refusal or address. Cancel safe.
    pub(crate) async fn next(&mut self) -> Event {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if self.done.is_empty() {
            self.expire(clock::now());
        }
        if let Some((_, event)) = self.done.pop_front() {
            return Poll::Ready(event);
        }
        // A second look mostly finds nothing, which is cheaper than to be woken for it.
        for _ in 0..2 {
            let Some(Poll::Ready(keys)) = self.ready.as_ref().map(|ready| ready.poll(context)) else {
                return Poll::Pending;
            };
            for key in keys {
                self.go_on(key);
            }
            if let Some((_, event)) = self.done.pop_front() {
                return Poll::Ready(event);
            }
        }
        // Somebody may be flooding us: the others get their turn before we look again.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn begin(&mut self, provider: ProviderId, device: IfIndex, id: u16, question: Question) -> Result<Talk, Refusal> {
        self.make_room(provider);
        self.last_key += 1;
        let key = self.last_key;
        let ready = self.ready().map_err(|error| Refusal::NotSent(error.to_string()))?;
        Talk::begin(device, id, question, ready, key)
    }

    fn wait(&mut self, provider: ProviderId, timeout: Duration, purpose: Purpose, talk: Talk) {
        self.asked.push(Asked { provider, until: clock::now() + timeout, purpose, talk });
    }

    fn ready(&mut self) -> io::Result<&Ready> {
        let ready = match self.ready.take() {
            Some(ready) => ready,
            None => Ready::new()?,
        };
        Ok(self.ready.insert(ready))
    }

    /// The probe that has waited longest gives way where there are too many.
    fn make_room(&mut self, provider: ProviderId) {
        let of_one = self.asked.iter().filter(|asked| asked.provider == provider).count() >= OF_ONE;
        if of_one || self.asked.len() >= IN_ALL {
            let oldest = self.asked.iter().position(|asked| {
                matches!(asked.purpose, Purpose::Probe(_)) && (!of_one || asked.provider == provider)
            });
            if let Some(oldest) = oldest {
                self.asked.remove(oldest);
            }
        }
    }

    /// Ends what has had its time. A probe that was not answered is never told.
    fn expire(&mut self, now: Moment) {
        while let Some(over) = self.asked.iter().position(|asked| asked.until <= now) {
            let Asked { provider, purpose, talk, .. } = self.asked.remove(over);
            if let Purpose::Lookup(mut lookup) = purpose {
                lookup.silent(talk.server.ip());
                self.look_up(provider, lookup);
            }
        }
    }

    fn go_on(&mut self, key: u64) {
        let (Some(at), Some(ready)) = (self.asked.iter().position(|asked| asked.talk.key == key), &self.ready) else {
            return;
        };
        let fate = self.asked.get_mut(at).map_or(Fate::Open, |asked| asked.talk.go_on(ready));
        if let Fate::Open = fate {
            return;
        }
        let Asked { provider, purpose, talk, .. } = self.asked.remove(at);
        match (purpose, fate) {
            (Purpose::Probe(token), Fate::Answered(at, _)) => {
                self.done.push_back((provider, Event::Answered { provider, token, at }));
            }
            (Purpose::Probe(token), Fate::Refused(cause)) => {
                self.done.push_back((provider, Event::ProbeRefused { provider, token, cause }));
            }
            (Purpose::Lookup(mut lookup), Fate::Answered(_, Some(answer))) => {
                lookup.answered(talk.server.ip(), answer);
                self.look_up(provider, lookup);
            }
            (Purpose::Lookup(mut lookup), Fate::Refused(cause)) => {
                lookup.refused(talk.server.ip(), &cause);
                self.look_up(provider, lookup);
            }
            _ => {}
        }
    }

    /// Asks the next server that can be asked; when there is an answer, or none left to be asked, that was it.
    fn look_up(&mut self, provider: ProviderId, mut lookup: Lookup) {
        while let Some((server, question)) = lookup.next_question() {
            match self.begin(provider, lookup.device, lookup::id(), question) {
                Ok(talk) => return self.wait(provider, lookup.timeout, Purpose::Lookup(lookup), talk),
                Err(cause) => lookup.refused(server, &cause),
            }
        }
        let Lookup { name, outcome, .. } = lookup;
        self.done.push_back((provider, Event::Resolved { provider, name, outcome }));
    }
}
