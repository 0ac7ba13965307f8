//! The line of one simulated provider: how bad it is (`Conditions`, set by tests at run time) and what was seen on it
//! (`Seen`, read by tests). Shared between `provider.rs`, the handle, and `responder.rs`, the thread.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::fault::{Faults, Kind};

/// What the provider does to packets. The default is a good line without delay.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions {
    /// Added to every answer.
    pub delay: Duration,
    /// Up to this much more, evenly spread; answers may overtake one another.
    pub jitter: Duration,
    /// Share of requests lost on their way up, 0.0 to 1.0.
    pub upstream_loss: f64,
    /// Share of answers lost on their way down.
    pub downstream_loss: f64,
    /// What is cut without a sign of it at the carrier.
    pub cut: Cut,
    /// How echo requests are answered.
    pub answers: Answers,
    /// How everything else is answered.
    pub faults: Faults,
    /// What DNS says about names: their addresses, or none for a name that does not exist. All other names lead to
    /// [`crate::ANY_HOST`].
    pub names: BTreeMap<String, Vec<Ipv4Addr>>,
    /// Targets that answer nothing of any kind, the stream server's address included.
    pub dead_targets: BTreeSet<Ipv4Addr>,
    /// A modem whose upstream queue is full.
    pub full_queue: Option<FullQueue>,
    /// The provider answers ARP for every address and echo requests to all of them: a modem that hides a missing route.
    pub answers_for_everybody: bool,
    /// The gateway's address, where it is no longer the one it was built with.
    pub gateway: Option<Ipv4Addr>,
}

impl Default for Conditions {
    fn default() -> Conditions {
        Conditions {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            upstream_loss: 0.0,
            downstream_loss: 0.0,
            cut: Cut::None,
            answers: Answers::Right,
            faults: Faults::default(),
            names: BTreeMap::new(),
            dead_targets: BTreeSet::new(),
            full_queue: None,
            answers_for_everybody: false,
            gateway: None,
        }
    }
}

/// A silent cut: the carrier stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// None.
    None,
    /// Behind the modem: the gateway still answers ARP and echo requests to itself.
    BehindGateway,
    /// Everything, ARP too.
    Everything,
}

/// How echo requests to targets are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// As they should be.
    Right,
    /// Not at all.
    Never,
    /// That much later.
    Late(Duration),
    /// With another identifier.
    WrongId,
    /// With another sequence number.
    WrongSequence,
    /// With other data.
    WrongPayload,
    /// From an address that was not asked.
    WrongSource,
    /// By the gateway: host unreachable. Datagrams to the stream server too.
    Unreachable,
}

/// A queue that delays every answer while other traffic keeps coming in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FullQueue {
    /// Added to every answer.
    pub delay: Duration,
    /// Datagrams per second from 203.0.113.99 to the router's own address.
    pub other_packets_per_second: u32,
}

impl Default for FullQueue {
    fn default() -> FullQueue {
        FullQueue { delay: Duration::from_millis(1500), other_packets_per_second: 50 }
    }
}

/// How often something came in, and when last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// How often.
    pub total: u64,
    /// When last.
    pub last: Option<Instant>,
}

impl Count {
    fn add(&mut self, now: Instant) {
        self.total += 1;
        self.last = Some(now);
    }
}

/// One echo request as it came in, before loss and cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EchoRequest {
    /// When.
    pub at: Instant,
    /// From which address.
    pub source: Ipv4Addr,
    /// To which.
    pub target: Ipv4Addr,
    /// ICMP identifier.
    pub id: u16,
    /// ICMP sequence number.
    pub sequence: u16,
}

/// One question of any kind as it came in, before loss and cuts: an echo request, the SYN of a connection, a DNS query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When, by the kernel's stamp: however busy the machine is.
    pub at: Instant,
    /// Which.
    pub kind: Kind,
    /// From which address and port; for pings the identifier.
    pub source: (Ipv4Addr, u16),
    /// To which.
    pub target: Ipv4Addr,
    /// What tells it from the next one of that source: the sequence number, or the DNS id.
    pub token: u32,
}

/// What the provider received from the router, lost or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Echo requests by target.
    pub echo: BTreeMap<Ipv4Addr, Count>,
    /// The last 4096 echo requests, oldest first.
    pub echo_log: VecDeque<EchoRequest>,
    /// The last 8192 questions of all kinds, oldest first. A SYN that the kernel sends again is there once.
    pub arrivals: VecDeque<Arrival>,
    /// Datagrams to stream servers.
    pub stream: Count,
    /// ARP requests by the address asked for. Anything but the gateway means a missing route.
    pub arp: BTreeMap<Ipv4Addr, Count>,
    /// IPv4 packets of other kinds.
    pub other: u64,
    /// Frames with wrong lengths or checksums.
    pub malformed: u64,
    /// Answers sent.
    pub answered: u64,
}

impl Seen {
    /// Echo requests to all targets.
    #[must_use]
    pub fn echo_total(&self) -> u64 {
        self.echo.values().map(|count| count.total).sum()
    }

    /// When questions of a kind came in, oldest first.
    #[must_use]
    pub fn arrivals_of(&self, kind: Kind) -> Vec<Instant> {
        self.arrivals.iter().filter(|arrival| arrival.kind == kind).map(|arrival| arrival.at).collect()
    }

    pub(crate) fn note_arrival(&mut self, arrival: Arrival) {
        let connects = matches!(arrival.kind, Kind::Tcp | Kind::Http);
        if connects && self.arrivals.iter().rev().take(512).any(|known| Arrival { at: arrival.at, ..*known } == arrival)
        {
            return;
        }
        if self.arrivals.len() >= 8192 {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back(arrival);
    }

    pub(crate) fn note_echo(&mut self, request: EchoRequest) {
        self.echo.entry(request.target).or_default().add(request.at);
        if self.echo_log.len() >= 4096 {
            self.echo_log.pop_front();
        }
        self.echo_log.push_back(request);
    }

    pub(crate) fn note_stream(&mut self, now: Instant) {
        self.stream.add(now);
    }

    pub(crate) fn note_arp(&mut self, target: Ipv4Addr, now: Instant) {
        self.arp.entry(target).or_default().add(now);
    }
}

/// The two, shared by handle and thread.
#[derive(Debug, Default)]
pub(crate) struct Line {
    conditions: Mutex<Conditions>,
    seen: Mutex<Seen>,
}

impl Line {
    pub(crate) fn conditions(&self) -> MutexGuard<'_, Conditions> {
        lock(&self.conditions)
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }
}

/// A panic in one test thread must not hide behind a poisoned lock in another.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
