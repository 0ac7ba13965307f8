//! The world in virtual time: carries out the core's [`Action`]s on the model kernel and the lines, and feeds [`Event`]s back.
//! Time jumps from one thing to the next; the core's `next_wakeup` is one of them.

mod act;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use failoverd::core::Core;
use failoverd::event::{Action, Event, ProbeToken, ProviderId, State, Stranded};
use failoverd::icmp::Icmp;
use failoverd::kernel::{Applied, IfIndex, LookupQuestion, Network, Outcome, RouteChange};
use failoverd::moment::Moment;
use failoverd::netifd::Interface;
use failoverd::notice::Notice;
use failoverd::random::Random;
use failoverd::settings::Settings;
use failoverd::trace::Recorder;

use super::config::{address, gateway};
use super::{Kernel, Line, Netifd, ip, ms, netifd};

/// What goes wrong between the core and the kernel, in per cent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// A change is refused.
    pub refuse: u64,
    /// A change is acknowledged, but nothing happens.
    pub ineffective: u64,
    /// The answer to a change list is lost.
    pub lose: u64,
    /// Every new rule is refused.
    pub no_rules: bool,
    /// nft refuses every text, with this cause.
    pub nft: Option<&'static str>,
}

/// What waits for its time.
#[derive(Debug)]
pub(super) enum Pending {
    Event(Event),
    /// What netifd has at that time.
    Interfaces,
    /// An interface of netifd's is again as it was.
    Up(Interface),
    /// The state of the kernel at that time, as after a netlink event.
    Read,
    /// nft has read this text.
    Filter(String),
    Answer {
        device: IfIndex,
        packets: u64,
        event: Event,
    },
}

/// How long a change list and the dump after it take.
const KERNEL_TIME: Duration = ms(1);
/// How long nft takes.
pub const NFT_TIME: Duration = ms(20);

pub type Observer = Box<dyn FnMut(&Kernel, &RouteChange, &Kernel)>;

pub type Rival = Box<dyn FnMut(&mut Kernel)>;

