//! The kernel's neighbour table: how it stands with a gateway, and tests of type arp, for which it solicits the gateway.
//!
//! The event loop hands over what is asked and waits in [`Neighbours::next`]. The kernel's notices of its neighbours are heard only while a
//! question is open: a busy LAN has many.

#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use failoverd::event::{Event, Neighbour, ProbeToken, ProviderId};
use failoverd::kernel::IfIndex;
use failoverd::moment::Moment;
use failoverd::reason::Refusal;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use tokio::io::unix::AsyncFd;

use super::super::clock;
use super::super::exec::outcome;
use super::ENOENT;
use super::message::{CREATE, Message, messages};
use super::transport::{Error, Transport, decode};
use super::wire::{Body, INET, Malformed, split};

/// `RTM_NEWNEIGH`.
const NEW: u16 = 28;
/// `RTM_GETNEIGH`, of a single entry since Linux 5.0.
const GET: u16 = 30;

// Attributes (`NDA_*` of linux/neighbour.h).
const DESTINATION: u16 = 1;
const CACHE_INFO: u16 = 3;

// `NUD_*` of linux/neighbour.h.
const INCOMPLETE: u16 = 0x01;
const REACHABLE: u16 = 0x02;
const STALE: u16 = 0x04;
const DELAY: u16 = 0x08;
const PROBE: u16 = 0x10;
const FAILED: u16 = 0x20;
/// `NTF_USE`: as if there were a packet for it. It also takes the permanence from an entry that somebody has set by hand.
const USE: u8 = 0x01;

/// Hundredths of a second, in which the kernel tells ages (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// So long after the first one is the kernel made to solicit once more with each question. Then it is left alone: it asks the address
/// known so far for two seconds more, gives that up, and asks everybody. A modem that was exchanged is not found otherwise.
const INSISTENCE: Duration = Duration::from_secs(1);

/// Room for a notice with all its attributes.
const MESSAGE: usize = 512;

/// Questions to the table, and those to gateways that are open.
#[derive(Default)]
pub(crate) struct Neighbours {
    requests: Option<Transport>,
    notices: Option<AsyncFd<Socket>>,
    gateways: Vec<Gateway>,
    /// What the core has yet to be told.
    events: VecDeque<Event>,
}

/// A gateway that was asked and has not answered.
struct Gateway {
    provider: ProviderId,
    device: IfIndex,
    address: IpAddr,
    since: Moment,
    /// Who wants to know, and until when.
    open: Vec<(ProbeToken, Moment)>,
}

/// An entry of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    state: u16,
    /// How long it has been in it.
    age: Duration,
}

impl Neighbours {
    /// Has the kernel solicit the gateway. The answer comes by [`Self::next`].
    pub(crate) fn ask(
        &mut self,
        provider: ProviderId,
        device: IfIndex,
        token: ProbeToken,
        address: IpAddr,
        timeout: Duration,
    ) -> Result<(), Refusal> {
        let now = clock::now();
        let is_it = |it: &Gateway| (it.provider, it.device, it.address) == (provider, device, address);
        self.gateways.retain(|it| it.provider != provider || is_it(it));
        let since = self.gateways.iter().find(|it| is_it(it)).map(|it| it.since);
        match &self.notices {
            None => self.notices = Some(listen().map_err(|error| Refusal::NotSent(error.to_string()))?),
            // What was said before is no answer to this.
            Some(_) => {
                while self.notices.as_ref().map(|notices| receive(notices.get_ref())).is_some_and(|it| self.hear(it)) {}
            }
        }
        let fresh = self.solicit(device, address, since.is_some_and(|since| now.since(since) > INSISTENCE));
        let fresh = fresh.map_err(Refusal::NotSent)?;
        let open = (token, now + timeout);
        match self.gateways.iter_mut().find(|it| is_it(it)) {
            Some(gateway) => {
                gateway.since = if fresh { now } else { gateway.since };
                gateway.open.push(open);
            }
            None => self.gateways.push(Gateway { provider, device, address, since: now, open: vec![open] }),
        }
        Ok(())
    }

