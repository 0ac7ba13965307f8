//! The look-up of a name through a provider: one server after the other, and what came of it.
//!
//! Kept by `asker` beside the query that is on its way.

use std::hash::{BuildHasher as _, Hasher as _};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use failoverd::dns::Answer;
use failoverd::event::Resolved;
use failoverd::kernel::IfIndex;
use failoverd::question::Question;
use failoverd::reason::Refusal;
use failoverd::settings::Record;

/// A name with more addresses than this keeps the first ones.
const ADDRESSES: usize = 16;

/// A look-up on its way.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) device: IfIndex,
    pub(super) name: String,
    /// For each server.
    pub(super) timeout: Duration,
    /// What has come of it so far.
    pub(super) outcome: Result<Resolved, String>,
    /// Those that may still be asked.
    servers: std::vec::IntoIter<IpAddr>,
}

impl Lookup {
    pub(super) fn new(device: IfIndex, name: String, servers: Vec<IpAddr>, timeout: Duration) -> Self {
        let outcome = Err("there is no DNS server to ask".to_owned());
        Self { device, name, timeout, outcome, servers: servers.into_iter() }
    }

    /// Whom to ask now, and what.
    pub(super) fn next_question(&mut self) -> Option<(IpAddr, Question)> {
        let server = self.servers.next()?;
        let (name, record) = (self.name.clone(), Record::A);
        Some((server, Question::Dns { server: SocketAddr::new(server, 53), name, record, expect: None }))
    }

    /// This server has said nothing in time.
    pub(super) fn silent(&mut self, server: IpAddr) {
        self.outcome = Err(format!("no answer from {server}"));
    }

    /// This server could not be asked, or its answer was no good.
    pub(super) fn refused(&mut self, server: IpAddr, cause: &Refusal) {
        self.outcome = Err(format!("{server}: {}", cause.sentence()));
    }

    /// This server has answered. Unless it is in trouble itself, no other need be asked.
    pub(super) fn answered(&mut self, server: IpAddr, answer: Answer) {
        let Answer { code, truncated, mut addresses, ttl } = answer;
        let any = !addresses.is_empty();
        addresses.retain(|address| is_machine(*address));
        addresses.truncate(ADDRESSES);
        let trouble = truncated && addresses.is_empty() || !matches!(code, 0 | 3);
        self.outcome = match code {
            0 if trouble => Err(format!("the answer of {server} is too long")),
            _ if trouble => Err(format!("{server} answers with error {code}")),
            0 if !addresses.is_empty() => Ok(Resolved { addresses, ttl }),
            0 if any => Err(format!("{server} knows no address of another machine")),
            0 => Err("it has no IPv4 address".to_owned()),
            _ => Err("there is no such name".to_owned()),
        };
        if !trouble {
            self.servers = vec![].into_iter();
        }
    }
}

/// Whether another machine can have it. What filters names likes to answer with an address that leads nowhere, or back to us.
fn is_machine(address: IpAddr) -> bool {
    let IpAddr::V4(address) = address else { return false };
    let first = address.octets().first().copied().unwrap_or_default();
    !matches!(first, 0 | 127 | 224..)
}

/// An identification that cannot be guessed: the hasher's keys are the operating system's random numbers.
pub(super) fn id() -> u16 {
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    let [.., high, low] = random.to_be_bytes();
    u16::from_be_bytes([high, low])
}