pub struct World {
    pub now: Moment,
    pub kernel: Kernel,
    /// By device name.
    pub lines: BTreeMap<String, Line>,
    pub faults: Faults,
    pub netifd: Netifd,
    /// `None` after a crash.
    pub core: Option<Core>,
    /// The state file.
    pub state: State,
    pub stopped: bool,
    /// Notices, with their time.
    pub told: Vec<(Moment, Notice)>,
    /// Change lists that were not empty, and all of them.
    pub changes: Vec<(Moment, Vec<RouteChange>)>,
    pub requests: Vec<Moment>,
    pub probes: u64,
    /// Each of them but scripts: when, through which device, to whom, and its bytes.
    pub sent: Vec<(Moment, String, IpAddr, u64)>,
    /// Names asked for, with the time.
    pub asked: Vec<(Moment, ProviderId, String)>,
    /// What scripts were started with, and when.
    pub scripts: Vec<(Moment, Vec<(&'static str, String)>)>,
    /// Probers closed: probes on their way do not count any more.
    pub closed: u64,
    /// Addresses whose connections were to be forgotten, with the time.
    pub forgotten: Vec<(Moment, IpAddr)>,
    /// Marks whose connections were, or the router's own datagrams alone.
    pub forgotten_marks: Vec<(Moment, Stranded)>,
    /// The networks that were no provider's then.
    pub inside: Vec<Network>,
    /// What nft was given, and when.
    pub filters: Vec<(Moment, String)>,
    /// What came of it, by chain.
    pub chains: BTreeMap<String, Vec<String>>,
    /// What netifd was asked to do, with the time: `renew isp0`.
    pub recovered: Vec<(Moment, String)>,
    /// The addresses of the first slot's device, as the core was told last.
    first: Vec<IpAddr>,
    /// Deletes that hit another route than was meant.
    pub hits: usize,
    /// Sees the kernel before and after each single change.
    pub observer: Option<Observer>,
    /// Acts after each of our change lists.
    pub rival: Option<Rival>,
    /// Crash after this many single changes.
    pub crash_after: Option<usize>,
    pub random: Random,
    /// A busy machine: each wake-up comes up to so much too late.
    pub late: Duration,
    /// Keeps a trace, from the next start on.
    pub record: bool,
    recorder: Option<Recorder>,
    trace: String,
    queue: BTreeMap<(Moment, u64), Pending>,
    queued: u64,
    sequence: u64,
    lookups: Vec<LookupQuestion>,
    watched: BTreeMap<ProviderId, (Moment, IfIndex, u64)>,
}

impl World {
    /// A world without lines or core.
    pub fn new(kernel: Kernel, seed: u64) -> Self {
        Self {
            now: Moment::from_nanos(1_000_000_000),
            kernel,
            lines: BTreeMap::new(),
            faults: Faults::default(),
            netifd: Netifd::default(),
            core: None,
            state: State::default(),
            stopped: false,
            told: vec![],
            changes: vec![],
            requests: vec![],
            probes: 0,
            sent: vec![],
            asked: vec![],
            scripts: vec![],
            closed: 0,
            forgotten: vec![],
            forgotten_marks: vec![],
            inside: vec![],
            filters: vec![],
            chains: BTreeMap::new(),
            recovered: vec![],
            first: vec![],
            hits: 0,
            observer: None,
            rival: None,
            crash_after: None,
            random: Random::new(seed),
            late: Duration::ZERO,
            record: false,
            recorder: None,
            trace: String::new(),
            queue: BTreeMap::new(),
            queued: 0,
            sequence: 0,
            lookups: vec![],
            watched: BTreeMap::new(),
        }
    }

    /// `wan0`... with an address and a gateway each, and no default route.
    pub fn with_lines(count: u32, seed: u64) -> Self {
        let mut kernel = Kernel::default();
        kernel.add_link(1, "lo");
        for index in 0..count {
            let name = format!("wan{index}");
            kernel.add_link(10 + index, &name);
            kernel.add_address(&name, address(index), 24);
        }
        let mut world = Self::new(kernel, seed);
        world.lines = (0..count).map(|index| (format!("wan{index}"), Line::default())).collect();
        world
    }

    /// As [`World::with_lines`], with `default via GATEWAY dev wan<index> metric METRIC proto dhcp` for each pair.
    pub fn with_defaults(count: u32, metrics: &[(u32, u32)], seed: u64) -> Self {
        let mut world = Self::with_lines(count, seed);
        for &(index, metric) in metrics {
            let route = world.kernel.default_route(
                &format!("wan{index}"),
                Some(gateway(index)),
                metric,
                super::kernel::PROTOCOL_DHCP,
            );
            world.kernel.add_route(route, super::fib::How::Append).unwrap();
        }
        world
    }

    /// Starts a daemon with the state file there is.
    pub fn start(&mut self, settings: Settings) {
        self.queue.clear();
        self.watched.clear();
        (self.sequence, self.stopped) = (0, false);
        self.lookups.clear();
        let seed = self.random.next();
        self.recorder = self.record.then(|| Recorder::new(self.now, seed, self.state.active.clone()));
        self.trace.clear();
        self.core = Some(Core::new(self.now, settings, self.state.clone(), seed));
        self.feed(Event::Wakeup);
    }

    /// `kill -9`: the kernel and the state file stay.
    pub fn crash(&mut self) {
        self.core = None;
        self.queue.clear();
    }

    pub fn core(&self) -> &Core {
        self.core.as_ref().unwrap()
    }

    pub fn line(&mut self, name: &str) -> &mut Line {
        self.lines.get_mut(name).unwrap()
    }

    /// Somebody changes the kernel, and netlink tells.
    pub fn disturb(&mut self, act: impl FnOnce(&mut Kernel)) {
        act(&mut self.kernel);
        self.later(Duration::from_micros(200), Pending::Read);
    }

    /// Hands an event to the core and carries out what it wants.
    pub fn feed(&mut self, event: Event) {
        let Some(core) = &mut self.core else { return };
        if self.stopped {
            return;
        }
        // One that was read before the last changes were made is out of date, and no news.
        if let Event::Kernel { snapshot, after, .. } = &event
            && *after >= self.sequence
        {
            let slots = snapshot.routes.iter().filter(|route| route.is_ours() && route.is_main_default());
            let first: Vec<IfIndex> =
                slots.min_by_key(|route| route.metric).into_iter().flat_map(|it| it.devices()).collect();
            let addresses = snapshot.addresses.iter().filter(|it| first.contains(&it.device));
            self.first = addresses.map(|it| it.address).collect();
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.event(self.now, &event);
        }
        let actions = core.handle(self.now, event);
        if let Some(recorder) = &mut self.recorder {
            recorder.outcome(self.now, &actions, core);
        }
        for action in actions {
            self.carry_out(action);
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let (mut stuck, mut last) = (0, self.now);
        while let Some(core) = self.core.as_ref().filter(|_| !self.stopped) {
            let wakeup = core.next_wakeup().map(|at| at.max(self.now) + self.lateness(at));
            let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
            let Some(next) = wakeup.into_iter().chain(queued).min().filter(|next| *next <= end) else { break };
            stuck = if next == last { stuck + 1 } else { 0 };
            assert!(stuck < 1000, "time stands still at {next:?}: {:?}", core.next_wakeup());
            (self.now, last) = (next, next);
            match self.queue.first_entry().filter(|entry| entry.key().0 <= next) {
                Some(entry) => match entry.remove() {
                    Pending::Event(event) => self.feed(event),
                    Pending::Interfaces => self.tell_interfaces(),
                    Pending::Up(whole) => {
                        let name = whole.name.clone();
                        *self.interface(&name) = whole;
                        self.tell_interfaces();
                    }
                    Pending::Read => self.read(vec![]),
                    Pending::Filter(text) => self.load_filter(&text),
                    Pending::Answer { device, packets, event } => self.arrive(device, packets, event),
                },
                None => self.feed(Event::Wakeup),
            }
        }
        self.now = end;
    }

    /// The same each time it is asked for the same wake-up.
    fn lateness(&self, at: Moment) -> Duration {
        let most = u64::try_from(self.late.as_nanos()).unwrap();
        Duration::from_nanos(Random::new(at.as_nanos()).next().checked_rem(most).unwrap_or(0))
    }

    /// Lets time pass until `done`, at most `limit`; tells how long it took.
    pub fn pass_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Duration {
        let start = self.now;
        while !done(self) {
            assert!(self.now.since(start) < limit, "not within {limit:?}");
            self.pass(ms(1));
        }
        self.now.since(start)
    }

    /// The trace so far.
    pub fn trace(&mut self) -> String {
        self.trace += &self.recorder.as_mut().unwrap().take();
        self.trace.clone()
    }

    /// A new part of the trace begins: what came before it is forgotten.
    pub fn begin_part(&mut self) {
        let recorder = self.recorder.as_mut().unwrap();
        self.trace.clear();
        recorder.take();
        recorder.begin_part(self.now);
    }

    /// The name of the active provider.
    pub fn active(&self) -> String {
        self.core().status(self.now).active.unwrap_or_default()
    }

    /// A provider's state in a word.
    pub fn state_of(&self, name: &str) -> String {
        let status = self.core().status(self.now);
        status.providers.into_iter().find(|it| it.name == name).unwrap().state
    }

    pub fn reason_of(&self, name: &str) -> String {
        let status = self.core().status(self.now);
        status.providers.into_iter().find(|it| it.name == name).unwrap().reason.unwrap_or_default()
    }

    /// The device that traffic to the internet leaves by.
    pub fn traffic(&self) -> String {
        let index = self.kernel.traffic(ip(93, 184, 216, 34));
        index.and_then(|index| self.kernel.by_index(index)).map_or(String::new(), |link| link.name.clone())
    }

    /// Notices that say what happened, one line each, since `since`.
    pub fn said_since(&self, since: Moment) -> Vec<String> {
        let told = self.told.iter().filter(|(at, notice)| *at >= since && notice.action.is_some());
        told.map(|(_, notice)| notice.to_string()).collect()
    }

    /// Switches told since `since`.
    pub fn switches_since(&self, since: Moment) -> usize {
        self.said_since(since).iter().filter(|line| line.starts_with("switched")).count()
    }

    pub(super) fn later(&mut self, after: Duration, pending: Pending) {
        self.queued += 1;
        self.queue.insert((self.now + after, self.queued), pending);
    }

    fn read(&mut self, applied: Vec<Applied>) {
        let event = self.kernel_event(applied);
        self.feed(event);
    }

    fn kernel_event(&self, applied: Vec<Applied>) -> Event {
        Event::Kernel { snapshot: self.kernel.snapshot(&self.lookups), after: self.sequence, applied }
    }
}
