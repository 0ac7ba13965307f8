//! Every question but ping: connections, DNS queries and scripts, each on its own, none in another's way.
//!
//! The event loop hands `Action::Probe` and `Action::Resolve` to [`Askers`] and waits in [`Askers::next`] for what comes of them.

use std::net::IpAddr;
use std::time::Duration;

use failoverd::event::{Event, ProbeToken, ProviderId};
use failoverd::kernel::IfIndex;
use failoverd::question::Question;
use failoverd::reason::Refusal;

/// What is on its way.
#[derive(Debug, Default)]
pub(crate) struct Askers {}

impl Askers {
    /// Asks `question` through `device`; after `timeout` nobody waits for an answer any more.
    pub(crate) fn ask(
        &mut self,
        _provider: ProviderId,
        _device: IfIndex,
        _token: ProbeToken,
        _question: Question,
        _timeout: Duration,
    ) -> Result<(), Refusal> {
        Err(Refusal::NotSent("not built yet".to_owned()))
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
    pub(crate) fn close(&mut self, _provider: ProviderId) {}

    /// Waits for the next answer, refusal or address. Cancel safe.
    pub(crate) async fn next(&mut self) -> Event {
        std::future::pending().await
    }
}
