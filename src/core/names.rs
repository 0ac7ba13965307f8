//! The names among the targets: when they are asked for, through the provider itself, and what becomes of the answers.
//!
//! Called when a check is about to begin; the shell asks the servers. The addresses go to the provider's prober, and with the next plan
//! into the questions to the kernel's routes.

use std::net::IpAddr;
use std::time::Duration;

use super::Core;
use crate::event::{Action, ProviderId, Resolved};
use crate::moment::Moment;
use crate::provider::{Path, Provider};
use crate::settings::TestSettings;

/// However long the servers say it may be kept, an answer is believed at least and at most this long.
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(3600);
/// Names of a provider that are asked for at once: each takes a socket. The others wait for the next check.
const MAX_ASKED: usize = 8;
/// Addresses kept of a name.
const MAX_ADDRESSES: usize = 4;

/// A name that a provider's targets have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    name: String,
    /// The servers are being asked.
    asked: bool,
    /// They have been asked, with whatever outcome.
    known: bool,
    /// Until when the addresses need no asking again.
    fresh_until: Moment,
}

impl Name {
    /// The names of these targets, each once.
    pub fn all<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Self> {
        let mut all: Vec<Self> = vec![];
        for name in names {
            if !all.iter().any(|it| it.name == name) {
                let name = name.to_owned();
                all.push(Self { name, asked: false, known: false, fresh_until: Moment::default() });
            }
        }
        all
    }
}

impl Provider {
    /// The DNS servers that its names are asked of; none where it has no names. netifd also reports those that cannot be asked yet, or
    /// that are the router itself.
    pub fn name_servers(&self) -> impl Iterator<Item = IpAddr> {
        let servers = match self.settings.check.resolvers.as_slice() {
            _ if self.names.is_empty() => &[],
            [] => self.dns_servers.as_slice(),
            configured => configured,
        };
        servers.iter().copied().filter(|it| is_host(*it))
    }

    /// Whether a test cannot be asked anything before its names have been asked for the first time.
    pub fn awaits_names(&self) -> bool {
        // Most providers have no names at all, and this is asked at every turn.
        if self.names.iter().all(|it| !it.asked || it.known) {
            return false;
        }
        let unknown = |name: &str| self.names.iter().any(|it| it.name == name && it.asked && !it.known);
        self.tests.iter().enumerate().any(|(number, test)| {
            !self.prober.can_ask(number) && test.targets.iter().filter_map(|target| target.name()).any(unknown)
        })
    }

    /// Nobody is asking for its names any more.
    pub fn forget_asked(&mut self) {
        self.names.iter_mut().for_each(|it| it.asked = false);
    }
}

impl Core {
    /// A check is about to begin: asks for the names that are not known, or not known any more.
    pub(super) fn ask_names(provider: &mut Provider, now: Moment, out: &mut Vec<Action>) {
        if provider.names.is_empty() || provider.path != Path::Clear {
            return;
        }
        let Some(device) = provider.usable().map(|uplink| uplink.device) else { return };
        let servers: Vec<IpAddr> = provider.name_servers().collect();
        let timeout = provider.settings.check.timeout;
        let room = MAX_ASKED.saturating_sub(provider.names.iter().filter(|it| it.asked).count());
        for it in provider.names.iter_mut().filter(|it| !it.asked && it.fresh_until <= now).take(room) {
            if servers.is_empty() {
                it.known = true;
                // What was known goes on being asked.
                if provider.prober.addresses_of(&it.name).is_some_and(|had| !had.is_empty()) {
                    continue;
                }
                let cause = "no DNS server is known for this provider: set option resolver".to_owned();
                provider.prober.resolved(&it.name, Err(cause));
                continue;
            }
            it.asked = true;
            let (name, servers) = (it.name.clone(), servers.clone());
            out.push(Action::Resolve { provider: provider.id, device, name, servers, timeout });
        }
    }

    /// The servers have been asked.
    pub(super) fn resolved(&mut self, now: Moment, id: ProviderId, name: &str, outcome: Result<Resolved, String>) {
        let Some(provider) = self.providers.iter_mut().find(|it| it.id == id) else { return };
        let Some(it) = provider.names.iter_mut().find(|it| it.name == name && it.asked) else { return };
        (it.asked, it.known) = (false, true);
        let usable = outcome.and_then(|resolved| {
            let told: Vec<IpAddr> = resolved.addresses.into_iter().filter(|it| is_host(*it)).collect();
            if told.is_empty() { Err("it leads to no address of a host".to_owned()) } else { Ok((told, resolved.ttl)) }
        });
        match usable {
            Ok((told, ttl)) => {
                it.fresh_until = now + ttl.max(SHORTEST).min(LONGEST);
                // What is still told stays alone: each new address is a question to the kernel first, and probes wait for its answer.
                let had = provider.prober.addresses_of(name).unwrap_or_default();
                let (kept, new): (Vec<IpAddr>, Vec<IpAddr>) = told.into_iter().partition(|it| had.contains(it));
                if had.is_empty() {
                    provider.check_now = true;
                }
                let mut addresses = if kept.is_empty() { new } else { kept };
                addresses.truncate(MAX_ADDRESSES);
                if addresses != had {
                    self.dirty = true;
                    provider.prober.resolved(name, Ok(addresses));
                }
            }
            // What was known goes on being asked.
            Err(_) if provider.prober.addresses_of(name).is_some_and(|had| !had.is_empty()) => {
                it.fresh_until = now + SHORTEST;
            }
            Err(cause) => {
                let of_name = |test: &TestSettings| test.targets.iter().any(|target| target.name() == Some(name));
                let mut tests = (0..).zip(&provider.tests).filter(|(_, test)| of_name(test));
                // Where other targets can be asked meanwhile there is no hurry; otherwise each check asks again.
                if tests.all(|(number, _)| provider.prober.can_ask(number)) {
                    it.fresh_until = now + SHORTEST;
                }
                provider.prober.resolved(name, Err(cause));
            }
        }
    }
}

/// An IPv4 address that a single other machine can have.
fn is_host(address: IpAddr) -> bool {
    let IpAddr::V4(address) = address else { return false };
    let [first, ..] = address.octets();
    (1..224).contains(&first) && first != 127
}
