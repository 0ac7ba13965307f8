//! Every question but ping: connections, DNS queries and scripts, each on its own, none in another's way.
//!
//! The event loop hands `Action::Probe` and `Action::Resolve` to [`Askers`] and waits in [`Askers::next`] for what comes of them.

use std::net::IpAddr;
use std::time::Duration;

use failoverd::event::{Event, Neighbour, ProbeToken, ProviderId};
use failoverd::kernel::IfIndex;
use failoverd::question::Question;
use failoverd::reason::Refusal;

use super::exec::Scripts;
use super::netlink::Neighbours;

/// What is on its way.
#[derive(Default)]
pub(crate) struct Askers {
    scripts: Scripts,
    neighbours: Neighbours,
}

impl Askers {
    /// Asks `question` through `device`; after `timeout` nobody waits for an answer any more.
    pub(crate) fn ask(
        &mut self,
        provider: ProviderId,
        device: IfIndex,
        token: ProbeToken,
        question: Question,
        timeout: Duration,
    ) -> Result<(), Refusal> {
        match question {
            Question::Exec { script, environment } => self.scripts.ask(provider, token, script, environment, timeout),
            Question::Arp { gateway } => self.neighbours.ask(provider, device, token, gateway, timeout),
            _ => Err(Refusal::NotSent("not built yet".to_owned())),
        }
    }

    /// How it stands with a gateway.
    pub(crate) fn neighbour(&mut self, device: IfIndex, gateway: IpAddr) -> Neighbour {
        self.neighbours.state(device, gateway)
    }

    /// Asks the servers for the addresses of `name`, one after the other.
    pub(crate) fn resolve(
        &mut self,
        _provider: ProviderId,
        _device: IfIndex,
        _name: String,
        _servers: Vec<IpAddr>,
        _timeout: Duration,
    ) {
    }

    /// Forgets all that is on its way for a provider; its scripts are ended.
    pub(crate) fn close(&mut self, provider: ProviderId) {
        self.scripts.close(provider);
        self.neighbours.close(provider);
    }

    /// Waits for the next answer, refusal or address. Cancel safe.
    pub(crate) async fn next(&mut self) -> Event {
        tokio::select! {
            event = self.scripts.next() => event,
            event = self.neighbours.next() => event,
        }
    }
}