    /// How it stands with a gateway, by the table.
    pub(crate) fn state(&mut self, device: IfIndex, address: IpAddr) -> Neighbour {
        let Ok(Some(entry)) = self.entry(device, address) else { return Neighbour::Unknown };
        match entry.state {
            FAILED => Neighbour::Failed,
            REACHABLE => Neighbour::Reachable,
            INCOMPLETE | PROBE => {
                // Soliciting anew makes the entry's own age begin anew.
                let asked = self.gateways.iter().find(|it| (it.device, it.address) == (device, address));
                Neighbour::Asked(asked.map_or(entry.age, |it| entry.age.max(clock::now().since(it.since))))
            }
            _ => Neighbour::Unknown,
        }
    }

    /// Forgets what a provider's gateway was asked.
    pub(crate) fn close(&mut self, provider: ProviderId) {
        self.gateways.retain(|gateway| gateway.provider != provider);
    }

    /// Waits for an answer. Cancel safe: what was read before a cancellation is told by the next call.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let now = clock::now();
            self.gateways.iter_mut().for_each(|gateway| gateway.open.retain(|(_, until)| *until > now));
            let deadline = self.gateways.iter().flat_map(|gateway| &gateway.open).map(|(_, until)| *until).min();
            let (Some(deadline), Some(notices)) = (deadline, &self.notices) else {
                self.notices = None;
                return std::future::pending().await;
            };
            tokio::select! {
                guard = notices.readable() => {
                    let heard = receive(notices.get_ref());
                    if let (Err(error), Ok(mut guard)) = (&heard, guard)
                        && error.kind() == io::ErrorKind::WouldBlock
                    {
                        guard.clear_ready();
                    }
                    self.hear(heard);
                }
                () = tokio::time::sleep_until(clock::instant(now, deadline)) => {}
            }
        }
    }

    /// A notice, or that there is none or that some were lost. Whether there may be more.
    fn hear(&mut self, heard: io::Result<Message>) -> bool {
        match heard.as_ref().map(|message| (message.kind, parse(&message.body))) {
            Ok((NEW, Ok((device, address, entry)))) => self.heard(device, address, entry.state),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(_) => self.look(),
        }
        true
    }

    /// An entry has changed.
    fn heard(&mut self, device: IfIndex, address: IpAddr, state: u16) {
        let cause = match state {
            REACHABLE => None,
            FAILED => Some(Refusal::NoNeighbour(address)),
            _ => return,
        };
        for gateway in self.gateways.iter_mut().filter(|it| (it.device, it.address) == (device, address)) {
            for (token, _) in std::mem::take(&mut gateway.open) {
                self.events.push_back(outcome(gateway.provider, token, cause.as_ref()));
            }
        }
        if cause.is_none() {
            self.gateways.retain(|it| (it.device, it.address) != (device, address));
        }
    }

    /// Notices were lost: what they said is in the table.
    fn look(&mut self) {
        let gateways: Vec<_> = self.gateways.iter().map(|gateway| (gateway.device, gateway.address)).collect();
        for (device, address) in gateways {
            if let Ok(Some(entry)) = self.entry(device, address) {
                self.heard(device, address, entry.state);
            }
        }
    }

    /// Makes the kernel ask now. Whether it had an answer to its last question; `long`: it has been made to ask for long enough.
    fn solicit(&mut self, device: IfIndex, address: IpAddr, long: bool) -> Result<bool, String> {
        let mut state = self.state_of(device, address)?;
        if [0, FAILED].contains(&state) {
            self.change(CREATE, request(device, address, 0, USE))?;
            state = self.state_of(device, address)?;
            if state == REACHABLE {
                return Ok(false);
            }
        }
        match state {
            REACHABLE | STALE | DELAY => {}
            INCOMPLETE => return Ok(false),
            PROBE if long => return Ok(false),
            // Only a change of state makes it begin anew.
            PROBE => self.change(0, request(device, address, STALE, 0))?,
            _ => return Err("the kernel asks no neighbour there: its address is fixed, or there is none".to_owned()),
        }
        self.change(0, request(device, address, PROBE, 0))?;
        Ok(state != PROBE)
    }

    fn state_of(&mut self, device: IfIndex, address: IpAddr) -> Result<u16, String> {
        let entry = self.entry(device, address).map_err(|error| error.cause())?;
        Ok(entry.map_or(0, |entry| entry.state))
    }

    /// What the table has of it.
    fn entry(&mut self, device: IfIndex, address: IpAddr) -> Result<Option<Entry>, Error> {
        const READ: &str = "read a neighbour";
        let told = match self.requests()?.get(READ, GET, request(device, address, 0, 0)) {
            Err(error) if error.code() == Some(ENOENT) => return Ok(None),
            other => other?,
        };
        let found = told.iter().find(|message| message.kind == NEW).ok_or(Malformed);
        decode(READ, found.and_then(|message| parse(&message.body))).map(|(_, _, entry)| Some(entry))
    }

    fn change(&mut self, flags: u16, body: Vec<u8>) -> Result<(), String> {
        let told = self.requests().and_then(|requests| requests.change("ask a neighbour", NEW, flags, body));
        told.map(drop).map_err(|error| error.cause())
    }

    fn requests(&mut self) -> Result<&mut Transport, Error> {
        Ok(match &mut self.requests {
            Some(open) => open,
            none => none.insert(Transport::open()?),
        })
    }
}

