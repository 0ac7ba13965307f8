//! A stream of UDP datagrams from the LAN client or the router to a stream server, as a phone call would send it, in a
//! thread of its own. Started by `client.rs` and `router.rs`; what became of each datagram is in the `Timeline`.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::error::{During, Result};
use crate::line::lock;
use crate::namespace::Namespace;
use crate::sys;
use crate::timeline::{Answer, Datagram, Timeline};
use crate::wait::wait_for_some;
use crate::{STREAM_PORT, STREAM_SERVER};

/// Which source ports a stream uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flows {
    /// One: an established flow, which NAT and conntrack know.
    One,
    /// Another one for every datagram: new flows only.
    Fresh,
}

/// From which address to which server. An unspecified source is left to the kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Between {
    pub(crate) source: Ipv4Addr,
    pub(crate) server: Ipv4Addr,
}

impl Default for Between {
    fn default() -> Between {
        Between { source: Ipv4Addr::UNSPECIFIED, server: STREAM_SERVER }
    }
}

/// A running stream; ends when dropped.
pub struct Stream {
    timeline: Arc<Mutex<Timeline>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    interval: Duration,
}

/// Sockets of fresh flows stay open this long for late answers.
const LINGER: Duration = Duration::from_secs(5);
/// Nobody streams this much; it bounds the memory.
const MOST_DATAGRAMS: usize = 5_000_000;

