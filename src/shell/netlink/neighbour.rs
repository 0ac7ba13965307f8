//! The kernel's neighbour table: how it stands with a gateway, and tests of type arp, for which it solicits the gateway.
//!
//! The event loop hands over what is asked and waits in [`Neighbours::next`]. The kernel's notices of its neighbours are heard only while a
//! question is open: a busy LAN has many. Requests are answered before `send` returns, so they need no waiting.

#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use failoverd::event::{Event, Neighbour, ProbeToken, ProviderId};
use failoverd::kernel::IfIndex;
use failoverd::moment::Moment;
use failoverd::reason::Refusal;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use tokio::io::unix::AsyncFd;

use super::super::clock;
use super::super::exec::outcome;
use super::ENOENT;
use super::wire::{Body, INET, Malformed, split};

/// `RTM_NEWNEIGH`.
const NEW: u16 = 28;
/// `RTM_GETNEIGH`, of a single entry since Linux 5.0.
const GET: u16 = 30;
/// `NLMSG_ERROR`: an acknowledgement, too.
const ERROR: u16 = 2;

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
    requests: Option<Socket>,
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
            None => self.notices = Some(listen().map_err(not_sent)?),
            // What was said before is no answer to this.
            Some(_) => {
                while self.notices.as_ref().map(|notices| receive(notices.get_ref())).is_some_and(|it| self.hear(it)) {}
            }
        }
        let fresh = self.solicit(device, address, since.is_some_and(|since| now.since(since) > INSISTENCE));
        let fresh = fresh.map_err(not_sent)?;
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
    fn hear(&mut self, heard: io::Result<(u16, Vec<u8>)>) -> bool {
        match heard.as_ref().map(|(kind, body)| (*kind, parse(body))) {
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
    fn solicit(&mut self, device: IfIndex, address: IpAddr, long: bool) -> io::Result<bool> {
        let mut state = self.entry(device, address)?.map_or(0, |entry| entry.state);
        if [0, FAILED].contains(&state) {
            self.exchange(NEW, NLM_F_ACK | NLM_F_CREATE, request(device, address, 0, USE))?;
            state = self.entry(device, address)?.map_or(0, |entry| entry.state);
            if state == REACHABLE {
                return Ok(false);
            }
        }
        match state {
            REACHABLE | STALE | DELAY => {}
            INCOMPLETE => return Ok(false),
            PROBE if long => return Ok(false),
            // Only a change of state makes it begin anew.
            PROBE => drop(self.exchange(NEW, NLM_F_ACK, request(device, address, STALE, 0))?),
            _ => {
                return Err(io::Error::other(
                    "the kernel asks no neighbour there: its address is fixed, or there is none",
                ));
            }
        }
        self.exchange(NEW, NLM_F_ACK, request(device, address, PROBE, 0))?;
        Ok(state != PROBE)
    }

    /// What the table has of it.
    fn entry(&mut self, device: IfIndex, address: IpAddr) -> io::Result<Option<Entry>> {
        match self.exchange(GET, 0, request(device, address, 0, 0)) {
            Ok(answer) => parse(&answer).map(|(_, _, entry)| Some(entry)).map_err(|Malformed| malformed()),
            Err(error) if error.raw_os_error() == Some(ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a request and reads its answer; an acknowledgement has none.
    fn exchange(&mut self, kind: u16, flags: u16, body: Vec<u8>) -> io::Result<Vec<u8>> {
        if self.requests.is_none() {
            self.requests = Some(open(None)?);
        }
        let Some(socket) = &self.requests else { return Ok(vec![]) };
        let mut message = u32::try_from(16 + body.len()).unwrap_or(0).to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend((NLM_F_REQUEST | flags).to_ne_bytes());
        message.extend([0; 8]);
        message.extend(body);
        let answer = socket.send(&message, 0).and_then(|_| receive(socket));
        if answer.is_err() {
            // An answer that comes after all would be taken for the next one's.
            self.requests = None;
        }
        let (kind, answer) = answer?;
        match (kind, answer.first_chunk()) {
            (NEW, _) => Ok(answer),
            (ERROR, Some(code)) => match i32::from_ne_bytes(*code) {
                0 => Ok(vec![]),
                code => Err(io::Error::from_raw_os_error(code.saturating_abs())),
            },
            _ => Err(malformed()),
        }
    }
}

fn open(group: Option<MulticastGroup>) -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.set_non_blocking(true)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    if let Some(group) = group {
        socket.add_membership(group as u32)?;
    }
    Ok(socket)
}

fn listen() -> io::Result<AsyncFd<Socket>> {
    let socket = open(Some(MulticastGroup::Neigh))?;
    // SAFETY: the socket owns its descriptor and lives exactly as long as the AsyncFd that it is moved into.
    Ok(unsafe { AsyncFd::register(socket) }?)
}

/// The next message's type and body.
fn receive(socket: &Socket) -> io::Result<(u16, Vec<u8>)> {
    let mut message = vec![0; MESSAGE];
    let mut free = message.as_mut_slice();
    let length = socket.recv(&mut free, 0)?;
    message.truncate(length);
    match message.get(4..6).and_then(|kind| kind.try_into().ok()) {
        Some(kind) => Ok((u16::from_ne_bytes(kind), message.split_off(message.len().min(16)))),
        None => Err(malformed()),
    }
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

fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

fn not_sent(error: io::Error) -> Refusal {
    Refusal::NotSent(error.to_string())
}

#[cfg(test)]
mod tests;