fn listen() -> io::Result<AsyncFd<Socket>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.set_non_blocking(true)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    socket.add_membership(libc::RTNLGRP_NEIGH)?;
    // SAFETY: the socket owns its descriptor and lives exactly as long as the AsyncFd that it is moved into.
    Ok(unsafe { AsyncFd::register(socket) }?)
}

/// The next notice.
fn receive(socket: &Socket) -> io::Result<Message> {
    let mut datagram = [0; MESSAGE];
    let length = socket.recv(&mut datagram.as_mut_slice(), 0)?;
    let found = messages(datagram.get(..length).unwrap_or_default()).unwrap_or_default();
    found.first().map(|message| message.to_message()).ok_or(io::ErrorKind::InvalidData.into())
}

fn request(device: IfIndex, address: IpAddr, state: u16, flags: u8) -> Vec<u8> {
    let ([i0, i1, i2, i3], [s0, s1]) = (device.0.to_ne_bytes(), state.to_ne_bytes());
    let mut body = Body::new(&[INET, 0, 0, 0, i0, i1, i2, i3, s0, s1, flags, 0]);
    body.put_address(DESTINATION, address);
    body.into_bytes()
}

/// Reads an RTM_NEWNEIGH (`struct ndmsg`: family, padding, index, state, flags, type).
fn parse(body: &[u8]) -> Result<(IfIndex, IpAddr, Entry), Malformed> {
    let ([_, _, _, _, i0, i1, i2, i3, s0, s1, _, _], attributes) = split(body)?;
    let find = |kind| attributes.iter().find(|attribute| attribute.id() == kind).ok_or(Malformed);
    // `struct nda_cacheinfo`: the ages of confirmation, use and update, and a counter.
    let age = find(CACHE_INFO)?.value.get(8..12).and_then(|age| age.try_into().ok()).ok_or(Malformed)?;
    let entry = Entry { state: u16::from_ne_bytes([s0, s1]), age: TICK.saturating_mul(u32::from_ne_bytes(age)) };
    Ok((IfIndex(u32::from_ne_bytes([i0, i1, i2, i3])), find(DESTINATION)?.address()?, entry))
}

#[cfg(test)]
mod tests;