impl Stream {
    pub(crate) fn start(namespace: &Namespace, between: Between, interval: Duration, flows: Flows) -> Result<Stream> {
        let timeline = Arc::new(Mutex::new(Timeline::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let first = namespace.run(|| open_flow(between))?;
        let (shared, stop_flag, inside) = (Arc::clone(&timeline), Arc::clone(&stop), namespace.clone());
        let thread = std::thread::Builder::new()
            .name("stream".to_owned())
            .spawn(move || {
                if inside.enter_thread().is_ok() {
                    let sockets = VecDeque::from([(first, Instant::now())]);
                    Sender { timeline: shared, sockets, between, flows, interval }.run(&stop_flag);
                }
            })
            .during("start a stream")?;
        Ok(Stream { timeline, stop, thread: Some(thread), interval })
    }

    /// Everything so far.
    #[must_use]
    pub fn timeline(&self) -> Timeline {
        lock(&self.timeline).clone()
    }

    /// Time between two datagrams.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Waits until a datagram sent from now on is answered through `provider`; says how long it took.
    pub fn wait_until_via(&self, provider: u8, limit: Duration) -> Result<Duration> {
        let start = Instant::now();
        let what = format!("a datagram through provider {provider}");
        let found = || lock(&self.timeline).first_via(provider, start);
        let (datagram, _) = wait_for_some(limit, &what, found)?;
        Ok(datagram.answer.map_or(limit, |answer| answer.at - start))
    }

    /// Number of the provider that answered last, if that was not longer ago than ten intervals.
    #[must_use]
    pub fn current_provider(&self) -> Option<u8> {
        let timeline = lock(&self.timeline);
        let recent = timeline.datagrams.iter().rev().take(10);
        recent.filter_map(|datagram| datagram.answer).max_by_key(|answer| answer.at).map(|answer| answer.provider)
    }

    /// Lost datagrams of a window, see [`Timeline::lost_between`].
    #[must_use]
    pub fn lost_between(&self, from: Instant, until: Instant) -> usize {
        lock(&self.timeline).lost_between(from, until)
    }

    /// Datagrams on their way at once, see [`Timeline::on_their_way_between`].
    #[must_use]
    pub fn on_their_way_between(&self, from: Instant, until: Instant) -> usize {
        lock(&self.timeline).on_their_way_between(from, until)
    }

    /// Longest pause of a window, see [`Timeline::outage_between`].
    #[must_use]
    pub fn outage_between(&self, from: Instant, until: Instant) -> Duration {
        lock(&self.timeline).outage_between(from, until)
    }

    /// Stops sending, waits `grace` for the last answers, and hands over everything.
    #[must_use]
    pub fn stop(mut self, grace: Duration) -> Timeline {
        let unanswered = |timeline: &Timeline, until: Instant| {
            timeline.datagrams.iter().rev().take(1000).any(|one| one.answer.is_none() && one.sent_at <= until)
        };
        // The thread goes on sending during the grace time; what it sends then is cut off.
        let end = Instant::now();
        _ = crate::wait::wait_for(grace, "the last answers", || !unanswered(&lock(&self.timeline), end));
        self.end();
        let mut timeline = self.timeline();
        timeline.datagrams.retain(|datagram| datagram.sent_at <= end);
        timeline
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.end();
    }
}

fn open_flow(between: Between) -> Result<UdpSocket> {
    let server = SocketAddr::V4(SocketAddrV4::new(between.server, STREAM_PORT));
    let socket = UdpSocket::bind((between.source, 0)).during(format!("open a UDP socket at {}", between.source))?;
    socket.connect(server).during(format!("connect a UDP socket to {server}"))?;
    socket.set_nonblocking(true).during("make a UDP socket non-blocking")?;
    Ok(socket)
}

struct Sender {
    timeline: Arc<Mutex<Timeline>>,
    /// Open sockets and when they were opened; the last one sends.
    sockets: VecDeque<(UdpSocket, Instant)>,
    between: Between,
    flows: Flows,
    interval: Duration,
}

impl Sender {
    fn run(&mut self, stop: &AtomicBool) {
        let mut next = Instant::now();
        while !stop.load(Ordering::Acquire) {
            let now = Instant::now();
            if now >= next {
                self.send(now);
                // After a hiccup of the machine the pace goes on; there is no burst to catch up.
                next = if now - next > self.interval * 3 { now + self.interval } else { next + self.interval };
            }
            let wait = next.saturating_duration_since(Instant::now()).min(Duration::from_millis(100));
            let sockets: Vec<&dyn sys::AsRawFdExt> =
                self.sockets.iter().map(|(socket, _)| socket as &dyn sys::AsRawFdExt).collect();
            let Ok(ready) = sys::wait_readable(&sockets, Some(wait)) else { return };
            for ((socket, _), _) in self.sockets.iter().zip(ready).filter(|(_, ready)| *ready) {
                receive(socket, &self.timeline);
            }
            if self.flows == Flows::Fresh {
                while self.sockets.len() > 1 && self.sockets.front().is_some_and(|(_, since)| since.elapsed() > LINGER)
                {
                    self.sockets.pop_front();
                }
            }
        }
    }

    fn send(&mut self, now: Instant) {
        if self.flows == Flows::Fresh
            && let Ok(socket) = open_flow(self.between)
        {
            self.sockets.push_back((socket, now));
        }
        let sequence = {
            let mut timeline = lock(&self.timeline);
            if timeline.datagrams.len() >= MOST_DATAGRAMS {
                return;
            }
            let sequence = timeline.datagrams.len() as u64;
            timeline.datagrams.push(Datagram { sequence, sent_at: now, answer: None });
            sequence
        };
        let Some((socket, _)) = self.sockets.back() else { return };
        // An ICMP error about an earlier datagram is reported here once, instead of sending: send again.
        if socket.send(&sequence.to_be_bytes()).is_err() {
            _ = socket.send(&sequence.to_be_bytes());
        }
    }
}

/// Reads what has arrived: a sequence number and the number of the provider.
fn receive(socket: &UdpSocket, timeline: &Mutex<Timeline>) {
    let mut buffer = [0u8; 64];
    loop {
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
            // An ICMP error about an earlier datagram; there may be answers behind it.
            Err(_) => continue,
        };
        let at = Instant::now();
        let Some((sequence, [provider])) = buffer.get(..length).and_then(|answer| answer.split_first_chunk::<8>())
        else {
            continue;
        };
        let sequence = u64::from_be_bytes(*sequence);
        let mut timeline = lock(timeline);
        if let Some(datagram) = usize::try_from(sequence).ok().and_then(|index| timeline.datagrams.get_mut(index)) {
            datagram.answer.get_or_insert(Answer { provider: *provider, at });
        }
    }
}
