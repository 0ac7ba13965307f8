//! The thread that plays one provider and the internet behind it: reads frames from the provider's end of the cable,
//! answers for the gateway and the targets, as badly as the line's `Conditions` say. Started by `provider.rs`. It
//! sleeps until a frame, a due answer or a change of conditions.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use socket2::Socket;

use crate::error::{During, Result};
use crate::fault::{Faults, Kind};
use crate::internet::{self, Talk, WRONG_SOURCE};
use crate::line::{Answers, Arrival, Conditions, Cut, EchoRequest, Line};
use crate::packet::{self, Incoming, Mac};
use crate::peer::is_peer;
use crate::sys;
use crate::{OTHER_SENDER, STREAM_PORT};

/// Where DNS is spoken.
const DNS_PORT: u16 = 53;

/// Whom the provider plays.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) number: u8,
    pub(crate) gateway: Ipv4Addr,
    pub(crate) mac: Mac,
    pub(crate) router: Ipv4Addr,
    pub(crate) router_mac: Mac,
    /// Only the address given to the router gets an answer, as providers filter sources (RFC 2827).
    pub(crate) only_router: bool,
}

/// A running responder; dropping it stops the thread.
pub(crate) struct Responder {
    stop: Arc<AtomicBool>,
    wake: Arc<File>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Responder {
    /// Starts answering on a packet socket; what is for a peer goes to another one.
    pub(crate) fn start(
        (socket, peer): (Socket, Option<Socket>),
        identity: Identity,
        line: Arc<Line>,
        seed: u64,
    ) -> Result<Responder> {
        let operation = format!("start the responder of provider {}", identity.number);
        let stop = Arc::new(AtomicBool::new(false));
        let wake = Arc::new(sys::event_fd().during(operation.clone())?);
        let mut worker = Worker {
            socket,
            peer,
            identity,
            line,
            echo_luck: fastrand::Rng::with_seed(seed),
            talk_luck: fastrand::Rng::with_seed(seed.rotate_left(32)),
            stream_luck: fastrand::Rng::with_seed(!seed),
            peer_luck: fastrand::Rng::with_seed(!seed.rotate_left(32)),
            queue: BinaryHeap::new(),
            queued: 0,
            next_other: None,
        };
        let (stop_flag, wake_end) = (Arc::clone(&stop), Arc::clone(&wake));
        let thread = std::thread::Builder::new()
            .name(format!("provider {}", identity.number))
            .spawn(move || worker.run(&stop_flag, &wake_end))
            .during(operation)?;
        Ok(Responder { stop, wake, thread: Some(thread) })
    }

    /// Makes the thread look at its conditions again.
    pub(crate) fn wake(&self) {
        // A full eventfd counter is a wake-up as well.
        _ = (&*self.wake).write(&1u64.to_ne_bytes());
    }

    /// Makes the thread end; dropping waits for that.
    pub(crate) fn begin_to_end(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.begin_to_end();
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

/// An answer on its way: due time, order of arrival, frame with what is before it ([`sys::OFFLOAD`]), and whether it comes from beyond the gateway.
type Pending = (Instant, u64, Vec<u8>, bool);

/// "Host unreachable" (RFC 792).
const HOST: u8 = 1;

/// More answers than this on their way are lost, as in a real queue.
const QUEUE_LIMIT: usize = 20_000;

struct Worker {
    socket: Socket,
    peer: Option<Socket>,
    identity: Identity,
    line: Arc<Line>,
    /// Luck of pings, of other probes, of datagrams and of peers: apart, so that the pace of one does not change what the other
    /// loses.
    echo_luck: fastrand::Rng,
    talk_luck: fastrand::Rng,
    stream_luck: fastrand::Rng,
    peer_luck: fastrand::Rng,
    queue: BinaryHeap<Reverse<Pending>>,
    queued: u64,
    next_other: Option<Instant>,
}

impl Worker {
    fn run(&mut self, stop: &AtomicBool, wake: &File) {
        let mut buffer = vec![0u8; 70_000];
        while !stop.load(Ordering::Acquire) {
            let now = Instant::now();
            self.send_due(now);
            self.send_other_traffic(now);
            let next = self.queue.peek().map(|Reverse(pending)| pending.0);
            let wakeup = [next, self.next_other].into_iter().flatten().min();
            let timeout = wakeup.map(|at| at.saturating_duration_since(Instant::now()));
            let mut waited: Vec<&dyn sys::AsRawFdExt> = vec![&self.socket, wake];
            waited.extend(self.peer.as_ref().map(|peer| peer as &dyn sys::AsRawFdExt));
            let Ok(ready) = sys::wait_readable(&waited, timeout) else { return };
            if ready.get(1).copied().unwrap_or(false) {
                let mut reader = wake;
                _ = reader.read(&mut [0; 8]);
            }
            // A device that is down reports that once as an error; later frames come in again by themselves.
            while let Ok(Some(length)) = sys::receive(&self.socket, &mut buffer) {
                let now = Instant::now();
                let came_in = now - sys::age_of_last(&self.socket).unwrap_or_default();
                let whole = buffer.get(..length).unwrap_or_default();
                let frame = whole.get(sys::OFFLOAD..).unwrap_or_default();
                match packet::ends(frame) {
                    Some((source, target)) if self.peer.is_some() && is_peer(target) => self.pass_up(source, whole),
                    _ => self.handle(frame, now, came_in),
                }
            }
            while let Some(length) = self.peer.as_ref().and_then(|it| sys::receive(it, &mut buffer).ok().flatten()) {
                self.pass_down(Instant::now(), buffer.get(..length).unwrap_or_default());
            }
        }
    }

    fn handle(&mut self, frame: &[u8], now: Instant, came_in: Instant) {
        let to_neighbour = frame.get(..6) == Some(self.neighbour_mac().as_slice());
        match packet::parse(frame) {
            Incoming::ArpRequest { sender_mac, sender, target } => {
                self.line.seen().note_arp(target, now);
                let (cut, everybody, gateway) = {
                    let conditions = self.line.conditions();
                    (conditions.cut, conditions.answers_for_everybody, self.gateway(&conditions))
                };
                let asked = target == gateway || (everybody && target != sender);
                if asked && cut != Cut::Everything {
                    let mac = if target == gateway { self.identity.mac } else { self.neighbour_mac() };
                    self.send(&packet::arp_reply(mac, target, sender_mac, sender));
                }
            }
            Incoming::Echo { from_mac, source, target, message, packet } => {
                let word = |offset| packet::word(message, offset).unwrap_or(0);
                let (id, sequence) = (word(4), word(6));
                let token = u32::from(sequence);
                let arrival = Arrival { at: came_in, kind: Kind::Ping, source: (source, id), target, token };
                {
                    let mut seen = self.line.seen();
                    seen.note_echo(EchoRequest { at: came_in, source, target, id, sequence });
                    seen.note_arrival(arrival);
                }
                self.answer_echo(now, (from_mac, to_neighbour), source, target, message, packet);
            }
            Incoming::Udp { source, .. } | Incoming::Tcp { source, .. } if self.is_strange(source.0) => {
                self.line.seen().other += 1;
            }
            Incoming::Udp { from_mac, source, target, payload, packet } => {
                if target.1 == STREAM_PORT && internet::is_somebody(target.0) {
                    self.line.seen().note_stream(now);
                    self.answer_stream(now, from_mac, (source, target), payload, packet);
                } else if target.1 == DNS_PORT {
                    let token = packet::word(payload, 0).unwrap_or(0).into();
                    let arrival = Arrival { at: came_in, kind: Kind::Dns, source, target: target.0, token };
                    self.line.seen().note_arrival(arrival);
                    self.answer(now, (from_mac, to_neighbour), source, target, |conditions, talk| {
                        internet::dns(conditions, talk, payload, packet).into_iter().collect()
                    });
                } else {
                    self.line.seen().other += 1;
                }
            }
            Incoming::Tcp { from_mac, source, target, segment, packet } => {
                if segment.opens() {
                    let kind = Kind::of_port(target.1);
                    let arrival = Arrival { at: came_in, kind, source, target: target.0, token: segment.sequence };
                    self.line.seen().note_arrival(arrival);
                }
                self.answer(now, (from_mac, to_neighbour), source, target, |conditions, talk| {
                    internet::tcp(conditions, talk, segment, packet)
                });
            }
            Incoming::Other => self.line.seen().other += 1,
            Incoming::Malformed => self.line.seen().malformed += 1,
        }
    }

    fn is_strange(&self, source: Ipv4Addr) -> bool {
        self.identity.only_router && source != self.identity.router
    }

    /// A frame of the router for the peer.
    fn pass_up(&mut self, source: Ipv4Addr, whole: &[u8]) {
        let [up, ..] = draw(&mut self.peer_luck);
        if self.is_strange(source) {
            self.line.seen().other += 1;
        } else if self.through_the_line(Instant::now(), [up, 1.0, 0.0]).is_some()
            && let Some(peer) = &self.peer
        {
            _ = peer.send(whole);
        }
    }

    /// A frame of the peer for the router, which it takes for everybody's neighbour.
    fn pass_down(&mut self, now: Instant, whole: &[u8]) {
        let frame = whole.get(sys::OFFLOAD..).unwrap_or_default();
        if let Incoming::ArpRequest { sender_mac, sender, target } = packet::parse(frame) {
            let reply = packet::arp_reply(self.identity.router_mac, target, sender_mac, sender);
            if let Some(peer) = &self.peer {
                _ = peer.send(&with_nothing_left(&reply));
            }
        } else if packet::ends(frame).is_some() {
            let [_, down, spread] = draw(&mut self.peer_luck);
            if let Some(due) = self.through_the_line(now, [1.0, down, spread]) {
                self.queue_up(due, whole.to_vec(), true);
            }
        }
    }

    fn gateway(&self, conditions: &Conditions) -> Ipv4Addr {
        conditions.gateway.unwrap_or(self.identity.gateway)
    }

    /// Whom the modem that answers for everybody says to be, so that what is meant for the gateway can be told apart.
    fn neighbour_mac(&self) -> Mac {
        let [first, rest @ .., last] = self.identity.mac;
        let [second, third, fourth, fifth] = rest;
        [first, second, third, fourth, fifth, last ^ 0x80]
    }

    fn answer_echo(
        &mut self,
        now: Instant,
        (to, to_neighbour): (Mac, bool),
        source: Ipv4Addr,
        target: Ipv4Addr,
        message: &[u8],
        packet: &[u8],
    ) {
        let conditions = self.line.conditions().clone();
        let macs = (self.identity.mac, to);
        let mut reply = packet::echo_reply(message);
        // The modem itself answers what the router took for a neighbour, also when the internet behind it is cut.
        if target == self.gateway(&conditions) || (to_neighbour && conditions.answers_for_everybody) {
            if conditions.cut != Cut::Everything {
                self.post(now, packet::icmp(macs, target, source, &reply), false);
            }
            return;
        }
        let known = internet::is_somebody(target) || conditions.answers_for_everybody;
        if !known || conditions.dead_targets.contains(&target) {
            return;
        }
        let luck = draw(&mut self.echo_luck);
        let Some(mut due) = self.through_the_line(now, luck) else { return };
        let mut from = target;
        match conditions.answers {
            Answers::Right => {}
            Answers::Never => return,
            Answers::Late(by) => due += by,
            Answers::WrongId => change_word(&mut reply, 4),
            Answers::WrongSequence => change_word(&mut reply, 6),
            // Every byte of it: nobody must have to know which ones a pinger looks at.
            Answers::WrongPayload if message.len() > 8 => reply.iter_mut().skip(8).for_each(|byte| *byte = !*byte),
            Answers::WrongPayload => reply.push(0xff),
            Answers::WrongSource => from = WRONG_SOURCE,
            Answers::Unreachable => {
                from = self.identity.gateway;
                reply = packet::unreachable(HOST, packet);
            }
        }
        self.post(due, packet::icmp(macs, from, source, &reply), true);
    }

    /// Answers TCP and DNS: the internet by the line, the modem that answers for everybody at once, with no fault.
    fn answer(
        &mut self,
        now: Instant,
        (to, to_neighbour): (Mac, bool),
        source: (Ipv4Addr, u16),
        target: (Ipv4Addr, u16),
        say: impl FnOnce(&Conditions, Talk) -> Vec<Vec<u8>>,
    ) {
        let conditions = self.line.conditions().clone();
        let gateway = self.gateway(&conditions);
        let talk = Talk { macs: (self.identity.mac, to), gateway: self.identity.gateway, source, target };
        if to_neighbour && conditions.answers_for_everybody {
            if conditions.cut != Cut::Everything {
                for frame in say(&Conditions { faults: Faults::default(), ..conditions }, talk) {
                    self.post(now, frame, false);
                }
            }
            return;
        }
        // The gateway passes on what names are asked for.
        let known = internet::is_somebody(target.0) || (target.0 == gateway && target.1 == DNS_PORT);
        if !known || conditions.dead_targets.contains(&target.0) {
            return;
        }
        let luck = draw(&mut self.talk_luck);
        let Some(due) = self.through_the_line(now, luck) else { return };
        for frame in say(&conditions, talk) {
            self.post(due, frame, true);
        }
    }

    fn answer_stream(
        &mut self,
        now: Instant,
        to: Mac,
        (source, target): ((Ipv4Addr, u16), (Ipv4Addr, u16)),
        payload: &[u8],
        packet: &[u8],
    ) {
        let (dead, unreachable) = {
            let conditions = self.line.conditions();
            (conditions.dead_targets.contains(&target.0), conditions.answers == Answers::Unreachable)
        };
        let macs = (self.identity.mac, to);
        if dead {
            return;
        }
        let luck = draw(&mut self.stream_luck);
        let Some(due) = self.through_the_line(now, luck) else { return };
        let frame = if unreachable {
            packet::icmp(macs, self.identity.gateway, source.0, &packet::unreachable(HOST, packet))
        } else {
            let mut answer = payload.to_vec();
            answer.push(self.identity.number);
            packet::udp(macs, target, source, &answer)
        };
        self.post(due, frame, true);
    }

    /// Takes a request up the line and its answer down again: `None` if it gets lost, else when the answer arrives.
    fn through_the_line(&self, now: Instant, [up, down, spread]: [f64; 3]) -> Option<Instant> {
        let conditions = self.line.conditions().clone();
        if conditions.cut != Cut::None || up < conditions.upstream_loss || down < conditions.downstream_loss {
            return None;
        }
        let queue = conditions.full_queue.map_or(Duration::ZERO, |queue| queue.delay);
        Some(now + conditions.delay + queue + conditions.jitter.mul_f64(spread))
    }

    fn post(&mut self, due: Instant, frame: Vec<u8>, from_beyond: bool) {
        self.queue_up(due, with_nothing_left(&frame), from_beyond);
    }

    fn queue_up(&mut self, due: Instant, frame: Vec<u8>, from_beyond: bool) {
        if self.queue.len() < QUEUE_LIMIT {
            self.queued += 1;
            self.queue.push(Reverse((due, self.queued, frame, from_beyond)));
            self.send_due(Instant::now());
        }
    }

    fn send_due(&mut self, now: Instant) {
        while self.queue.peek().is_some_and(|Reverse(pending)| pending.0 <= now) {
            let Some(Reverse((_, _, frame, from_beyond))) = self.queue.pop() else { return };
            let cut = self.line.conditions().cut;
            if cut == Cut::None || (cut == Cut::BehindGateway && !from_beyond) {
                _ = self.socket.send(&frame);
                self.line.seen().answered += 1;
            }
        }
    }

    /// Somebody else's download, while the queue is full.
    fn send_other_traffic(&mut self, now: Instant) {
        let (queue, cut) = {
            let conditions = self.line.conditions();
            (conditions.full_queue, conditions.cut)
        };
        let Some(queue) = queue.filter(|queue| queue.other_packets_per_second > 0 && cut == Cut::None) else {
            self.next_other = None;
            return;
        };
        let due = self.next_other.unwrap_or(now);
        if due <= now {
            let macs = (self.identity.mac, self.identity.router_mac);
            let frame = packet::udp(macs, (OTHER_SENDER, 443), (self.identity.router, 40_000), &[0; 64]);
            self.send(&frame);
            let gap = Duration::from_secs(1) / queue.other_packets_per_second;
            // After a hiccup of the machine the rate goes on; there is no burst to catch up.
            self.next_other = Some(if now - due > gap { now + gap } else { due + gap });
        } else {
            self.next_other = Some(due);
        }
    }

    fn send(&self, frame: &[u8]) {
        // A cable without carrier or a device that is gone loses the frame, as it should.
        _ = self.socket.send(&with_nothing_left(frame));
    }
}

/// A frame that needs nothing more, for a packet socket.
fn with_nothing_left(frame: &[u8]) -> Vec<u8> {
    [&[0; sys::OFFLOAD], frame].concat()
}

fn change_word(message: &mut [u8], offset: usize) {
    let value = packet::word(message, offset).unwrap_or(0);
    packet::put_word(message, offset, value ^ 0x5555);
}

/// All three are drawn whatever they are needed for, so that one knob does not shift what another does.
fn draw(luck: &mut fastrand::Rng) -> [f64; 3] {
    [luck.f64(), luck.f64(), luck.f64()]
}
